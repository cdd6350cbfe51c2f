//! `trawler try url`: the way of a URL, and what the address policy decides at
//! each hop. An answer and a refusal are both what was asked for; a way that
//! ends without either has failed.

use std::path::Path;

use serde::Serialize;
use trawler_net::{Judged, Limits, Request, Timeouts, Trace, TracedHop};

use super::{configuration, show};
use crate::args::TryUrlArgs;
use crate::compose;
use crate::end::{End, Misuse};
use crate::output;

/// Somebody waits at the terminal, for heads alone.
const LIMITS: Limits = Limits {
    raw_bytes_max: 0,
    decoded_bytes_max: 0,
    redirects_max: 5,
    timeouts: Timeouts {
        first_byte_ms: 15_000,
        idle_ms: 15_000,
        whole_ms: 60_000,
    },
};

pub(super) async fn run(dir: &Path, args: &TryUrlArgs, as_json: bool) -> anyhow::Result<End> {
    let request = Request::get(&args.url).map_err(|error| Misuse::new(error.to_string()))?;
    let fetcher = compose::fetcher_by(&configuration(dir)?, &args.way, None).await?;
    let trace = fetcher.trace(&request.limits(LIMITS)).await;
    let report = Report::new(trace);
    if as_json {
        output::json(&report)?;
    } else {
        report.print();
    }
    Ok(match report.end {
        Ending::Answered | Ending::Refused => End::Done,
        Ending::Failed => End::Failed,
    })
}

#[derive(Serialize)]
struct Report {
    url: String,
    end: Ending,
    /// The status of the last answer.
    status: Option<u16>,
    /// Why there is none.
    reason: Option<String>,
    hops: Vec<Hop>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Ending {
    Answered,
    Refused,
    Failed,
}

#[derive(Serialize)]
struct Hop {
    url: String,
    /// Whether the policy lets any address of the host in.
    allowed: bool,
    addresses: Vec<Address>,
    status: Option<u16>,
    location: Option<String>,
}

#[derive(Serialize)]
struct Address {
    address: String,
    allowed: bool,
    /// Why it is not.
    reason: Option<String>,
}

impl Report {
    fn new(trace: Trace) -> Self {
        let end = match &trace.end {
            Ok(_) => Ending::Answered,
            Err(_) if trace.is_refused() => Ending::Refused,
            Err(_) => Ending::Failed,
        };
        let hops: Vec<Hop> = trace.hops.into_iter().map(Hop::new).collect();
        let (status, reason) = match trace.end {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(format!("{:#}", anyhow::Error::from(error)))),
        };
        Self {
            url: hops.first().map(|hop| hop.url.clone()).unwrap_or_default(),
            end,
            status,
            reason,
            hops,
        }
    }

    fn print(&self) {
        for hop in &self.hops {
            say!("{}", show::plain(&hop.url));
            for Address {
                address, reason, ..
            } in &hop.addresses
            {
                match reason {
                    None => say!("  {address} is allowed"),
                    Some(reason) => say!("  {address} is refused: {}", show::plain(reason)),
                }
            }
            if let Some(status) = hop.status {
                let to = hop.location.as_deref().map(show::plain);
                let to = to.map(|to| format!(", to {to}")).unwrap_or_default();
                say!("  answered with status {status}{to}");
            }
        }
        let reason = self.reason.as_deref().map(show::plain).unwrap_or_default();
        match self.end {
            Ending::Answered => say!("allowed: every hop may be asked for"),
            Ending::Refused => say!("refused: {reason}"),
            Ending::Failed => say!("failed: {reason}"),
        }
    }
}

impl Hop {
    fn new(hop: TracedHop) -> Self {
        Self {
            url: hop.url.into(),
            allowed: hop.judged.iter().any(|judged| judged.verdict.is_ok()),
            addresses: hop.judged.into_iter().map(Address::new).collect(),
            status: hop.status,
            location: hop.location,
        }
    }
}

impl Address {
    fn new(judged: Judged) -> Self {
        Self {
            address: judged.address.to_string(),
            allowed: judged.verdict.is_ok(),
            reason: judged.verdict.err().map(|refusal| refusal.to_string()),
        }
    }
}
