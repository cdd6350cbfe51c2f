//! The way to a pipe's images: directly, or through the pipe's proxy. Its other
//! credentials are for its feed or site, and no image host gets them.

use trawler_core::pipe::{Pipe, ProxyOptions};
use trawler_core::ports::Secrets;
use trawler_core::verdict::Failure;
use trawler_fleet::{chain, secret_text};
use trawler_net::{Fetcher, Proxy, Secret};

/// What asks for the images of a pipe.
pub(crate) async fn fetcher(
    direct: &Fetcher,
    pipe: &Pipe,
    secrets: &dyn Secrets,
) -> Result<Fetcher, Failure> {
    match &pipe.fetch.proxy {
        Some(options) => Ok(direct.through(proxy(options, secrets).await?)),
        None => Ok(direct.clone()),
    }
}

async fn proxy(options: &ProxyOptions, secrets: &dyn Secrets) -> Result<Proxy, Failure> {
    let password = match &options.password {
        Some(text) => {
            let value = secret_text(secrets, "fetch.proxy.password", text).await?;
            Some(Secret::new(value.reveal()))
        }
        None => None,
    };
    let user = options.user.as_deref();
    Proxy::of(options.url.as_str(), user, password.as_ref()).map_err(|error| {
        Failure::permanent(format!("fetch.proxy {}: {}", options.url, chain(&error)))
    })
}
