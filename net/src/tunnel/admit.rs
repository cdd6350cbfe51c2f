//! Who may use a tunnel, and for what: pure. Addresses are judged where they are
//! connected to.

use http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::auth::Auth;
use crate::secret::Secret;
use crate::target::{Target, shown};

/// The user name; the secret is in the password.
pub(super) const USER: &str = "trawler";

/// What is asked of a tunnel, by somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelAsk {
    /// A connection that is nobody's to look into.
    Connect {
        /// In lower case and ASCII; IPv6 in brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// One request of plain http.
    Plain {
        /// GET, HEAD or POST.
        method: Method,
        /// The URL.
        url: url::Url,
    },
}

impl TunnelAsk {
    /// For the log: without secrets.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Connect { host, port } => format!("CONNECT {host}:{port}"),
            Self::Plain { method, url } => format!("{method} {}", shown(url)),
        }
    }
}

/// A refusal: the status and the reason, which is its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

impl Refused {
    pub(super) fn forbidden(why: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            why: why.into(),
        }
    }

    pub(super) fn bad_gateway(why: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            why: why.into(),
        }
    }
}

/// The credential of one tunnel.
pub(super) struct Credential {
    password: Secret,
    header: Vec<u8>,
}

impl Credential {
    /// Of random bytes.
    pub(super) fn new(random: [u8; 32]) -> Self {
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let password = Secret::new(hex);
        let basic = Auth::Basic {
            user: USER.to_owned(),
            password: password.clone(),
        };
        let header = basic
            .header()
            .expect("hexadecimal digits fit into a header");
        Self {
            password,
            header: header.as_bytes().to_vec(),
        }
    }

    pub(super) fn password(&self) -> &Secret {
        &self.password
    }

    /// Whether a request carries it. Takes as long for any that is as long.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(header::PROXY_AUTHORIZATION) else {
            return false;
        };
        let given = given.as_bytes();
        let differ = given.iter().zip(&self.header);
        let differ = differ.fold(0, |differ, (a, b)| differ | (a ^ b));
        given.len() == self.header.len() && differ == 0
    }
}

/// What a request asks for, if its sender may ask and it is something that a
/// tunnel does.
pub(super) fn admit(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    credential: &Credential,
) -> Result<TunnelAsk, Refused> {
    if !credential.is_in(headers) {
        return Err(Refused {
            status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            why: "this tunnel is for the process that started it".to_owned(),
        });
    }
    if *method == Method::CONNECT {
        return connect(uri);
    }
    if !matches!(*method, Method::GET | Method::HEAD | Method::POST) {
        let why = format!("{method} is not passed on; CONNECT, GET, HEAD and POST are");
        return Err(Refused::forbidden(why));
    }
    match uri.scheme_str() {
        Some("http") => {}
        Some(scheme) => {
            let why = format!("{scheme} is not passed on in the open; use CONNECT");
            return Err(Refused::forbidden(why));
        }
        None => return Err(Refused::forbidden("a whole URL is needed: this is a proxy")),
    }
    let target = Target::parse(&uri.to_string());
    let target = target.map_err(|fault| Refused::forbidden(fault.to_string()))?;
    Ok(TunnelAsk::Plain {
        method: method.clone(),
        url: target.into_url(),
    })
}

fn connect(uri: &Uri) -> Result<TunnelAsk, Refused> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let port = uri.port_u16();
    let port = port.ok_or_else(|| Refused::forbidden("CONNECT needs host:port"))?;
    // By the same reading of hosts as URLs have, whichever spelling it is.
    let target = Target::parse(&format!("http://{authority}/"));
    let target = target.map_err(|fault| Refused::forbidden(fault.to_string()))?;
    Ok(TunnelAsk::Connect {
        host: target.host().to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_a_tunnel_does_is_admitted() {
        let credential = Credential::new([7; 32]);
        let check = |method: &str, uri: &str, expected: Result<&str, (u16, &str)>| {
            let mut headers = HeaderMap::new();
            let value = std::str::from_utf8(&credential.header).unwrap();
            headers.insert(header::PROXY_AUTHORIZATION, value.parse().unwrap());
            let (method, uri) = (method.parse().unwrap(), uri.parse().unwrap());
            let found = admit(&method, &uri, &headers, &credential);
            match (found, expected) {
                (Ok(ask), Ok(expected)) => assert_eq!(ask.shown(), expected),
                (Err(found), Err((status, part))) => {
                    assert_eq!(found.status.as_u16(), status, "{uri}");
                    assert!(found.why.contains(part), "{uri}: {}", found.why);
                }
                (found, expected) => panic!("{uri}: {found:?}, expected {expected:?}"),
            }
        };
        check("CONNECT", "Shop.test:443", Ok("CONNECT shop.test:443"));
        check("CONNECT", "2130706433:80", Ok("CONNECT 127.0.0.1:80"));
        check("CONNECT", "[::1]:80", Ok("CONNECT [::1]:80"));
        check("CONNECT", "shop.test", Err((403, "host:port")));
        check("CONNECT", "me:pw@shop.test:443", Err((403, "user name")));
        check(
            "GET",
            "http://shop.test/a?token=x",
            Ok("GET http://shop.test/a?token=***"),
        );
        check("HEAD", "http://shop.test/", Ok("HEAD http://shop.test/"));
        check("POST", "http://shop.test/", Ok("POST http://shop.test/"));
        check(
            "PUT",
            "http://shop.test/",
            Err((403, "PUT is not passed on")),
        );
        check("GET", "/page", Err((403, "whole URL")));
        check("GET", "https://shop.test/", Err((403, "use CONNECT")));
        check(
            "GET",
            "ftp://shop.test/",
            Err((403, "ftp is not passed on")),
        );
    }

    #[test]
    fn without_the_credential_nothing_is_admitted() {
        let credential = Credential::new([7; 32]);
        let right = String::from_utf8(credential.header.clone()).unwrap();
        let other = String::from_utf8(Credential::new([8; 32]).header).unwrap();
        let check = |value: Option<&str>, admitted: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::PROXY_AUTHORIZATION, value.parse().unwrap());
            }
            let uri = "shop.test:443".parse().unwrap();
            let found = admit(&Method::CONNECT, &uri, &headers, &credential);
            assert_eq!(found.is_ok(), admitted, "{value:?}");
            let refused = found.map_err(|refused| refused.status.as_u16());
            assert!(admitted || refused == Err(407));
        };
        check(Some(&right), true);
        check(None, false);
        check(Some(""), false);
        check(Some(&other), false);
        check(Some(&right[..right.len() - 1]), false);
        check(Some(&format!("{right}=")), false);
    }
}
