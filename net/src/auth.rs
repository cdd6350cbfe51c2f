//! Credentials as headers. Values are marked sensitive, so that no library
//! prints them.

use http::{HeaderName, HeaderValue, header};

use crate::request::HeaderFault;
use crate::secret::Secret;

/// Credentials of a partner, sent to the host of the first URL only.
#[derive(Debug, Clone)]
pub enum Auth {
    /// RFC 7617.
    Basic {
        /// The user name, without a colon.
        user: String,
        /// The password.
        password: Secret,
    },
    /// RFC 6750.
    Bearer(Secret),
}

impl Auth {
    pub(crate) fn header(&self) -> Result<HeaderValue, HeaderFault> {
        let text = match self {
            Self::Basic { user, password } => {
                let pair = format!("{user}:{}", password.reveal());
                format!("Basic {}", base64(pair.as_bytes()))
            }
            Self::Bearer(token) => format!("Bearer {}", token.reveal()),
        };
        secret_value(&header::AUTHORIZATION, &text)
    }
}

pub(crate) fn secret_value(name: &HeaderName, value: &str) -> Result<HeaderValue, HeaderFault> {
    let mut value = HeaderValue::from_str(value).map_err(|_| HeaderFault::Value {
        name: name.to_string(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for place in 0..4_usize {
            let six = usize::try_from((bits >> (18 - 6 * place)) & 63).expect("six bits");
            let padded = place > group.len();
            text.push(if padded {
                '='
            } else {
                char::from(ALPHABET[six])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_rfc_4648() {
        let check = |plain: &str, expected: &str| assert_eq!(base64(plain.as_bytes()), expected);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
        check("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
