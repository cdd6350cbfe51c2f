//! Amounts with a unit: schema.org's QuantitativeValue (`value` with the UN/CEFACT
//! Common Code of Recommendation 20 in `unitCode`, or words in `unitText`), or a
//! text such as `1,5 kg`. Written as `1.5 kg`, in the words that Google's product
//! data uses; weights and lengths also come as the numbers of the catalogue's
//! columns.

use super::schema::decimal;
use super::value::Value;

/// Longer texts are no amount.
const TEXT_CHARS_MAX: usize = 40;

/// What a unit measures, and how much of the column's unit one of it is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Of {
    /// In grams.
    Mass(f64),
    /// In centimetres.
    Length(f64),
    Other,
}

/// Code, word, what it measures, and other words for it.
type Unit = (&'static str, &'static str, Of, &'static [&'static str]);

#[rustfmt::skip]
const UNITS: &[Unit] = &[
    ("MGM", "mg", Of::Mass(0.001), &["milligram", "milligrams"]),
    ("GRM", "g", Of::Mass(1.0), &["gr", "gram", "grams", "gramm", "gramme", "grammes", "grammo", "그램"]),
    ("KGM", "kg", Of::Mass(1000.0), &["kgs", "kilo", "kilogram", "kilograms", "kilogramm", "킬로그램"]),
    ("TNE", "t", Of::Mass(1_000_000.0), &["tonne", "tonnes"]),
    ("ONZ", "oz", Of::Mass(28.349_523_125), &["ounce", "ounces"]),
    ("LBR", "lb", Of::Mass(453.592_37), &["lbs", "pound", "pounds"]),
    ("MMT", "mm", Of::Length(0.1), &["millimeter", "millimetre", "millimeters", "millimetres"]),
    ("CMT", "cm", Of::Length(1.0), &["centimeter", "centimetre", "centimeters", "centimetres"]),
    ("MTR", "m", Of::Length(100.0), &["meter", "metre", "meters", "metres"]),
    ("INH", "in", Of::Length(2.54), &["inch", "inches", "\"", "zoll"]),
    ("FOT", "ft", Of::Length(30.48), &["foot", "feet"]),
    ("YRD", "yd", Of::Length(91.44), &["yard", "yards"]),
    ("MLT", "ml", Of::Other, &["milliliter", "millilitre", "milliliters", "millilitres"]),
    ("CLT", "cl", Of::Other, &["centiliter", "centilitre"]),
    ("DLT", "dl", Of::Other, &["deciliter", "decilitre"]),
    ("LTR", "l", Of::Other, &["liter", "litre", "liters", "litres", "litro", "리터"]),
    ("MTQ", "cbm", Of::Other, &["m3", "m³"]),
    ("OZA", "floz", Of::Other, &["fl oz", "fl. oz", "fluid ounce", "fluid ounces"]),
    ("PTL", "pt", Of::Other, &["pint", "pints"]),
    ("QTL", "qt", Of::Other, &["quart", "quarts"]),
    ("GLL", "gal", Of::Other, &["gallon", "gallons"]),
    ("MTK", "sqm", Of::Other, &["m2", "m²"]),
    ("FTK", "sqft", Of::Other, &["ft2", "ft²", "sq ft"]),
    ("C62", "ct", Of::Other, &["piece", "pieces", "pc", "pcs", "stück", "stk", "unit", "units", "unidad", "pièce", "pezzo", "개"]),
    ("H87", "ct", Of::Other, &[]),
    ("EA", "ct", Of::Other, &["each"]),
];

/// An amount of something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    /// As written, with a dot.
    number: String,
    unit: &'static Unit,
}

impl Measure {
    pub(super) fn read(value: &Value) -> Option<Self> {
        let value = value.each().first()?;
        let Some(number) = value.get("value") else {
            return Self::of_text(value.text()?);
        };
        let unit = value.get("unitCode").or_else(|| value.get("unitText"));
        match unit.and_then(Value::text) {
            Some(unit) => Some(Self {
                number: decimal(number.text()?)?,
                unit: unit_of(unit)?,
            }),
            None => Self::of_text(number.text()?),
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().count() > TEXT_CHARS_MAX {
            return None;
        }
        let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
        let length = text.find(|c| !is_of_number(c)).unwrap_or(text.len());
        Some(Self {
            number: decimal(&text[..length])?,
            unit: unit_of(&text[length..])?,
        })
    }

    /// `1.5 kg`.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.number, self.unit.1)
    }

    pub(super) fn grams(&self) -> Option<String> {
        match self.unit.2 {
            Of::Mass(factor) => self.times(factor),
            Of::Length(_) | Of::Other => None,
        }
    }

    pub(super) fn centimetres(&self) -> Option<String> {
        match self.unit.2 {
            Of::Length(factor) => self.times(factor),
            Of::Mass(_) | Of::Other => None,
        }
    }

    fn times(&self, factor: f64) -> Option<String> {
        let number: f64 = self.number.parse().ok()?;
        // To a thousandth: what was converted is not more exact than a scale.
        let amount = (number * factor * 1000.0).round() / 1000.0;
        (amount > 0.0).then(|| amount.to_string())
    }
}

/// By code, by URL of a code, or by word.
fn unit_of(text: &str) -> Option<&'static Unit> {
    let text = text.trim().trim_end_matches('.');
    let text = text.rsplit('/').next().unwrap_or(text);
    let word = text.to_lowercase();
    let is_it = |(code, short, _, words): &&Unit| {
        text == *code || word == *short || words.contains(&word.as_str())
    };
    UNITS.iter().find(is_it)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quantity(value: &str, unit: (&str, &str)) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        Value::Object(vec![
            ("value".to_owned(), text(value)),
            (unit.0.to_owned(), text(unit.1)),
        ])
    }

    #[test]
    fn amounts_are_read_in_every_form() {
        let check = |value: &Value, expected: Option<&str>| {
            let words = Measure::read(value).map(|measure| measure.words());
            assert_eq!(words.as_deref(), expected, "{value:?}");
        };
        check(&quantity("4.5", ("unitCode", "LTR")), Some("4.5 l"));
        check(&quantity("100", ("unitText", "Gramm")), Some("100 g"));
        check(&quantity("12", ("unitCode", "C62")), Some("12 ct"));
        check(&quantity("12", ("unitCode", "XYZ")), None);
        check(&quantity("some", ("unitCode", "KGM")), None);
        let text = |text: &str| Value::Text(text.to_owned());
        check(&text("1,5 kg"), Some("1.5 kg"));
        check(&text("500g"), Some("500 g"));
        check(&text("12 fl. oz."), Some("12 floz"));
        check(&text("3 apples"), None);
        check(&text("large"), None);
        check(&text(""), None);
        check(&Value::Number("7".to_owned()), None);
    }

    #[test]
    fn weights_and_lengths_come_in_the_columns_units() {
        let of = |text: &str| Measure::read(&Value::Text(text.to_owned())).unwrap();
        let check = |text: &str, grams: Option<&str>, centimetres: Option<&str>| {
            assert_eq!(of(text).grams().as_deref(), grams, "{text}");
            assert_eq!(of(text).centimetres().as_deref(), centimetres, "{text}");
        };
        check("1.5 kg", Some("1500"), None);
        check("2 lb", Some("907.185"), None);
        check("30 mm", None, Some("3"));
        check("10 in", None, Some("25.4"));
        check("2 l", None, None);
        check("0 g", None, None);
    }
}
