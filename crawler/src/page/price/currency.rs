//! Which currency a price is in, from the marks that people write: codes,
//! symbols, and words such as `kr`, of which some serve several currencies.

use trawler_core::product::Currency;
use url::Url;

/// What a mark names: its currencies, the usual one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) struct Named(&'static [&'static str]);

impl Named {
    /// The one of its currencies that is used where the shop is, else the
    /// usual one.
    pub(in crate::page) fn settle(self, home: Option<Currency>) -> Currency {
        let usual = self.0.first().expect("every mark names a currency");
        home.filter(|home| self.0.contains(&home.as_str()))
            .unwrap_or_else(|| Currency::parse(usual).expect("the tables hold ISO codes"))
    }

    /// Whether it can mean this currency.
    pub(super) fn may_be(self, currency: Currency) -> bool {
        self.0.contains(&currency.as_str())
    }

    /// Whether the mark means one currency only.
    pub(in crate::page) fn is_alone(self) -> bool {
        self.0.len() == 1
    }
}

const DOLLARS: &[&str] = &[
    "USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "BRL",
];
const KRONER: &[&str] = &["SEK", "NOK", "DKK", "ISK"];
const RUPEES: &[&str] = &["INR", "PKR", "LKR", "NPR", "MUR"];

/// Symbols, found anywhere in a text. Longer ones come before those that they
/// contain.
#[rustfmt::skip]
const SYMBOLS: &[(&str, &[&str])] = &[
    ("US$", &["USD"]), ("CA$", &["CAD"]), ("C$", &["CAD"]), ("AU$", &["AUD"]), ("A$", &["AUD"]),
    ("NZ$", &["NZD"]), ("HK$", &["HKD"]), ("NT$", &["TWD"]), ("MX$", &["MXN"]), ("AR$", &["ARS"]),
    ("S$", &["SGD"]), ("R$", &["BRL"]), ("CN¥", &["CNY"]), ("JP¥", &["JPY"]), ("S/", &["PEN"]),
    ("₩", &["KRW"]), ("원", &["KRW"]), ("£", &["GBP"]), ("€", &["EUR"]), ("円", &["JPY"]),
    ("元", &["CNY", "TWD", "HKD"]), ("圓", &["TWD", "HKD"]), ("₹", &["INR"]), ("₽", &["RUB"]),
    ("₺", &["TRY"]), ("₫", &["VND"]), ("đ", &["VND"]), ("฿", &["THB"]), ("บาท", &["THB"]),
    ("₪", &["ILS"]), ("₴", &["UAH"]), ("₱", &["PHP"]), ("₡", &["CRC"]), ("₦", &["NGN"]),
    ("₵", &["GHS"]), ("₸", &["KZT"]), ("₾", &["GEL"]), ("₼", &["AZN"]), ("₲", &["PYG"]),
    ("៛", &["KHR"]), ("₮", &["MNT"]), ("\u{20a8}", RUPEES), ("د.إ", &["AED"]), ("ر.س", &["SAR"]),
    ("د.ك", &["KWD"]), ("ج.م", &["EGP"]), ("$", DOLLARS), ("¥", &["JPY", "CNY"]),
];

/// Words in lower case, found only as words beside an amount: anywhere else
/// `kr` and `r` are parts of other things. A dot after them belongs to them.
#[rustfmt::skip]
const WORDS: &[(&str, &[&str])] = &[
    ("kr", KRONER), ("rs", RUPEES), ("rm", &["MYR"]), ("rp", &["IDR"]), ("r", &["ZAR"]),
    ("fr", &["CHF"]), ("sfr", &["CHF"]), ("ft", &["HUF"]), ("lei", &["RON", "MDL"]),
    ("лв", &["BGN"]), ("руб", &["RUB"]), ("р", &["RUB"]), ("грн", &["UAH"]), ("тг", &["KZT"]),
    ("tl", &["TRY"]), ("zł", &["PLN"]), ("zl", &["PLN"]), ("kč", &["CZK"]), ("kc", &["CZK"]),
    ("euro", &["EUR"]), ("euros", &["EUR"]), ("eur", &["EUR"]), ("won", &["KRW"]),
    ("yen", &["JPY"]), ("dollars", DOLLARS), ("din", &["RSD"]), ("dh", &["MAD", "AED"]),
    ("dhs", &["AED", "MAD"]), ("php", &["PHP"]), ("b", &["THB"]), ("ksh", &["KES"]),
    ("бел", &["BYN"]), ("درهم", &["AED", "MAD"]), ("ريال", &["SAR", "QAR", "OMR"]),
    ("دينار", &["KWD", "JOD", "BHD", "TND"]), ("جنيه", &["EGP"]), ("تومان", &["IRR"]),
];

/// ISO 4217 codes that are recognised as words in text; any three letters
/// would be too many (`OFF`, `VAT`).
#[rustfmt::skip]
const CODES: &[&[&str]] = &[
    &["AED"], &["ARS"], &["AUD"], &["AZN"], &["BDT"], &["BGN"], &["BHD"], &["BRL"], &["BYN"],
    &["CAD"], &["CHF"], &["CLP"], &["CNY"], &["COP"], &["CRC"], &["CZK"], &["DKK"], &["EGP"],
    &["EUR"], &["GBP"], &["GEL"], &["GHS"], &["HKD"], &["HUF"], &["IDR"], &["ILS"], &["INR"],
    &["IQD"], &["IRR"], &["ISK"], &["JOD"], &["JPY"], &["KES"], &["KHR"], &["KRW"], &["KWD"],
    &["KZT"], &["LBP"], &["LKR"], &["MAD"], &["MDL"], &["MNT"], &["MUR"], &["MXN"], &["MYR"],
    &["NGN"], &["NOK"], &["NPR"], &["NZD"], &["OMR"], &["PEN"], &["PHP"], &["PKR"], &["PLN"],
    &["PYG"], &["QAR"], &["RON"], &["RSD"], &["RUB"], &["SAR"], &["SEK"], &["SGD"], &["THB"],
    &["TND"], &["TRY"], &["TWD"], &["UAH"], &["USD"], &["UYU"], &["VND"], &["ZAR"],
];

/// Codes that are not ISO's, but are written where ISO's should be.
const OTHER_CODES: &[(&str, &[&str])] = &[("RMB", &["CNY"]), ("NTD", &["TWD"]), ("RUR", &["RUB"])];

/// Longest mark, in characters.
const MARK_CHARS_MAX: usize = 8;

/// The mark at the end of what stands before an amount, or at the start of
/// what comes after it.
pub(super) fn beside(before: &[char], after: &[char]) -> Option<Named> {
    let found = [ends_with(before), behind(after)];
    // `$5 CAD` names its currency twice; the one that leaves no doubt counts.
    found
        .into_iter()
        .flatten()
        .min_by_key(|named| named.0.len())
}

fn ends_with(before: &[char]) -> Option<Named> {
    let end = before
        .iter()
        .rposition(|c| !matches!(c, ' ' | ':' | '-'))
        .map_or(0, |at| at + 1);
    let start = end.saturating_sub(MARK_CHARS_MAX);
    let text: String = before[start..end].iter().collect();
    let symbol = SYMBOLS.iter().find(|(mark, _)| text.ends_with(mark));
    if let Some((_, currencies)) = symbol {
        return Some(Named(currencies));
    }
    let text = text.trim_end_matches('.');
    let word = text.rsplit(|c: char| !c.is_alphabetic()).next()?;
    // A word that was cut at the start of the window is longer than any mark.
    (word.chars().count() < MARK_CHARS_MAX).then(|| word_named(word))?
}

/// The mark at the start of what comes after an amount.
pub(super) fn behind(after: &[char]) -> Option<Named> {
    // `5,- €` and `5.– kr`: the dash stands for the decimals. In `3 - £5` it
    // does not.
    let dash = after
        .iter()
        .position(|c| !matches!(c, ',' | '.' | ':' | '-' | '*'))?;
    let start = dash + after[dash..].iter().position(|c| *c != ' ')?;
    let end = after.len().min(start + MARK_CHARS_MAX);
    let text: String = after[start..end].iter().collect();
    let symbol = SYMBOLS.iter().find(|(mark, _)| text.starts_with(mark));
    if let Some((_, currencies)) = symbol {
        return Some(Named(currencies));
    }
    let length = text
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(text.len());
    // After the amount a lone letter is more often a unit than a currency.
    let is_letter = text[..length].chars().count() < 2 && text.starts_with(|c: char| c.is_ascii());
    let is_whole = text[..length].chars().count() < MARK_CHARS_MAX;
    (is_whole && !is_letter).then(|| word_named(&text[..length]))?
}

fn word_named(word: &str) -> Option<Named> {
    if word.is_empty() {
        return None;
    }
    if let Some(named) = code_named(word) {
        return Some(named);
    }
    let lower = word.to_lowercase();
    let (_, currencies) = WORDS.iter().find(|(mark, _)| *mark == lower)?;
    Some(Named(currencies))
}

fn code_named(word: &str) -> Option<Named> {
    if let Some(code) = CODES.iter().find(|code| code[0] == word) {
        return Some(Named(code));
    }
    let (_, currencies) = OTHER_CODES.iter().find(|(code, _)| *code == word)?;
    Some(Named(currencies))
}

/// The currency that a text names anywhere: a code as a word, or a symbol.
/// The text has ASCII forms already.
pub(super) fn anywhere(text: &str) -> Option<Named> {
    let code = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .find_map(code_named);
    code.or_else(|| {
        let (_, currencies) = SYMBOLS.iter().find(|(mark, _)| text.contains(mark))?;
        Some(Named(currencies))
    })
}

/// The currency that a field for nothing else names: a code in any case, a
/// symbol, or a word.
pub(super) fn field(text: &str) -> Option<Named> {
    let text = text.trim();
    code_named(&text.to_ascii_uppercase())
        .or_else(|| anywhere(text))
        .or_else(|| word_named(text.trim_end_matches('.')))
}

/// Regions whose marks are used by others too, and their currencies.
#[rustfmt::skip]
const REGIONS: &[(&str, &str)] = &[
    ("ae", "AED"), ("ar", "ARS"), ("au", "AUD"), ("br", "BRL"), ("ca", "CAD"), ("cl", "CLP"),
    ("cn", "CNY"), ("dk", "DKK"), ("hk", "HKD"), ("in", "INR"), ("is", "ISK"), ("jp", "JPY"),
    ("lk", "LKR"), ("ma", "MAD"), ("md", "MDL"), ("mu", "MUR"), ("mx", "MXN"), ("no", "NOK"),
    ("np", "NPR"), ("nz", "NZD"), ("om", "OMR"), ("pk", "PKR"), ("qa", "QAR"), ("ro", "RON"),
    ("sa", "SAR"), ("se", "SEK"), ("sg", "SGD"), ("tw", "TWD"), ("us", "USD"),
];

/// The currency of the place that a page's language (`en-CA`) or host
/// (`shop.example.ca`) names. It decides between the meanings of a mark and
/// gives no currency of its own.
pub(in crate::page) fn home(language: Option<&str>, page: &Url) -> Option<Currency> {
    let of_region = |region: &str| {
        let region = region.to_ascii_lowercase();
        let (_, code) = REGIONS.iter().find(|(known, _)| *known == region)?;
        Currency::parse(code).ok()
    };
    let of_language =
        language.and_then(|tag| tag.trim().split(['-', '_']).skip(1).find_map(of_region));
    of_language.or_else(|| of_region(page.domain()?.rsplit('.').next()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_decides_between_the_meanings_of_a_mark() {
        let check = |mark: &str, language: Option<&str>, host: &str, expected: &str| {
            let page = Url::parse(&format!("https://{host}/p")).unwrap();
            let currency = field(mark).unwrap().settle(home(language, &page));
            assert_eq!(currency.as_str(), expected, "{mark} {language:?} {host}");
        };
        check("$", None, "shop.example", "USD");
        check("$", Some("en-CA"), "shop.example", "CAD");
        check("$", Some("en"), "shop.com.au", "AUD");
        check("$", Some("fr_CA"), "shop.example", "CAD");
        check("kr", None, "shop.no", "NOK");
        check("kr.", Some("da-DK"), "shop.example", "DKK");
        check("kr", None, "shop.example", "SEK");
        check("¥", None, "shop.cn", "CNY");
        check("¥", None, "shop.de", "JPY");
        check("€", None, "shop.se", "EUR");
        check("usd", None, "shop.ca", "USD");
        check("Rs.", None, "shop.pk", "PKR");
        check("RMB", None, "shop.example", "CNY");
    }

    #[test]
    fn every_code_of_the_tables_is_a_currency() {
        let tables = SYMBOLS.iter().chain(WORDS).chain(OTHER_CODES);
        let codes = tables.flat_map(|(_, codes)| codes.iter());
        for code in codes.chain(CODES.iter().copied().flatten()) {
            assert_eq!(Currency::parse(code).unwrap().as_str(), *code);
        }
        for (_, code) in REGIONS {
            assert!(Currency::parse(code).is_ok(), "{code}");
        }
    }
}
