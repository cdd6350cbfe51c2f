//! As much of CloudWatch's metric math as the template uses, so that its alarms
//! can be asked what they would do: numbers, metrics, `+ - * /`, comparisons,
//! AND, OR, `IF(condition, yes, no)` and `FILL(metric, value)`. A metric without a data point,
//! and what is divided by nothing, has no value.

use std::collections::BTreeMap;

type Values = BTreeMap<&'static str, f64>;

/// What an expression says where these metrics have data points.
pub(crate) fn evaluate(expression: &str, values: &Values) -> Option<f64> {
    let mut reading = Reading {
        words: words(expression),
        at: 0,
        values,
        expression,
    };
    let value = reading.either();
    assert_eq!(reading.at, reading.words.len(), "{expression}");
    value
}

fn words(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in expression.chars() {
        let is_word =
            |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
        let is_sign = |letter: char| matches!(letter, '=' | '<' | '>' | '!');
        let goes_on = is_word(letter) && is_word(before) || is_sign(letter) && is_sign(before);
        match words.last_mut() {
            _ if letter == ' ' => {}
            Some(word) if goes_on => word.push(letter),
            _ => words.push(letter.to_string()),
        }
        before = letter;
    }
    words
}

struct Reading<'a> {
    words: Vec<String>,
    at: usize,
    values: &'a Values,
    expression: &'a str,
}

impl Reading<'_> {
    fn next(&mut self) -> String {
        let word = self.words.get(self.at);
        let word = word.unwrap_or_else(|| panic!("{} ends early", self.expression));
        self.at += 1;
        word.clone()
    }

    fn takes(&mut self, signs: &[&str]) -> Option<String> {
        let word = self.words.get(self.at)?.clone();
        signs.contains(&word.as_str()).then(|| {
            self.at += 1;
            word
        })
    }

    fn expect(&mut self, sign: &str) {
        let word = self.next();
        assert_eq!(word, sign, "word {} of {}", self.at, self.expression);
    }

    /// Operators of one rank, from the left.
    fn chain(&mut self, signs: &[&str], operand: fn(&mut Self) -> Option<f64>) -> Option<f64> {
        let mut value = operand(self);
        while let Some(sign) = self.takes(signs) {
            let right = operand(self);
            value = value
                .zip(right)
                .and_then(|(left, right)| apply(&sign, left, right));
        }
        value
    }

    fn either(&mut self) -> Option<f64> {
        self.chain(&["OR"], |of| of.chain(&["AND"], Self::comparison))
    }

    fn comparison(&mut self) -> Option<f64> {
        self.chain(&["==", "!=", ">", ">=", "<", "<="], Self::sum)
    }

    fn sum(&mut self) -> Option<f64> {
        self.chain(&["+", "-"], |of| of.chain(&["*", "/"], Self::value))
    }

    fn value(&mut self) -> Option<f64> {
        let word = self.next();
        match word.as_str() {
            "(" => {
                let value = self.either();
                self.expect(")");
                value
            }
            "FILL" => {
                let [value, other] = self.arguments();
                value.or(other)
            }
            "IF" => {
                let [condition, yes, no] = self.arguments();
                if condition? > 0.0 { yes } else { no }
            }
            word if word.starts_with(|first: char| first.is_ascii_digit()) => {
                Some(word.parse().unwrap())
            }
            metric => self.values.get(metric).copied(),
        }
    }

    fn arguments<const N: usize>(&mut self) -> [Option<f64>; N] {
        self.expect("(");
        let found = std::array::from_fn(|at| {
            if at > 0 {
                self.expect(",");
            }
            self.either()
        });
        self.expect(")");
        found
    }
}

fn apply(sign: &str, left: f64, right: f64) -> Option<f64> {
    let truth = |holds: bool| Some(f64::from(u8::from(holds)));
    match sign {
        "OR" => truth(left > 0.0 || right > 0.0),
        "AND" => truth(left > 0.0 && right > 0.0),
        "==" => truth(left == right),
        "!=" => truth(left != right),
        ">" => truth(left > right),
        ">=" => truth(left >= right),
        "<" => truth(left < right),
        "<=" => truth(left <= right),
        "+" => Some(left + right),
        "-" => Some(left - right),
        "*" => Some(left * right),
        "/" => (right != 0.0).then(|| left / right),
        other => panic!("{other} is no operator"),
    }
}

#[test]
fn expressions_are_evaluated() {
    let values: Values = [("a", 6.0), ("b", 0.0)].into();
    let check = |expression: &str, expected: Option<f64>| {
        assert_eq!(evaluate(expression, &values), expected, "{expression}");
    };
    check("a + 2 * 3", Some(12.0));
    check("(a + 2) / 4", Some(2.0));
    check("a / b", None);
    check("missing + 1", None);
    check("FILL(missing, 3) + FILL(a, 1)", Some(9.0));
    check("IF(a > 5 AND b == 0, a / b, 1)", None);
    check("IF(a < 5, a / b, 1)", Some(1.0));
    check("IF(b > 0 OR a >= 6, 7, 8)", Some(7.0));
}
