//! The bill of the system that is replaced: read from CSV, and set beside the
//! new one.

use serde::Serialize;

use super::Section;
use crate::error::OldBillError;
use crate::policy::PolicyKind;
use crate::study::repeats;

const COLUMNS: [&str; 6] = [
    "fleet",
    "server",
    "instances",
    "type",
    "purchase",
    "usd_month",
];
/// Servers of the crawl and image tiers, by their names: `*` stands for
/// anything, and case does not count.
const TIERS: [&str; 4] = ["*img*", "*image*", "*crawl*", "*scrap*"];

/// One kind of server of an old bill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OldServer {
    pub fleet: String,
    pub server: String,
    pub instances: u32,
    pub kind: String,
    pub purchase: String,
    pub usd_month: f64,
    /// It did what crawlers and image workers do here.
    pub is_compared: bool,
}

/// An old bill. One file may hold several fleets, such as before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OldBill {
    pub servers: Vec<OldServer>,
}

impl OldBill {
    /// Reads a bill; `file` is its name in errors.
    pub fn read(text: &str, file: &str) -> Result<Self, OldBillError> {
        let csv_error = |source| OldBillError::Csv {
            file: file.to_owned(),
            source: Box::new(source),
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let head = reader.headers().map_err(csv_error)?.clone();
        let mut at = [0; COLUMNS.len()];
        for (column, at) in COLUMNS.into_iter().zip(&mut at) {
            let found = head.iter().position(|name| name == column);
            *at = found.ok_or_else(|| OldBillError::Column {
                file: file.to_owned(),
                column,
            })?;
        }
        let mut servers = Vec::new();
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let text = |which: usize| record.get(at[which]).unwrap_or_default();
            let wrong = |which: usize, wanted| OldBillError::Value {
                file: file.to_owned(),
                line: record.position().map_or(0, csv::Position::line),
                column: COLUMNS[which],
                found: text(which).to_owned(),
                wanted,
            };
            if text(1).is_empty() {
                return Err(wrong(1, "the name of a server"));
            }
            let usd = text(5).parse::<f64>().ok();
            let usd = usd.filter(|usd| usd.is_finite() && *usd >= 0.0);
            servers.push(OldServer {
                fleet: text(0).to_owned(),
                server: text(1).to_owned(),
                instances: text(2).parse().map_err(|_| wrong(2, "a whole number"))?,
                kind: text(3).to_owned(),
                purchase: text(4).to_owned(),
                usd_month: usd.ok_or_else(|| wrong(5, "USD a month, such as 38.07"))?,
                is_compared: TIERS.iter().any(|tier| is_like(text(1), tier)),
            });
        }
        match servers.is_empty() {
            true => Err(OldBillError::Empty {
                file: file.to_owned(),
            }),
            false => Ok(Self { servers }),
        }
    }

    /// The fleets, in the order of the file.
    pub fn fleets(&self) -> Vec<&str> {
        let mut fleets: Vec<&str> = Vec::new();
        for server in &self.servers {
            if !fleets.contains(&server.fleet.as_str()) {
                fleets.push(&server.fleet);
            }
        }
        fleets
    }
}

/// Whether a name is like a pattern with a `*` at both ends.
fn is_like(name: &str, pattern: &str) -> bool {
    name.to_lowercase().contains(pattern.trim_matches('*'))
}

/// One fleet of the old bill beside the planner's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedFleet {
    pub fleet: String,
    pub total_usd_month: f64,
    /// Of its crawl and image tiers.
    pub compared_usd_month: f64,
    /// Of that, what the new fleet costs.
    pub share: f64,
}

/// The old bill beside the new one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub servers: Vec<OldServer>,
    pub fleets: Vec<ComparedFleet>,
    /// Whose bill it is set beside.
    pub policy: PolicyKind,
    pub compared_month_usd: f64,
}

impl Comparison {
    /// Beside the planner's month, or the last policy's where it is not
    /// simulated; nothing where no workload repeats.
    pub(crate) fn of(old: &OldBill, sections: &[Section]) -> Option<Self> {
        let section = sections.iter().find(|section| repeats(section.workload))?;
        let planner = section
            .outcomes
            .iter()
            .find(|of| of.policy == PolicyKind::Planner);
        let outcome = planner.or(section.outcomes.last())?;
        let ours = outcome.bill.compared_month_usd;
        let fleets = old.fleets().into_iter().map(|fleet| {
            let of_fleet = old.servers.iter().filter(|server| server.fleet == fleet);
            let (mut total, mut compared) = (0.0, 0.0);
            for server in of_fleet {
                total += server.usd_month;
                compared += if server.is_compared {
                    server.usd_month
                } else {
                    0.0
                };
            }
            ComparedFleet {
                fleet: fleet.to_owned(),
                total_usd_month: total,
                compared_usd_month: compared,
                share: if compared > 0.0 {
                    ours / compared
                } else {
                    f64::INFINITY
                },
            }
        });
        Some(Self {
            fleets: fleets.collect(),
            servers: old.servers.clone(),
            policy: outcome.policy,
            compared_month_usd: ours,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const EXAMPLE: &str = include_str!("../../../infra/examples/old-bill.csv");

    #[test]
    fn the_example_is_a_bill_with_two_fleets() {
        let bill = OldBill::read(EXAMPLE, "old-bill.csv").unwrap();
        assert_eq!(bill.fleets(), ["before", "after"]);
        let compared: Vec<&str> = bill
            .servers
            .iter()
            .filter(|server| server.is_compared && server.fleet == "before")
            .map(|server| server.server.as_str())
            .collect();
        assert_eq!(
            compared,
            [
                "ImageCrawler",
                "ImageRetry",
                "SiteCrawler",
                "CrawlFileCollector"
            ]
        );
    }

    #[test]
    fn servers_are_compared_by_their_names() {
        for name in [
            "EPImgCrw",
            "EpImgCrwErr",
            "EPImgVerify",
            "EpCrawl",
            "EpScrap",
            "EPCrawlFileCollector",
        ] {
            assert!(TIERS.iter().any(|tier| is_like(name, tier)), "{name}");
        }
        for name in ["EPSync", "EPRedis", "EPSched", "EPSummary"] {
            assert!(!TIERS.iter().any(|tier| is_like(name, tier)), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_bill_is_said_with_line_and_column() {
        let check = |text: &str, expected: &str| {
            let error = OldBill::read(text, "b.csv").unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let head = "fleet,server,instances,type,purchase,usd_month\n";
        check(
            "fleet,server\n",
            "b.csv, line 1: there is no column \"instances\"; a bill has fleet, server, instances, type, purchase and usd_month, as infra/examples/old-bill.csv shows",
        );
        check(
            head,
            "b.csv has no server; a bill has a head line and a line for each kind of server",
        );
        check(
            &format!("{head}a,b,1,c,d,1\na,b,two,c,d,1\n"),
            "b.csv, line 3, column instances: found \"two\"; give a whole number",
        );
        check(
            &format!("{head}a,b,1,c,d,cheap\n"),
            "b.csv, line 2, column usd_month: found \"cheap\"; give USD a month, such as 38.07",
        );
    }
}
