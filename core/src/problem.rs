//! What is wrong with a value of a configuration or pipe file. Those who read
//! the file add where it stands.

/// A value that a file may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, such as `fetch.rate_per_s`.
    pub key: String,
    pub found: String,
    pub allowed: String,
}
