//! The amounts in a text: where they stand, and what their separators mean.

/// Longer than any amount; the rest of a page's text is not looked at.
pub(super) const LOOKED_AT_CHARS: usize = 300;

/// Amounts of one text that are looked at.
const AMOUNTS_MAX: usize = 8;

/// A run of digits with its separators, all ASCII.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) start: usize,
    pub(super) end: usize,
    digits: String,
    pub(super) negative: bool,
    /// Powers of ten that a word right after it multiplies by (`3만원`), or
    /// below zero for the hundredth part (`99p`).
    shift: i32,
}

/// Digits before and after the decimal separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) whole: String,
    pub(super) decimals: String,
}

/// Full-width forms, other scripts' digits, and the typographic spaces,
/// dashes and apostrophes to ASCII.
pub(super) fn ascii(c: char) -> char {
    /// Zero of the scripts whose digits shops write.
    const ZEROS: &[char] = &[
        '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{ff10}',
    ];
    if c.is_ascii() {
        return c;
    }
    for zero in ZEROS {
        if let Some(digit) = u32::from(c)
            .checked_sub(u32::from(*zero))
            .filter(|d| *d < 10)
        {
            return char::from_digit(digit, 10).expect("it is below ten");
        }
    }
    match c {
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xfee0).expect("full-width forms map into ASCII")
        }
        '\u{ffe6}' => '₩',
        '\u{ffe5}' => '¥',
        '\u{ffe1}' => '£',
        '\u{a0}' | '\u{2007}'..='\u{200a}' | '\u{202f}' | '\u{3000}' | '\t' | '\n' | '\r' => ' ',
        '\u{2018}' | '\u{2019}' | '\u{b4}' | '\u{66c}' | '\u{2bc}' => '\'',
        '\u{66b}' => '.',
        '\u{60c}' | '\u{3001}' => ',',
        '\u{2212}' | '\u{2010}'..='\u{2015}' => '-',
        '\u{301c}' | '\u{223c}' => '~',
        _ => c,
    }
}

/// The amounts in a text, percentages left out.
pub(super) fn amounts(chars: &[char]) -> Vec<Amount> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() && found.len() < AMOUNTS_MAX {
        if !chars[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let amount = amount_at(chars, at);
        at = amount.end;
        let next = chars[at..].iter().find(|c| **c != ' ');
        let before = amount.start.checked_sub(1).map(|at| chars[at]);
        if next != Some(&'%') && before != Some('%') {
            found.push(amount);
        }
    }
    found
}

fn amount_at(chars: &[char], first: usize) -> Amount {
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let mut start = first;
    let mut digits = String::new();
    // `$.99`
    let leads = |at: usize| {
        chars[at] == '.'
            && !at
                .checked_sub(1)
                .is_some_and(|at| chars[at].is_alphanumeric())
    };
    if let Some(dot) = first.checked_sub(1).filter(|at| leads(*at)) {
        start = dot;
        digits.push_str("0.");
    }
    let mut at = first;
    let mut group_start = first;
    while let Some(c) = chars.get(at) {
        let belongs = match c {
            '0'..='9' => true,
            '.' | ',' | '\'' => is_digit(at + 1),
            // `1 299,00` groups, `51 77 left` does not.
            ' ' => {
                let groups = (1..=3).all(|step| is_digit(at + step)) && !is_digit(at + 4);
                groups && (1..=3).contains(&(at - group_start)) && !digits.contains(['.', ','])
            }
            _ => false,
        };
        if !belongs {
            break;
        }
        if !c.is_ascii_digit() {
            group_start = at + 1;
        }
        digits.push(*c);
        at += 1;
    }
    // A sign stands before the amount or before its currency: `USD -5`,
    // `-$5`. `pre-5` and `1-5` have a hyphen.
    let sign = chars[..start]
        .iter()
        .rposition(|c| c.is_alphanumeric() || *c == '-' || c.is_whitespace());
    let negative = sign.is_some_and(|at| {
        chars[at] == '-'
            && start - at <= 3
            && !at.checked_sub(1).is_some_and(|at| chars[at].is_alphanumeric())
            // `10 € - 20 €` is a range.
            && !chars[..at].iter().any(char::is_ascii_digit)
    });
    Amount {
        start,
        end: at,
        digits,
        negative,
        shift: shift(&chars[at..]),
    }
}

/// What the word right after an amount does to it.
fn shift(after: &[char]) -> i32 {
    let ends = |at: usize| !after.get(at).is_some_and(|c| c.is_alphanumeric());
    match after.first() {
        Some('만' | '万' | '萬') => 4,
        Some('천' | '千') => 3,
        Some('p') if ends(1) => -2,
        Some('¢') => -2,
        _ => 0,
    }
}

impl Amount {
    /// Whether it is written in pence or cents.
    pub(super) fn in_hundredths(&self) -> bool {
        self.shift < 0
    }

    /// The number, once it is known how a lone separator before three digits
    /// is meant.
    pub(super) fn decimal(&self, lone_groups: impl Fn(char) -> bool) -> Decimal {
        let digits = &self.digits;
        let separators: Vec<(usize, char)> = digits
            .char_indices()
            .filter(|(_, c)| matches!(c, '.' | ','))
            .collect();
        let decimal_at = match separators.as_slice() {
            [] => None,
            [(at, separator)] => {
                let (whole, rest) = (&digits[..*at], &digits[at + 1..]);
                let whole_digits = whole.trim_start_matches('0');
                let could_group = rest.len() == 3
                    && rest.bytes().all(|b| b.is_ascii_digit())
                    && !whole_digits.is_empty()
                    && whole
                        .rsplit(['\'', ' '])
                        .next()
                        .is_some_and(|group| group.len() <= 3);
                (!(could_group && lone_groups(*separator))).then_some(*at)
            }
            [.., (_, before), (at, last)] => (before != last).then_some(*at),
        };
        let (whole, decimals) = match decimal_at {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits.as_str(), ""),
        };
        let only_digits = |text: &str| {
            text.chars()
                .filter(char::is_ascii_digit)
                .collect::<String>()
        };
        shifted(only_digits(whole), only_digits(decimals), self.shift)
    }
}

/// Moves the decimal point.
pub(super) fn shifted(mut whole: String, mut decimals: String, shift: i32) -> Decimal {
    for _ in 0..shift.max(0) {
        let digit = if decimals.is_empty() {
            '0'
        } else {
            decimals.remove(0)
        };
        whole.push(digit);
    }
    for _ in shift.min(0)..0 {
        decimals.insert(0, whole.pop().unwrap_or('0'));
    }
    if whole.is_empty() {
        whole.push('0');
    }
    decimals.truncate(decimals.trim_end_matches('0').len());
    Decimal { whole, decimals }
}

/// `1.2999E7`, as some serialisers write numbers.
pub(super) fn scientific(text: &str) -> Option<Decimal> {
    /// More decimals than any amount has.
    const EXPONENT_MAX: i32 = 15;
    let (digits, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i32 = exponent
        .parse()
        .ok()
        .filter(|e: &i32| e.abs() <= EXPONENT_MAX)?;
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_number = !whole.is_empty() && plain(whole) && plain(decimals);
    is_number.then(|| shifted(whole.to_owned(), decimals.to_owned(), exponent))
}

impl Decimal {
    /// Rounds half up to `keep` decimals, on the digits: binary fractions
    /// such as 33.489999999999995 are what makes this needed.
    pub(super) fn rounded(&self, keep: usize) -> Self {
        let up = self
            .decimals
            .as_bytes()
            .get(keep)
            .is_some_and(|b| *b >= b'5');
        let mut digits: Vec<u8> = self
            .whole
            .bytes()
            .chain(
                self.decimals
                    .bytes()
                    .chain(std::iter::repeat(b'0'))
                    .take(keep),
            )
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
        let mut whole = String::from_utf8(digits).expect("ASCII digits");
        let decimals = whole.split_off(whole.len() - keep);
        Self { whole, decimals }
    }

    /// Plain digits with exactly `exponent` decimals.
    pub(super) fn text(&self, exponent: usize) -> String {
        if exponent == 0 {
            return self.whole.clone();
        }
        format!("{}.{:0<exponent$}", self.whole, self.decimals)
    }

    /// Orders by value.
    pub(super) fn key(&self) -> (usize, &str, &str) {
        let whole = self.whole.trim_start_matches('0');
        (whole.len(), whole, &self.decimals)
    }
}
