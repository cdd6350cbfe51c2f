//! What a pipe sends to its partner and nobody else: headers, credentials,
//! parameters of its URL; and the way that it goes. Asked for when it is needed
//! and never kept.

use trawler_core::pipe::{Egress, FeedAuth, FetchOptions, ProxyOptions};
use trawler_core::ports::Secrets;
use trawler_core::secret::{SecretText, SecretValue};
use trawler_core::verdict::Failure;
use trawler_fleet::{chain, secret_text};
use trawler_net::{Auth, Fetcher, Proxy, Request, Secret};
use url::Url;

/// Those of one pipe, with their values.
pub(crate) struct Credentials {
    headers: Vec<(String, Secret)>,
    query: Vec<(String, Secret)>,
    auth: Option<Auth>,
    way: Way,
}

/// From where the partner is asked.
enum Way {
    Any,
    /// Through the pipe's proxy.
    Through(Box<Proxy>),
    /// Through the operator's.
    Fixed,
}

/// What asks the partner of a pipe, by the way that the pipe says.
///
/// # Errors
///
/// A secret that cannot be had, a proxy that cannot be used, or none where the
/// pipe wants a fixed address.
pub async fn fetcher_of(
    fetch: &FetchOptions,
    direct: &Fetcher,
    secrets: &dyn Secrets,
) -> Result<Fetcher, Failure> {
    Way::of(fetch, secrets).await?.fetcher(direct)
}

impl Way {
    async fn of(fetch: &FetchOptions, secrets: &dyn Secrets) -> Result<Self, Failure> {
        match (fetch.egress, &fetch.proxy) {
            (Egress::Fixed, _) => Ok(Self::Fixed),
            (Egress::Any, Some(options)) => {
                let proxy = way_through(options, secrets).await?;
                Ok(Self::Through(Box::new(proxy)))
            }
            (Egress::Any, None) => Ok(Self::Any),
        }
    }

    fn fetcher(&self, direct: &Fetcher) -> Result<Fetcher, Failure> {
        match self {
            Self::Any => Ok(direct.clone()),
            Self::Through(proxy) => Ok(direct.through(Proxy::clone(proxy))),
            // Asking directly would show the partner an address that it does
            // not let in, and may hold against us.
            Self::Fixed => {
                let fixed = direct.fixed();
                fixed.map_err(|error| Failure::permanent(format!("fetch.egress: {error}")))
            }
        }
    }
}

impl Credentials {
    /// Asks for every value that `fetch` refers to.
    pub(crate) async fn of(fetch: &FetchOptions, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let mut headers = Vec::new();
        for (name, text) in &fetch.headers {
            let key = format!("fetch.headers.{name}");
            headers.push((name.clone(), value(secrets, &key, text).await?));
        }
        let mut query = Vec::new();
        for (name, text) in &fetch.query {
            let key = format!("fetch.query.{name}");
            query.push((name.clone(), value(secrets, &key, text).await?));
        }
        let auth = match &fetch.auth {
            Some(FeedAuth::Basic { user, password }) => Some(Auth::Basic {
                user: user.clone(),
                password: value(secrets, "fetch.auth.password", password).await?,
            }),
            Some(FeedAuth::Bearer { token }) => Some(Auth::Bearer(
                value(secrets, "fetch.auth.token", token).await?,
            )),
            None => None,
        };
        Ok(Self {
            headers,
            query,
            auth,
            way: Way::of(fetch, secrets).await?,
        })
    }

    /// What asks the partner, by the pipe's way.
    pub(crate) fn fetcher(&self, direct: &Fetcher) -> Result<Fetcher, Failure> {
        self.way.fetcher(direct)
    }

    /// The source with the parameters that the partner wants in its query.
    pub(crate) fn url(&self, source: &Url) -> Url {
        let mut url = source.clone();
        for (name, value) in &self.query {
            url.query_pairs_mut().append_pair(name, value.reveal());
        }
        url
    }

    /// The request with headers and credentials. They are meant for the partner
    /// alone, also where they are written out: what a redirect to another host
    /// gets is nobody's to decide but ours.
    pub(crate) fn on(&self, mut request: Request) -> Result<Request, Failure> {
        for (name, value) in &self.headers {
            request = request
                .secret_header(name, value)
                .map_err(|error| Failure::permanent(format!("fetch.headers.{name}: {error}")))?;
        }
        match &self.auth {
            Some(auth) => request
                .auth(auth)
                .map_err(|error| Failure::permanent(format!("fetch.auth: {error}"))),
            None => Ok(request),
        }
    }
}

async fn way_through(options: &ProxyOptions, secrets: &dyn Secrets) -> Result<Proxy, Failure> {
    let password = match &options.password {
        Some(text) => Some(value(secrets, "fetch.proxy.password", text).await?),
        None => None,
    };
    let user = options.user.as_deref();
    let proxy = Proxy::of(options.url.as_str(), user, password.as_ref());
    proxy.map_err(|error| {
        Failure::permanent(format!("fetch.proxy {}: {}", options.url, chain(&error)))
    })
}

/// The value of one key.
pub(crate) async fn value(
    secrets: &dyn Secrets,
    key: &str,
    text: &SecretText,
) -> Result<Secret, Failure> {
    let value = secret_text(secrets, key, text).await?;
    Ok(Secret::new(SecretValue::reveal(&value)))
}
