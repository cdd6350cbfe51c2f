//! The one fetcher: everything that Trawler reads over HTTP, feeds, pages and
//! images alike, comes through here.
//!
//! What it holds:
//! - **Invariant 8.** Names are resolved and judged here, and the connection
//!   goes to the judged address ([`AddressPolicy`]); every redirect is judged
//!   anew. Credentials stay with their host. Test: `invariant_8_no_private_address`.
//! - **Invariant 7.** Bytes (raw, decoded, head), redirects, time, retries,
//!   hosts remembered: each has a bound ([`Limits`], [`NetConfig`]).
//!
//! HTTP itself is `reqwest`'s, one client for each destination port (see
//! `clients`); through a pipe's proxy it is `hyper-util`'s, over connections of our
//! own (see `dial`, `client`), because `reqwest` cannot put a judged address into
//! CONNECT (see `transport`). What either would decide on its own is off and ours.
//!
//! What it does not: file-level compression (a `.gz` feed stays one), parsing,
//! robots rules.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use trawler_net::{Fetched, Fetcher, NetConfig, Request};
//! let fetcher = Fetcher::new(&NetConfig::of("Trawler/0.1 (+https://shop.example/bot)"))?;
//! match fetcher.fetch_bytes(&Request::get("https://shop.example/a.jpg")?).await? {
//!     Fetched::Body(response) => println!("{} bytes", response.body.len()),
//!     Fetched::NotModified(_) => println!("unchanged"),
//! }
//! # Ok(()) }
//! ```

mod attempt;
mod auth;
mod body;
mod client;
mod clients;
mod config;
mod connector;
mod cookies;
mod decode;
mod dial;
mod error;
mod fault;
mod fetcher;
mod gate;
mod guest;
mod judge;
mod limits;
mod memory;
mod pace;
mod policy;
mod range;
mod redirect;
mod request;
mod resolve;
mod response;
mod retry;
mod secret;
mod sink;
mod ssh;
mod stats;
mod target;
mod tls;
mod trace;
mod transport;
mod tunnel;
mod validators;

pub use auth::Auth;
pub use config::{FixedEgress, NetConfig, NetConfigFault, NoFixedEgress, Parts};
pub use cookies::{CookieJar, JarCookie, SavedCookies};
pub use dial::{Proxy, ProxyFault};
pub use error::{Fault, FetchClass, FetchError, Measure, Phase, StatusClass};
pub use fetcher::{BuildError, Fetcher, HEAD_BYTES_MAX};
pub use gate::HostLimits;
pub use guest::GuestTurn;
pub use judge::Judged;
pub use limits::{Limits, Timeouts};
pub use pace::{GivenUp, HostBudget, HostPace, Pace, PaceSettings, Why};
pub use policy::{ALLOW_KEY, AddressPolicy, AllowedHost, BadAllowedHost, Refusal};
pub use range::{Cidr, Reach, SPECIAL_RANGES, SpecialRange, embedded_v4, special_range};
pub use redirect::Hop;
pub use request::{
    Codings, Downgrade, EXTRA_HEADERS_MAX, HeaderFault, Observer, Progress, Request,
};
pub use resolve::{ADDRESSES_MAX, LookedUp, Lookup, SystemLookup};
pub use response::{Fetched, NotModified, Response};
pub use retry::{Failed, RETRY_AFTER_MAX, Retry, RetryPolicy, retry_after, seed_of};
pub use secret::Secret;
pub use sink::{FileBody, Prefix, Truncation};
pub use ssh::{NoAddress, SshHost, SshStream, Unreached};
pub use stats::FetchStats;
pub use target::{Target, URL_BYTES_MAX, UrlFault, shown};
pub use tls::TlsFault;
pub use trace::{Trace, TracedHop};
pub use tunnel::{
    Ruling, Tunnel, TunnelAsk, TunnelEntry, TunnelFigures, TunnelRules, TunnelSettings,
};
pub use validators::{VALIDATOR_BYTES_MAX, Validators};
