//! The way to a pipe's images: directly, through the pipe's proxy, or by the
//! fixed address that its partner lets in, and then never without it; with the
//! cookies of this job; and on the pipe's own host with its headers and
//! credentials, as its feed or its pages are asked for. No other host gets
//! them, nor one that a redirect leads to: pictures come from content networks
//! that serve everybody. Test: `credentials_go_to_the_pipes_own_host_alone`.

use std::sync::Arc;

use trawler_core::job::ImageTask;
use trawler_core::pipe::{Egress, FeedAuth, FetchOptions, Pipe, ProxyOptions, Source};
use trawler_core::ports::Secrets;
use trawler_core::secret::SecretText;
use trawler_core::verdict::Failure;
use trawler_fleet::{chain, secret_text};
use trawler_net::{Auth, CookieJar, Fetcher, Proxy, Request, Secret, Target};

/// How the images of one job are asked for.
pub(crate) struct Way {
    fetcher: Fetcher,
    cookies: Option<Arc<CookieJar>>,
    home: Option<Home>,
}

/// The pipe's own host, and what it is sent.
struct Home {
    at: Target,
    headers: Vec<(String, Secret)>,
    auth: Option<Auth>,
}

impl Way {
    pub(crate) async fn of(
        direct: &Fetcher,
        pipe: &Pipe,
        secrets: &dyn Secrets,
        images: &[ImageTask],
    ) -> Result<Self, Failure> {
        let fetch = &pipe.fetch;
        let fetcher = match (fetch.egress, &fetch.proxy) {
            (Egress::Fixed, _) => {
                let fixed = direct.fixed();
                fixed.map_err(|error| Failure::permanent(format!("fetch.egress: {error}")))?
            }
            (Egress::Any, Some(options)) => direct.through(proxy(options, secrets).await?),
            (Egress::Any, None) => direct.clone(),
        };
        // Nobody is asked for a secret that is not sent.
        let home = home_of(pipe).filter(|home| images.iter().any(|task| is_at(home, &task.url)));
        let home = match home {
            Some(at) => Some(Home::of(at, fetch, secrets).await?),
            None => None,
        };
        Ok(Self {
            fetcher,
            cookies: fetch.cookies.then(CookieJar::new),
            home,
        })
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// The request with what its host is to get.
    pub(crate) fn on(&self, mut request: Request) -> Request {
        if let Some(home) = &self.home
            && Target::checked(request.url().clone()).is_ok_and(|to| home.at.trusts(&to))
        {
            request = home.on(request).expect("tried out when the way was made");
        }
        match &self.cookies {
            Some(jar) => request.cookies(Arc::clone(jar)),
            None => request,
        }
    }
}

impl Home {
    async fn of(at: Target, fetch: &FetchOptions, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let mut headers = Vec::new();
        for (name, text) in &fetch.headers {
            let key = format!("fetch.headers.{name}");
            headers.push((name.clone(), value(secrets, &key, text).await?));
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
        let home = Self { at, headers, auth };
        let trial = Request::get_url(home.at.url());
        let trial = trial.map_err(|error| Failure::permanent(chain(&error)))?;
        home.on(trial)?;
        Ok(home)
    }

    fn on(&self, mut request: Request) -> Result<Request, Failure> {
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

/// Where the pipe's headers and credentials are for.
fn home_of(pipe: &Pipe) -> Option<Target> {
    let url = match &pipe.source {
        Source::Http(source) => &source.url,
        Source::Site(source) => &source.url,
        // Of these HTTP options are refused.
        Source::File(_) | Source::Inbox(_) | Source::Sftp(_) => return None,
    };
    Target::checked(url.clone()).ok()
}

fn is_at(home: &Target, url: &str) -> bool {
    Target::parse(url).is_ok_and(|target| home.trusts(&target))
}

async fn proxy(options: &ProxyOptions, secrets: &dyn Secrets) -> Result<Proxy, Failure> {
    let password = match &options.password {
        Some(text) => Some(value(secrets, "fetch.proxy.password", text).await?),
        None => None,
    };
    let user = options.user.as_deref();
    Proxy::of(options.url.as_str(), user, password.as_ref()).map_err(|error| {
        Failure::permanent(format!("fetch.proxy {}: {}", options.url, chain(&error)))
    })
}

async fn value(secrets: &dyn Secrets, key: &str, text: &SecretText) -> Result<Secret, Failure> {
    let value = secret_text(secrets, key, text).await?;
    Ok(Secret::new(value.reveal()))
}
