//! What a pipe sends to its partner and nobody else: headers, credentials,
//! parameters of its URL. Asked for when it is needed and never kept.

use trawler_core::pipe::{FeedAuth, FetchOptions, ProxyOptions};
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
    proxy: Option<Proxy>,
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
        let proxy = match &fetch.proxy {
            Some(options) => Some(way_through(options, secrets).await?),
            None => None,
        };
        Ok(Self {
            headers,
            query,
            auth,
            proxy,
        })
    }

    /// What asks the partner: directly, or through the pipe's proxy.
    pub(crate) fn fetcher(&self, direct: &Fetcher) -> Fetcher {
        match &self.proxy {
            Some(proxy) => direct.through(proxy.clone()),
            None => direct.clone(),
        }
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
