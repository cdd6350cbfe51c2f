//! Trade item numbers (GTIN-8, -12, -13, -14, ISBN): digits only, check digit
//! right (GS1 General Specifications, 7.9; ISO 2108).

/// The number in a text, or why it is none.
pub(super) fn parse(text: &str) -> Result<String, &'static str> {
    let mut digits = String::with_capacity(14);
    let mut ends_in_x = false;
    for c in text.trim().chars() {
        match c {
            '0'..='9' if digits.len() < 14 && !ends_in_x => digits.push(c),
            'x' | 'X' if digits.len() == 9 => ends_in_x = true,
            ' ' | '-' | '\u{2010}'..='\u{2013}' => {}
            _ => return Err("is not a number of up to 14 digits"),
        }
    }
    match digits.len() {
        8 | 12 | 13 | 14 if checks(&digits) => Ok(digits),
        8 | 12 | 13 | 14 => Err("has a wrong check digit"),
        // A table of numbers dropped the zero in front.
        11 if checks(&digits) => Ok(format!("0{digits}")),
        9 | 10 => isbn_13(&digits, ends_in_x).ok_or("is neither a GTIN nor an ISBN"),
        _ => Err("is not a GTIN of 8, 12, 13 or 14 digits"),
    }
}

fn checks(digits: &str) -> bool {
    weighted(digits).is_multiple_of(10) && digits.bytes().any(|b| b != b'0')
}

/// The sum of the digits, every second one from the right but one threefold.
fn weighted(digits: &str) -> u32 {
    let weighted = digits.bytes().rev().enumerate().map(|(at, b)| {
        let weight = if at % 2 == 1 { 3 } else { 1 };
        u32::from(b - b'0') * weight
    });
    weighted.sum()
}

/// The ISBN-13 of an ISBN-10.
fn isbn_13(digits: &str, ends_in_x: bool) -> Option<String> {
    let values = digits.bytes().map(|b| u32::from(b - b'0'));
    let values = values.chain(ends_in_x.then_some(10));
    let sum: u32 = (1..=10)
        .rev()
        .zip(values)
        .map(|(weight, value)| weight * value)
        .sum();
    let is_whole = digits.len() + usize::from(ends_in_x) == 10;
    if !is_whole || !sum.is_multiple_of(11) || digits.bytes().all(|b| b == b'0') {
        return None;
    }
    let body = format!("978{}", &digits[..9]);
    let check = (10 - weighted(&format!("{body}0")) % 10) % 10;
    Some(format!("{body}{check}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_right_check_digit_are_taken() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse(text).ok().as_deref(), expected, "{text:?}");
        };
        check("4006381333931", Some("4006381333931"));
        check(" 400-6381-333931 ", Some("4006381333931"));
        check("4006381333932", None);
        check("96385074", Some("96385074"));
        check("036000291452", Some("036000291452"));
        check("36000291452", Some("036000291452"));
        check("10012345678902", Some("10012345678902"));
        check("978-3-16-148410-0", Some("9783161484100"));
        check("0-306-40615-2", Some("9780306406157"));
        check("080442957X", Some("9780804429573"));
        check("0804429571", None);
        check("1234567890", None);
        check("0000000000000", None);
        check("00000000", None);
        check("123", None);
        check("40063813339311111", None);
        check("a897fe39b1053632", None);
        check("", None);
    }
}
