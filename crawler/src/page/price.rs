//! Amounts as shops write them (`£51.77`, `1,299.00`, `12,000원`,
//! `1.234,56 €`, `₩ 9,900 ~`, `CHF 1'299.–`): finds the amount that is the
//! price and its currency, and decides what the separators mean. Of a range
//! the lowest amount counts. `Free` is zero; `POA` is no amount.

mod amount;
mod currency;

#[cfg(test)]
mod tests;

use trawler_core::product::{Currency, Money, MoneyError};

use super::fields::{PriceText, Written};
use super::remarks::quoted;
use amount::{Amount, Decimal, LOOKED_AT_CHARS};

pub(super) use currency::{Named, home};

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

/// Texts that say that nothing is to be paid, in lower case.
const FREE: &[&str] = &[
    "free",
    "free!",
    "gratis",
    "kostenlos",
    "gratuit",
    "grátis",
    "무료",
    "無料",
    "免费",
    "免費",
    "бесплатно",
    "za darmo",
    "ücretsiz",
    "مجاني",
];

/// What stands between the two ends of a range.
const BETWEEN: &[&str] = &[
    "-", "--", "~", "to", "bis", "à", "a", "até", "hasta", "til", "till", "do", "до", "から",
    "부터", "and", "und", "et",
];

/// Longest text that still only names a range's middle, in characters.
const BETWEEN_CHARS_MAX: usize = 16;

/// The currency that a text names, and whether the mark is that currency's alone.
pub(super) fn currency_in(text: &str) -> Option<(Currency, bool)> {
    named_in(text).map(|named| (named.settle(None), named.is_alone()))
}

/// What the currency mark of a text may mean: of the price in it, or anywhere.
pub(super) fn named_in(text: &str) -> Option<Named> {
    let chars = looked_at(text);
    let of_price = choose(&chars).and_then(|(_, named)| named);
    of_price.or_else(|| currency::anywhere(&chars.iter().collect::<String>()))
}

/// A currency field: an ISO code in any case, or a mark.
pub(super) fn currency_field(text: &str) -> Option<Currency> {
    currency_field_at(text, None)
}

/// A currency field of a page that is made for the place with currency `home`.
pub(super) fn currency_field_at(text: &str, home: Option<Currency>) -> Option<Currency> {
    let text: String = text.trim().chars().map(amount::ascii).collect();
    Currency::parse(&text)
        .ok()
        .filter(|_| currency::field(&text).is_none())
        .or_else(|| currency::field(&text).map(|named| named.settle(home)))
}

/// What is known of the currency of a price besides its text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Currencies {
    /// Declared beside the price: believed before what the text itself names.
    pub(super) declared: Option<Currency>,
    /// Of the place that the page is made for.
    pub(super) home: Option<Currency>,
    /// Where neither text nor declaration names any.
    pub(super) default: Option<Currency>,
}

/// Reads the price in a text. The currency that the text itself names is
/// believed only where none is declared.
pub(super) fn read(price: &PriceText, declared: Option<Currency>) -> Result<ReadPrice, PriceError> {
    let currencies = Currencies {
        declared,
        ..Currencies::default()
    };
    read_at(price, currencies)
}

/// Reads a price with all that the page says of its currency.
pub(super) fn read_at(price: &PriceText, known: Currencies) -> Result<ReadPrice, PriceError> {
    let shown = || quoted(price.text.trim());
    let chars = looked_at(&price.text);
    let (chosen, named) = match choose(&chars) {
        Some((amounts, named)) => (Some(amounts), named),
        None if is_free(&price.text) => (None, None),
        None => return Err(PriceError::NoAmount(shown())),
    };
    let anywhere = || currency::anywhere(&chars.iter().collect::<String>());
    // A plain number names nothing.
    let is_plain = chars
        .iter()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    let named = named.or_else(|| (!is_plain).then(anywhere)?);
    let mut remarks = Vec::new();
    let currency = currency_of(known, named, &shown, &mut remarks)?;
    let machine = price.written == Written::ForMachines;
    let lone_groups = |separator: char| match (separator, currency.exponent()) {
        // No currency has thousandths of what it has no hundredths of.
        (_, 0) => true,
        ('.', 3) => false,
        ('.', _) => !machine,
        _ => true,
    };
    let decimal = match (&chosen, amount::scientific(price.text.trim())) {
        (_, Some(decimal)) if machine => decimal,
        (Some(amounts), _) => {
            if amounts.iter().any(|amount| amount.negative) {
                return Err(PriceError::Negative(shown()));
            }
            let decimals = amounts.iter().map(|amount| amount.decimal(lone_groups));
            decimals
                .min_by(|a, b| a.key().cmp(&b.key()))
                .expect("a choice holds one amount at least")
        }
        (None, _) => Decimal {
            whole: "0".to_owned(),
            decimals: String::new(),
        },
    };
    let money = money(&decimal, currency, machine, &shown, &mut remarks)?;
    if money.amount_minor == 0 {
        remarks.push("it is zero".to_owned());
    }
    Ok(ReadPrice { money, remarks })
}

fn currency_of(
    known: Currencies,
    named: Option<Named>,
    shown: &impl Fn() -> String,
    remarks: &mut Vec<String>,
) -> Result<Currency, PriceError> {
    let currency = match (known.declared, named, known.default) {
        (Some(currency), _, _) => currency,
        (None, Some(named), _) => named.settle(known.home),
        (None, None, Some(currency)) => currency,
        (None, None, None) => return Err(PriceError::NoCurrency(shown())),
    };
    let Some(named) = named else {
        return Ok(currency);
    };
    if !named.may_be(currency) {
        if named.is_alone() {
            let other = named.settle(None);
            remarks.push(format!(
                "{} looks like {other}, read as {currency}",
                shown()
            ));
        }
    } else if !named.is_alone() && known.declared.or(known.home) != Some(currency) {
        remarks.push(format!(
            "the currency mark in {} is used by several currencies, read as {currency}",
            shown()
        ));
    }
    Ok(currency)
}

fn money(
    decimal: &Decimal,
    currency: Currency,
    machine: bool,
    shown: &impl Fn() -> String,
    remarks: &mut Vec<String>,
) -> Result<Money, PriceError> {
    let exponent = currency.exponent() as usize;
    let failed = |source| PriceError::Money {
        text: shown(),
        source,
    };
    let decimal = if decimal.decimals.len() <= exponent {
        decimal.clone()
    } else if machine {
        let rounded = decimal.rounded(exponent);
        remarks.push(format!(
            "{} has too many decimals for {currency}, rounded to {}",
            shown(),
            rounded.text(exponent)
        ));
        rounded
    } else {
        return Err(failed(MoneyError::TooPrecise {
            amount: format!("{}.{}", decimal.whole, decimal.decimals),
            currency,
        }));
    };
    Money::parse(&decimal.text(exponent), currency).map_err(failed)
}

fn looked_at(text: &str) -> Vec<char> {
    let chars = text.trim_start().chars();
    chars.take(LOOKED_AT_CHARS).map(amount::ascii).collect()
}

fn is_free(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    FREE.contains(&text.as_str())
}

/// The amount that is the price, with the other end of its range if it has
/// one, and the mark beside it: the first amount with a mark, else the first.
fn choose(chars: &[char]) -> Option<(Vec<Amount>, Option<Named>)> {
    let mut amounts = amount::amounts(chars);
    let named = |amount: &Amount| {
        let hundredths = || amount.in_hundredths().then(|| currency::field("GBP"))?;
        currency::beside(&chars[..amount.start], &chars[amount.end..]).or_else(hundredths)
    };
    let marked = amounts.iter().position(|amount| named(amount).is_some());
    let at = marked.unwrap_or(0);
    let mark = named(amounts.get(at)?);
    let is_range = |first: usize| {
        let (Some(low), Some(high)) = (amounts.get(first), amounts.get(first + 1)) else {
            return false;
        };
        joins(&chars[low.end..high.start])
    };
    // `10–20 €` is a range, `3 - £5.99` is not.
    let mark_is_behind = currency::behind(&chars[amounts[at].end..]).is_some();
    let from = match at.checked_sub(1) {
        Some(before) if mark_is_behind && is_range(before) => before,
        _ => at,
    };
    let to = if from < at || is_range(from) {
        from + 1
    } else {
        from
    };
    Some((amounts.drain(from..=to).collect(), mark))
}

/// Whether a text between two amounts makes a range of them.
fn joins(between: &[char]) -> bool {
    if between.len() > BETWEEN_CHARS_MAX {
        return false;
    }
    let text: String = between.iter().collect();
    let mut words = text
        .split(' ')
        .map(|word| word.trim_matches(|c: char| "$£€¥₩₹₺₫원円元.,".contains(c)))
        .filter(|word| !word.is_empty());
    let mut joined = false;
    words.all(|word| {
        let is_joint = BETWEEN.contains(&word.to_lowercase().as_str());
        joined |= is_joint;
        is_joint || currency::field(word).is_some()
    }) && joined
}
