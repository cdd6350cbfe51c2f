//! One spelling for the ways in which a brand is written.
//!
//! Folding is the part of Unicode NFKC that product feeds need (full-width
//! forms, compatibility blanks, the circled corporate signs) together with
//! case and blanks; corporate forms are dropped by a table.

/// Corporate forms that are no part of a brand's name, at either end of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorporateForms(Vec<String>);

/// The built-in table.
const CORPORATE_FORMS: &[&str] = &[
    "(주)",
    "㈜",
    "주식회사",
    "(유)",
    "유한회사",
    "co., ltd.",
    "co.,ltd.",
    "co., ltd",
    "co.,ltd",
    "co. ltd.",
    "co ltd",
    "inc.",
    "inc",
    "corp.",
    "corp",
    "corporation",
    "ltd.",
    "ltd",
    "llc",
    "gmbh",
    "s.a.",
    "s.p.a.",
    "b.v.",
    "株式会社",
    "(株)",
];

impl Default for CorporateForms {
    fn default() -> Self {
        Self::new(CORPORATE_FORMS.iter().copied())
    }
}

impl CorporateForms {
    pub fn new<'a>(forms: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<String> = forms.into_iter().map(fold_text).collect();
        forms.retain(|form| !form.is_empty());
        // The longest form first, so that `co., ltd.` goes whole.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms)
    }
}

/// The brand in lower case, with single blanks, without corporate forms.
pub fn fold(brand: &str, forms: &CorporateForms) -> String {
    let folded = fold_text(brand);
    let mut rest = folded.as_str();
    loop {
        let shorter = forms.0.iter().find_map(|form| without(rest, form));
        match shorter {
            Some(shorter) => rest = shorter,
            None => return rest.to_owned(),
        }
    }
}

/// The brand without the form at its start or end. Letters of the form must
/// not touch letters of the name: `inc` is no part of `zinc`.
fn without<'b>(brand: &'b str, form: &str) -> Option<&'b str> {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let trims: &[char] = &[' ', ',', '.'];
    let at_end = brand
        .strip_suffix(form)
        .filter(|rest| !(letter(rest.chars().last()) && letter(form.chars().next())));
    let at_start = || {
        brand
            .strip_prefix(form)
            .filter(|rest| !(letter(rest.chars().next()) && letter(form.chars().last())))
    };
    at_end
        .or_else(at_start)
        .map(|rest| rest.trim_matches(trims))
        .filter(|rest| !rest.is_empty())
}

/// Full-width and other compatibility forms to plain ones, lower case, single
/// blanks.
pub(super) fn fold_text(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        let plain = match c {
            // Full-width ASCII lies 0xfee0 above ASCII.
            '\u{ff01}'..='\u{ff5e}' => {
                char::from_u32(u32::from(c) - 0xfee0).expect("the range maps onto ASCII")
            }
            '\u{3000}' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\t' | '\n' | '\r' => {
                ' '
            }
            '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{ad}' => continue,
            '\u{3231}' => {
                folded.push_str("(株)");
                continue;
            }
            '\u{321c}' => {
                folded.push_str("(주)");
                continue;
            }
            other => other,
        };
        if plain == ' ' && (folded.is_empty() || folded.ends_with(' ')) {
            continue;
        }
        folded.extend(plain.to_lowercase());
    }
    folded.truncate(folded.trim_end().len());
    folded
}
