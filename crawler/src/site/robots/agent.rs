//! Which agent a group is for. [2.2.1]
//!
//! A token of the file and a token of the agent are compared whole and without
//! regard to case: `Foo` is not `FooBot`, and `FooBot` not `FooBot-News`.

/// Products that are looked for of one identification string. Browsers have six.
const NAMES_MAX: usize = 16;

/// Whom a user-agent line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// `*`.
    Everyone,
    /// A product token.
    Name {
        /// Lower case: the line's first word, without version.
        word: String,
        /// Bytes of `word` that are letters, `-` and `_`: the token as the RFC
        /// has it. `FooBot2` is also read as `FooBot`.
        strict: usize,
    },
    /// Nothing that could be a name.
    Nobody,
}

impl Token {
    pub(super) fn parse(value: &str) -> Self {
        let word = value.split_ascii_whitespace().next().unwrap_or_default();
        if word == "*" {
            return Self::Everyone;
        }
        let word = word.split('/').next().unwrap_or_default();
        let word = word.to_ascii_lowercase();
        let strict = word.bytes().take_while(|byte| is_token(*byte)).count();
        if word.is_empty() {
            return Self::Nobody;
        }
        Self::Name { word, strict }
    }
}

/// Who asks.
#[derive(Debug)]
pub(super) struct Agent {
    /// Lower case.
    names: Vec<String>,
}

impl Agent {
    /// A product token is taken as it is. What has a version or a comment is an
    /// identification string, and each product in it is a name.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        let names = if text.contains(['/', '(']) {
            let words = text.split(|c: char| c.is_ascii_whitespace() || "();,".contains(c));
            let names = words.filter_map(product).map(str::to_owned);
            names.take(NAMES_MAX).collect()
        } else {
            vec![text]
        };
        Self { names }
    }

    /// How well a token of the file matches: its bytes as a name, plus one, 1
    /// for everyone, `None` for others.
    pub(super) fn strength(&self, token: &Token) -> Option<usize> {
        match token {
            Token::Everyone => Some(1),
            Token::Nobody => None,
            Token::Name { word, strict } => {
                let spellings = [word.as_str(), &word[..*strict]];
                let matching = spellings.iter().filter(|spelling| {
                    !spelling.is_empty() && self.names.iter().any(|name| name == *spelling)
                });
                matching.map(|spelling| spelling.len() + 1).max()
            }
        }
    }
}

/// The name of a product in an identification string: `examplebot` of
/// `examplebot/1.0`. Addresses and bare versions are none.
fn product(word: &str) -> Option<&str> {
    let name = word.split('/').next().unwrap_or_default();
    let fits = |byte: u8| is_token(byte) || byte.is_ascii_digit();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(fits);
    is_name.then_some(name)
}

/// A byte of a product token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'-' || byte == b'_'
}
