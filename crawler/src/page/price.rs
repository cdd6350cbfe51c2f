//! Amounts as shops write them (`£51.77`, `1,299.00`, `12,000원`,
//! `1.234,56 €`, `₩ 9,900 ~`): finds the amount and the currency in the text
//! and leaves the arithmetic to [`Money`].

use trawler_core::product::{Currency, Money, MoneyError};

use super::fields::{PriceText, Written};
use super::remarks::quoted;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PriceError {
    #[error("{0} holds no amount")]
    NoAmount(String),
    #[error("{0} has no currency, and neither does the rest of the page")]
    NoCurrency(String),
    #[error("{0} is below zero")]
    Negative(String),
    #[error("{text} was not understood: {source}")]
    Money { text: String, source: MoneyError },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReadPrice {
    pub(super) money: Money,
    pub(super) remarks: Vec<String>,
}

/// Marks of currencies in text; `true` where the mark means one currency only.
/// Longer marks come before those that they contain.
#[rustfmt::skip]
const MARKS: &[(&str, &str, bool)] = &[
    ("US$", "USD", true), ("CA$", "CAD", true), ("C$", "CAD", true), ("AU$", "AUD", true),
    ("A$", "AUD", true), ("NZ$", "NZD", true), ("HK$", "HKD", true), ("NT$", "TWD", true),
    ("S$", "SGD", true), ("R$", "BRL", true), ("MX$", "MXN", true), ("CN¥", "CNY", true),
    ("₩", "KRW", true), ("원", "KRW", true), ("£", "GBP", true), ("€", "EUR", true),
    ("円", "JPY", true), ("元", "CNY", true), ("₹", "INR", true), ("₽", "RUB", true),
    ("₺", "TRY", true), ("₫", "VND", true), ("฿", "THB", true), ("₪", "ILS", true),
    ("₴", "UAH", true), ("₱", "PHP", true), ("zł", "PLN", true), ("Kč", "CZK", true),
    ("$", "USD", false), ("¥", "JPY", false), ("\u{20a8}", "INR", false),
];

/// ISO 4217 codes that are recognised as words in text; any three letters
/// would be too many (`OFF`, `VAT`).
#[rustfmt::skip]
const CODES: &[&str] = &[
    "AED", "ARS", "AUD", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK",
    "EGP", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JOD", "JPY", "KRW", "KWD",
    "MAD", "MXN", "MYR", "NGN", "NOK", "NZD", "OMR", "PEN", "PHP", "PKR", "PLN", "QAR", "RON",
    "RSD", "RUB", "SAR", "SEK", "SGD", "THB", "TND", "TRY", "TWD", "UAH", "USD", "VND", "ZAR",
];

/// The currency that a text names, and whether the mark is that currency's alone.
pub(super) fn currency_in(text: &str) -> Option<(Currency, bool)> {
    let text: String = text.chars().map(half_width).collect();
    let code = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .find(|word| CODES.contains(word))
        .map(|code| (code, true));
    let marked = || {
        MARKS
            .iter()
            .find(|(mark, ..)| text.contains(mark))
            .map(|(_, code, alone)| (*code, *alone))
    };
    let (code, alone) = code.or_else(marked)?;
    Some((
        Currency::parse(code).expect("the tables hold ISO codes"),
        alone,
    ))
}

/// A currency field: an ISO code in any case, or a mark.
pub(super) fn currency_field(text: &str) -> Option<Currency> {
    let text = text.trim();
    Currency::parse(text)
        .ok()
        .or_else(|| currency_in(text).map(|(currency, _)| currency))
}

/// Reads the first amount in a text. The currency that the text itself names
/// is believed only where none is declared.
pub(super) fn read(price: &PriceText, declared: Option<Currency>) -> Result<ReadPrice, PriceError> {
    let shown = || quoted(price.text.trim());
    let mut amount = first_amount(&price.text).ok_or_else(|| PriceError::NoAmount(shown()))?;
    let mut remarks = Vec::new();
    let named = currency_in(&price.text);
    let currency = match (declared, named) {
        (Some(currency), named) => {
            if let Some((other, true)) = named.filter(|(other, _)| *other != currency) {
                remarks.push(format!(
                    "{} looks like {other}, read as {currency}",
                    shown()
                ));
            }
            currency
        }
        (None, Some((currency, _))) => currency,
        (None, None) => return Err(PriceError::NoCurrency(shown())),
    };
    if let Some((_, false)) = named.filter(|(named, _)| *named == currency) {
        remarks.push(format!(
            "the currency mark in {} is used by several currencies, read as {currency}",
            shown()
        ));
    }
    if amount.starts_with('-') {
        return Err(PriceError::Negative(shown()));
    }
    if price.written == Written::ForPeople && dots_group_thousands(&amount) {
        amount.retain(|c| c != '.');
    }
    let money = match Money::parse(&amount, currency) {
        Err(MoneyError::TooPrecise { .. }) if price.written == Written::ForMachines => {
            let rounded = rounded(&amount, currency);
            remarks.push(format!(
                "{} has too many decimals for {currency}, rounded to {rounded}",
                shown()
            ));
            Money::parse(&rounded, currency)
        }
        other => other,
    }
    .map_err(|source| PriceError::Money {
        text: shown(),
        source,
    })?;
    if money.amount_minor == 0 {
        remarks.push("it is zero".to_owned());
    }
    Ok(ReadPrice { money, remarks })
}

/// The first run of digits with its separators, in plain ASCII.
fn first_amount(text: &str) -> Option<String> {
    /// Longer than any amount; the rest of a page's text is not looked at.
    const LOOKED_AT_CHARS: usize = 300;
    let chars: Vec<char> = text.chars().take(LOOKED_AT_CHARS).map(half_width).collect();
    let start = chars.iter().position(char::is_ascii_digit)?;
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let mut amount = String::new();
    let before = chars[..start].iter().rposition(|c| !c.is_whitespace());
    let signed = before.is_some_and(|at| {
        // `USD -5` has a sign, `pre-5` and `1-5` a hyphen.
        chars[at] == '-' && !chars[..at].last().is_some_and(|c| c.is_alphanumeric())
    });
    if signed {
        amount.push('-');
    }
    let mut at = start;
    while at < chars.len() {
        let c = chars[at];
        let belongs = match c {
            '0'..='9' => true,
            '.' | ',' | '\'' => is_digit(at + 1),
            // `1 299,00` groups, `51 77 left` does not.
            ' ' => {
                (1..=3).all(|step| is_digit(at + step))
                    && !is_digit(at + 4)
                    && at - start <= amount.len()
                    && !amount.contains('.')
            }
            _ => false,
        };
        if !belongs {
            break;
        }
        amount.push(c);
        at += 1;
    }
    Some(amount)
}

/// Full-width forms and the typographic spaces and apostrophes to ASCII.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xfee0).expect("full-width forms map into ASCII")
        }
        '\u{ffe6}' => '₩',
        '\u{ffe5}' => '¥',
        '\u{ffe1}' => '£',
        '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{3000}' => ' ',
        '\u{2019}' => '\'',
        '\u{2212}' | '\u{2013}' => '-',
        _ => c,
    }
}

/// `1.299` or `12.345.678`: every dot is followed by exactly three digits,
/// and the first has one to three before it.
fn dots_group_thousands(amount: &str) -> bool {
    let mut groups = amount.split('.');
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    !amount.contains(',')
        && (1..=3).contains(&first.len())
        && first != "0"
        && !rest.is_empty()
        && rest.iter().all(|group| group.len() == 3)
}

/// Rounds half up at the currency's decimals, on the decimal digits:
/// binary fractions such as 33.489999999999995 are what makes this needed.
fn rounded(amount: &str, currency: Currency) -> String {
    let Some(dot) = amount.rfind(['.', ',']) else {
        return amount.to_owned();
    };
    let keep = currency.exponent() as usize;
    let (whole, decimals) = (&amount[..dot], &amount[dot + 1..]);
    let up = decimals.as_bytes().get(keep).is_some_and(|b| *b >= b'5');
    let mut digits: Vec<u8> = whole
        .bytes()
        .filter(u8::is_ascii_digit)
        .chain(decimals.bytes().take(keep))
        .collect();
    let mut carry = up;
    for digit in digits.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    if carry {
        digits.insert(0, b'1');
    }
    let mut text = String::from_utf8(digits).expect("ASCII digits");
    if keep > 0 {
        text.insert(text.len() - keep, '.');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn prices_of_every_locale() {
        let check = |text: &str, declared: Option<&str>, expected: Option<(i64, &str)>| {
            let declared = declared.map(|code| Currency::parse(code).unwrap());
            let found = read(&PriceText::of_field(text.to_owned()), declared).ok();
            let found =
                found.map(|read| (read.money.amount_minor, read.money.currency.to_string()));
            let found = found.as_ref().map(|(minor, code)| (*minor, code.as_str()));
            assert_eq!(found, expected, "{text:?} {declared:?}");
        };
        check("1,299.00", Some("USD"), Some((129_900, "USD")));
        check("₩12,900", None, Some((12_900, "KRW")));
        check("₩ 9,900 ~", None, Some((9_900, "KRW")));
        check("12,000원", None, Some((12_000, "KRW")));
        check("１２，０００円", None, Some((12_000, "JPY")));
        check("£51.77", None, Some((5_177, "GBP")));
        check("1.234,56 €", None, Some((123_456, "EUR")));
        check("1.299 €", None, Some((129_900, "EUR")));
        check("1.299,- €", None, Some((129_900, "EUR")));
        check("1\u{a0}299,00\u{a0}€", None, Some((129_900, "EUR")));
        check("CHF 1’299.50", None, Some((129_950, "CHF")));
        check("US$ 5", None, Some((500, "USD")));
        check("$119.99", Some("CAD"), Some((11_999, "CAD")));
        check("from 10.00 to 20.00 GBP", None, Some((1_000, "GBP")));
        check("51 77 left", Some("USD"), Some((5_100, "USD")));
        check("119.99 ", Some("USD"), Some((11_999, "USD")));
        check("119.9", Some("USD"), Some((11_990, "USD")));
        check("1299.0", Some("KRW"), Some((1_299, "KRW")));
        check("33.489999999999995", Some("USD"), Some((3_349, "USD")));
        check("9.999", Some("USD"), Some((1_000, "USD")));
        check("12900", None, None);
        check("call us", Some("USD"), None);
        check("-5", Some("USD"), None);
        check("", Some("USD"), None);
        check("99999999999999999999", Some("USD"), None);
    }

    #[test]
    fn ambiguity_is_told() {
        let check = |text: &str, declared: Option<&str>, expected: &str| {
            let declared = declared.map(|code| Currency::parse(code).unwrap());
            let read = read(&PriceText::of_field(text.to_owned()), declared).unwrap();
            assert!(
                read.remarks.join("; ").contains(expected),
                "{text}: {:?}",
                read.remarks
            );
        };
        check("$5", None, "several currencies, read as USD");
        check("€5", Some("USD"), "looks like EUR, read as USD");
        check("9.999", Some("USD"), "rounded to 10.00");
        check("0.00", Some("USD"), "it is zero");
    }

    #[test]
    fn price_errors_say_what_was_found() {
        let check = |text: &str, expected: &str| {
            let error = read(&PriceText::of_field(text.to_owned()), None).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("call us", "\"call us\" holds no amount");
        check(
            "5",
            "\"5\" has no currency, and neither does the rest of the page",
        );
        check("£ -5", "\"£ -5\" is below zero");
    }
}
