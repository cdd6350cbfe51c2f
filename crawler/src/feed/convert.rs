//! Text of a field to the value of a column. Every function says why a value
//! is not usable; what becomes of it is decided by the mapper.

use trawler_core::product::{Currency, Money};

/// Longest id; both specifications allow 50 characters.
pub(super) const ID_BYTES_MAX: usize = 256;

/// Longest URL that servers and browsers commonly take.
pub(super) const URL_BYTES_MAX: usize = 8 << 10;

/// Why a value is not usable.
pub(super) type Bad = &'static str;

const CONTROL: Bad = "holds control characters";

/// Text without control characters other than line breaks and tabs.
pub(super) fn text(found: &str) -> Result<&str, Bad> {
    let suspicious = found.bytes().any(|b| b < 0x20 || b == 0x7f);
    if suspicious && found.bytes().any(is_control) {
        return Err(CONTROL);
    }
    Ok(found)
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 || byte == 0x7f) && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Cuts text to a number of bytes, between two characters.
pub(super) fn cut(found: &str, bytes_max: usize) -> &str {
    if found.len() <= bytes_max {
        return found;
    }
    let mut end = bytes_max;
    while !found.is_char_boundary(end) {
        end -= 1;
    }
    &found[..end]
}

pub(super) fn id(found: &str) -> Result<&str, Bad> {
    if found.is_empty() {
        return Err("is missing");
    }
    if found.len() > ID_BYTES_MAX {
        return Err("is longer than 256 bytes");
    }
    if found.chars().any(char::is_control) {
        return Err(CONTROL);
    }
    Ok(found)
}

/// An absolute http or https URL. The path may hold any printable character:
/// partners send Hangul and blanks, which the fetcher encodes.
pub(super) fn url(found: &str) -> Result<&str, Bad> {
    const NOT_A_URL: Bad = "is not an absolute http or https URL";
    if found.len() > URL_BYTES_MAX {
        return Err("is longer than 8192 bytes");
    }
    let bytes = found.as_bytes();
    let rest = match bytes {
        [
            b'h' | b'H',
            b't' | b'T',
            b't' | b'T',
            b'p' | b'P',
            rest @ ..,
        ] => rest,
        _ => return Err(NOT_A_URL),
    };
    let rest = match rest {
        [b's' | b'S', b':', b'/', b'/', rest @ ..] | [b':', b'/', b'/', rest @ ..] => rest,
        _ => return Err(NOT_A_URL),
    };
    let ends_host = |b: &u8| matches!(b, b'/' | b'?' | b'#');
    let host_bytes = rest.iter().position(ends_host).unwrap_or(rest.len());
    let host = &rest[..host_bytes];
    let in_host = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'@' | b'%')
            || !b.is_ascii()
    };
    if host.is_empty() || !host.iter().all(in_host) || host.starts_with(b":") {
        return Err(NOT_A_URL);
    }
    if rest.iter().any(|b| *b < 0x20 || *b == 0x7f) {
        return Err(CONTROL);
    }
    Ok(found)
}

/// Signs that name one currency only.
const SIGNS: &[(char, &str)] = &[('₩', "KRW"), ('원', "KRW"), ('€', "EUR"), ('£', "GBP")];

/// An amount and the currency that it names: `19.90 USD`, `USD 19.90`,
/// `12,900원`, `12900`.
pub(super) fn split_money(found: &str) -> (&str, Option<Currency>) {
    let bytes = found.as_bytes();
    let code = |from: usize| Currency::parse(found.get(from..from + 3)?).ok();
    // Letters are a code only beside an amount: `cheap` is not 0 EAP.
    let amount_at_end = |amount: &str| amount.ends_with(|c: char| c.is_ascii_digit());
    if let [.., b'a'..=b'z' | b'A'..=b'Z'] = bytes {
        if let Some(currency) = bytes.len().checked_sub(3).and_then(code) {
            let amount = found[..bytes.len() - 3].trim_end();
            if amount_at_end(amount) {
                return (amount, Some(currency));
            }
        }
    } else if let [b'a'..=b'z' | b'A'..=b'Z', ..] = bytes {
        if let Some(currency) = code(0) {
            let amount = found[3..].trim_start();
            if !amount.starts_with(|c: char| c.is_alphabetic()) {
                return (amount, Some(currency));
            }
        }
    } else if !found.is_ascii() {
        for (sign, code) in SIGNS {
            let amount = found
                .strip_prefix(*sign)
                .or_else(|| found.strip_suffix(*sign));
            if let Some(amount) = amount {
                return (amount.trim(), Currency::parse(code).ok());
            }
        }
    }
    (found, None)
}

/// Minor units of `currency`. `named` is the currency in the amount itself.
pub(super) fn money(
    amount: &str,
    named: Option<Currency>,
    currency: Option<Currency>,
) -> Result<i64, Bad> {
    let Some(currency) = currency else {
        return Err("names no currency, and the pipe has no default");
    };
    if named.is_some_and(|named| named != currency) {
        return Err("is in another currency than the price");
    }
    let digits = amount.as_bytes();
    let plain = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_digit);
    if plain && currency.exponent() == 0 {
        return Ok(digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')));
    }
    match Money::parse(amount, currency) {
        Ok(money) if money.amount_minor >= 0 => Ok(money.amount_minor),
        Ok(_) => Err("is negative"),
        Err(_) => Err("is not an amount of money"),
    }
}

/// A delivery charge: 0 is free, -1 is paid on delivery, and shops also write
/// both as words.
pub(super) fn shipping_cost(found: &str, currency: Option<Currency>) -> Result<i64, Bad> {
    match found {
        "-1" | "착불" => Ok(-1),
        "무료" | "무료배송" => Ok(0),
        _ => {
            let (amount, named) = split_money(found);
            money(amount, named, currency)
        }
    }
}

/// An amount that is in minor units already.
pub(super) fn minor(found: &str) -> Result<i64, Bad> {
    match int(found)? {
        amount if amount < 0 => Err("is negative"),
        amount => Ok(amount),
    }
}

/// A whole number, thousands grouped by commas or not.
pub(super) fn int(found: &str) -> Result<i64, Bad> {
    const NOT_A_NUMBER: Bad = "is not a whole number";
    if let Ok(number) = found.parse() {
        return Ok(number);
    }
    let mut groups = found.split(',');
    let first = groups.next().unwrap_or_default();
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.is_empty() || first.len() > 4 {
            return Err(NOT_A_NUMBER);
        }
        digits.push_str(group);
    }
    // `3.0` is what spreadsheets make of 3.
    let whole = digits.strip_suffix(".0").unwrap_or(&digits);
    whole.parse().map_err(|_| NOT_A_NUMBER)
}

pub(super) fn boolean(found: &str) -> Result<bool, Bad> {
    let is = |words: &[&str]| words.iter().any(|word| found.eq_ignore_ascii_case(word));
    if is(&["y", "yes", "true", "1", "t"]) {
        Ok(true)
    } else if is(&["n", "no", "false", "0", "f"]) {
        Ok(false)
    } else {
        Err("is neither yes nor no")
    }
}

/// What a measure is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Grams,
    Centimetres,
}

const GRAMS: &[(&str, f64)] = &[
    ("g", 1.0),
    ("kg", 1_000.0),
    ("mg", 0.001),
    ("lb", 453.592_37),
    ("lbs", 453.592_37),
    ("oz", 28.349_523_125),
];

const CENTIMETRES: &[(&str, f64)] = &[
    ("cm", 1.0),
    ("mm", 0.1),
    ("m", 100.0),
    ("in", 2.54),
    ("inch", 2.54),
    ("ft", 30.48),
];

/// A number with its unit, in the unit of the column.
pub(super) fn measure(found: &str, measure: Measure) -> Result<f64, Bad> {
    let end = found
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(found.len());
    let (number, unit) = (&found[..end], found[end..].trim());
    let units = match measure {
        Measure::Grams => GRAMS,
        Measure::Centimetres => CENTIMETRES,
    };
    let factor = units
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name))
        .map(|(_, factor)| factor)
        .ok_or("has no unit that is known")?;
    let number: f64 = number.parse().map_err(|_| "is not a number with a unit")?;
    Ok(number * factor)
}

/// Digits of a GTIN whose check digit is right (GS1, 7.9).
pub(super) fn gtin(found: &str) -> Result<String, Bad> {
    let first = found.split([',', '|']).next().unwrap_or_default();
    let mut digits = String::with_capacity(14);
    for b in first.bytes() {
        match b {
            b'0'..=b'9' if digits.len() < 14 => digits.push(char::from(b)),
            b' ' | b'-' => {}
            _ => return Err("is not a GTIN of digits"),
        }
    }
    if !matches!(digits.len(), 8 | 12 | 13 | 14) {
        return Err("is not a GTIN of 8, 12, 13 or 14 digits");
    }
    let weighted = digits.bytes().rev().enumerate().map(|(at, b)| {
        let weight = if at % 2 == 1 { 3 } else { 1 };
        u32::from(b - b'0') * weight
    });
    if weighted.sum::<u32>() % 10 == 0 {
        Ok(digits)
    } else {
        Err("has a wrong check digit")
    }
}

/// The values of a list. Between double quotes, a comma does not separate.
pub(super) fn list(found: &str, separator: char) -> Vec<&str> {
    let mut values = Vec::new();
    let mut rest = found;
    while !rest.is_empty() {
        let quoted = (separator == ',')
            .then(|| rest.trim_start().strip_prefix('"'))
            .flatten()
            .and_then(|inner| inner.split_once('"'));
        let (value, after) = match quoted {
            Some((value, after)) => (value, after.trim_start().trim_start_matches(separator)),
            None => rest.split_once(separator).unwrap_or((rest, "")),
        };
        if !value.trim().is_empty() {
            values.push(value.trim());
        }
        rest = after;
    }
    values
}

/// The levels of a category path, joined by `>` without blanks.
pub(super) fn path<'a>(levels: impl IntoIterator<Item = &'a str>) -> String {
    let mut path = String::new();
    for level in levels.into_iter().flat_map(|part| part.split('>')) {
        let level = level.trim();
        if !level.is_empty() {
            if !path.is_empty() {
                path.push('>');
            }
            path.push_str(level);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn money_names_its_currency_or_takes_the_default() {
        let check = |found: &str, default: Option<&str>, expected: Option<(i64, &str)>| {
            let default = default.map(|code| Currency::parse(code).unwrap());
            let (amount, named) = split_money(found);
            let currency = named.or(default);
            let minor = money(amount, named, currency).ok();
            let found_money = minor.zip(currency.map(|c| c.to_string()));
            let expected = expected.map(|(minor, code)| (minor, code.to_owned()));
            assert_eq!(found_money, expected, "{found:?}");
        };
        check("19.90 USD", None, Some((1990, "USD")));
        check("19.90USD", Some("KRW"), Some((1990, "USD")));
        check("USD 19.90", None, Some((1990, "USD")));
        check("12900", Some("KRW"), Some((12900, "KRW")));
        check("12,900", Some("KRW"), Some((12900, "KRW")));
        check("12,900원", None, Some((12900, "KRW")));
        check("₩12,900", None, Some((12900, "KRW")));
        check("1.234,50 €", None, Some((123_450, "EUR")));
        check("12900", None, None);
        check("call us", Some("KRW"), None);
        check("cheap", Some("KRW"), None);
        check("", Some("KRW"), None);
        check("-5", Some("KRW"), None);
    }

    #[test]
    fn delivery_is_free_charged_or_paid_on_delivery() {
        let check = |found: &str, expected: Option<i64>| {
            let cost = shipping_cost(found, Some(Currency::KRW)).ok();
            assert_eq!(cost, expected, "{found:?}");
        };
        check("0", Some(0));
        check("2500", Some(2500));
        check("2,500원", Some(2500));
        check("-1", Some(-1));
        check("무료", Some(0));
        check("착불", Some(-1));
        check("-2", None);
        check("-2500", None);
        check("30000/2500", None);
        check("5 USD", None);
        check("", None);
    }

    #[test]
    fn minor_units_are_not_negative() {
        assert_eq!(minor("1990"), Ok(1990));
        assert_eq!(minor("0"), Ok(0));
        assert!(minor("-1").is_err());
        assert!(minor("19.90").is_err());
    }

    #[test]
    fn amounts_in_another_currency_are_refused() {
        let (usd, krw) = (Currency::parse("USD").unwrap(), Currency::KRW);
        assert!(money("5", Some(usd), Some(krw)).is_err());
        assert_eq!(money("5", Some(usd), Some(usd)), Ok(500));
    }

    #[test]
    fn ids_are_bounded_and_printable() {
        let check = |found: &str, ok: bool| assert_eq!(id(found).is_ok(), ok, "{found:?}");
        check("A-1", true);
        check("가방 1", true);
        check("", false);
        check("a\0b", false);
        check("a\u{85}b", false);
        check(&"x".repeat(256), true);
        check(&"x".repeat(257), false);
    }

    #[test]
    fn urls_are_absolute() {
        let check = |found: &str, ok: bool| assert_eq!(url(found).is_ok(), ok, "{found:?}");
        check("https://shop.example/p/1", true);
        check("HTTP://shop.example", true);
        check("http://shop.example:8080/?q=a b#x", true);
        check("https://shop.example/상품/1", true);
        check("https://한글.kr/1", true);
        check("http://[::1]/x", true);
        check("ftp://shop.example/", false);
        check("//shop.example/p", false);
        check("shop.example/p", false);
        check("https://", false);
        check("https:///p", false);
        check("https://sh op.example/", false);
        check("https://shop.example/\0", false);
        check("javascript:alert(1)", false);
        check("http", false);
    }

    #[test]
    fn whole_numbers() {
        let check = |found: &str, expected: Option<i64>| {
            assert_eq!(int(found).ok(), expected, "{found:?}");
        };
        check("3", Some(3));
        check("-3", Some(-3));
        check("1,234,567", Some(1_234_567));
        check("3.0", Some(3));
        check("3.5", None);
        check("1,23", None);
        check("many", None);
        check("", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn flags() {
        let check = |found: &str, expected: Option<bool>| {
            assert_eq!(boolean(found).ok(), expected, "{found:?}");
        };
        check("Y", Some(true));
        check("yes", Some(true));
        check("TRUE", Some(true));
        check("N", Some(false));
        check("false", Some(false));
        check("maybe", None);
    }

    #[test]
    fn measures_are_converted() {
        let check = |found: &str, unit: Measure, expected: Option<f64>| {
            assert_eq!(measure(found, unit).ok(), expected, "{found:?}");
        };
        check("1.5 kg", Measure::Grams, Some(1500.0));
        check("250g", Measure::Grams, Some(250.0));
        check("2 LB", Measure::Grams, Some(907.184_74));
        check("10 in", Measure::Centimetres, Some(25.4));
        check("20 cm", Measure::Centimetres, Some(20.0));
        check("20", Measure::Centimetres, None);
        check("20 kg", Measure::Centimetres, None);
        check("kg", Measure::Grams, None);
        check("-1 kg", Measure::Grams, None);
        check("1.2.3 kg", Measure::Grams, None);
    }

    #[test]
    fn gtins_have_a_right_check_digit() {
        let check = |found: &str, expected: Option<&str>| {
            assert_eq!(gtin(found).ok().as_deref(), expected, "{found:?}");
        };
        check("4006381333931", Some("4006381333931"));
        check("4006381333932", None);
        check("400-6381-333931", Some("4006381333931"));
        check("96385074", Some("96385074"));
        check("036000291452", Some("036000291452"));
        check("10012345678902", Some("10012345678902"));
        check("4006381333931,4006381333932", Some("4006381333931"));
        check("123", None);
        check("40063813339311111", None);
        check("ISBN", None);
        check("", None);
    }

    #[test]
    fn lists_and_paths() {
        assert_eq!(list("a| b ||c|", '|'), ["a", "b", "c"]);
        assert_eq!(list("\"a, b\", c", ','), ["a, b", "c"]);
        assert_eq!(list("", ','), [""; 0]);
        assert_eq!(path(["Home > Garden ", "", "Lawn"]), "Home>Garden>Lawn");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("가나다", 7), "가나");
        assert_eq!(cut("abc", 3), "abc");
        assert!(text("a\0").is_err());
        assert!(text("a\tb\nc").is_ok());
    }
}
