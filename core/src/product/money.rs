//! Amounts of money: integer minor units and an ISO 4217 currency, never a
//! floating-point number.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 code, three upper-case letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct Currency([u8; 3]);

/// Currencies without minor unit (ISO 4217, exponent 0).
const EXPONENT_0: &[&[u8; 3]] = &[
    b"BIF", b"CLP", b"DJF", b"GNF", b"ISK", b"JPY", b"KMF", b"KRW", b"PYG", b"RWF", b"UGX", b"UYI",
    b"VND", b"VUV", b"XAF", b"XOF", b"XPF",
];
/// Currencies with thousandths (ISO 4217, exponent 3).
const EXPONENT_3: &[&[u8; 3]] = &[b"BHD", b"IQD", b"JOD", b"KWD", b"LYD", b"OMR", b"TND"];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{0:?} is not an amount of money; write digits with at most one decimal separator")]
    NotAnAmount(String),
    #[error("{0:?} is not a currency; write a three-letter ISO 4217 code")]
    NotACurrency(String),
    #[error("{amount:?} has more decimals than {currency} allows")]
    TooPrecise { amount: String, currency: Currency },
    #[error("{0:?} is too large an amount")]
    TooLarge(String),
}

impl Currency {
    pub const KRW: Self = Self(*b"KRW");

    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let not_a_currency = || MoneyError::NotACurrency(text.chars().take(32).collect());
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| not_a_currency())?;
        if code.iter().all(u8::is_ascii_alphabetic) {
            Ok(Self(code.map(|b| b.to_ascii_uppercase())))
        } else {
            Err(not_a_currency())
        }
    }

    /// Decimal digits of the minor unit.
    pub fn exponent(self) -> u32 {
        if EXPONENT_0.contains(&&self.0) {
            0
        } else if EXPONENT_3.contains(&&self.0) {
            3
        } else {
            2
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units: 1990 USD is 19.90 dollars, 1990 KRW is 1,990 won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub amount_minor: i64,
    pub currency: Currency,
}

impl Money {
    /// Reads `19.90`, `1,990`, `1 990,00` or `1.990,00` as an amount of `currency`.
    ///
    /// A separator followed by exactly three digits groups thousands, unless
    /// the currency has three decimals and the separator is the only one;
    /// anything else after the last separator is the decimals.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let amount_minor = parse_minor(text.trim(), currency)?;
        Ok(Self {
            amount_minor,
            currency,
        })
    }
}

fn parse_minor(text: &str, currency: Currency) -> Result<i64, MoneyError> {
    let shown = || text.chars().take(64).collect::<String>();
    let exponent = currency.exponent() as usize;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = split_decimals(digits, exponent);
    let significant = decimals.trim_end_matches('0');
    if significant.len() > exponent && significant.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MoneyError::TooPrecise {
            amount: shown(),
            currency,
        });
    }
    let mut minor: i64 = 0;
    let mut seen = 0_usize;
    let mut push = |b: u8| -> Option<()> {
        minor = minor.checked_mul(10)?.checked_add(i64::from(b - b'0'))?;
        Some(())
    };
    for b in whole.bytes() {
        match b {
            b'0'..=b'9' => {
                seen += 1;
                push(b).ok_or_else(|| MoneyError::TooLarge(shown()))?;
            }
            b',' | b'.' | b' ' | b'\'' if seen > 0 => {}
            _ => return Err(MoneyError::NotAnAmount(shown())),
        }
    }
    for at in 0..exponent {
        let b = decimals.as_bytes().get(at).copied().unwrap_or(b'0');
        if !b.is_ascii_digit() {
            return Err(MoneyError::NotAnAmount(shown()));
        }
        push(b).ok_or_else(|| MoneyError::TooLarge(shown()))?;
    }
    let decimals_ok = decimals.bytes().all(|b| b.is_ascii_digit());
    if seen == 0 || !decimals_ok {
        return Err(MoneyError::NotAnAmount(shown()));
    }
    Ok(if negative { -minor } else { minor })
}

/// Cuts the digits at the decimal separator, if the last separator is one.
fn split_decimals(digits: &str, exponent: usize) -> (&str, &str) {
    let Some(at) = digits.rfind(['.', ',']) else {
        return (digits, "");
    };
    let (whole, rest) = (&digits[..at], &digits[at + 1..]);
    let only_one = !whole.contains(['.', ',']);
    let groups_thousands = rest.len() == 3 && !(exponent == 3 && only_one);
    // `1.234` with a dot is decimals everywhere but where dots group already.
    let dot_alone = digits.as_bytes()[at] == b'.' && only_one && exponent == 2;
    if groups_thousands && !dot_alone {
        (digits, "")
    } else {
        (whole, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_become_minor_units() {
        let check = |text: &str, currency: &str, expected: Option<i64>| {
            let currency = Currency::parse(currency).expect("a currency");
            let found = Money::parse(text, currency)
                .ok()
                .map(|money| money.amount_minor);
            assert_eq!(found, expected, "{text:?} {currency}");
        };
        check("19.90", "USD", Some(1990));
        check("19.9", "USD", Some(1990));
        check("19", "USD", Some(1900));
        check("1,990", "KRW", Some(1990));
        check("12900", "KRW", Some(12900));
        check("12900.00", "KRW", Some(12900));
        check("12900.50", "KRW", None);
        check("1.990,00", "EUR", Some(199_000));
        check("1 990,00", "EUR", Some(199_000));
        check("1,234,567.89", "USD", Some(123_456_789));
        check("1.234", "BHD", Some(1234));
        check("1.2345", "USD", None);
        check("1.234", "USD", None);
        check("-5", "USD", Some(-500));
        check("", "USD", None);
        check("-", "USD", None);
        check("free", "USD", None);
        check("1e5", "USD", None);
        check("9223372036854775807", "KRW", Some(i64::MAX));
        check("9223372036854775808", "KRW", None);
    }

    #[test]
    fn currencies_are_three_letters() {
        assert_eq!(Currency::parse("krw"), Ok(Currency::KRW));
        assert!(Currency::parse("won").is_ok());
        assert!(Currency::parse("₩").is_err());
        assert!(Currency::parse("US").is_err());
    }
}
