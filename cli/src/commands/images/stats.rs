//! `trawler images stats`: what there is of images.

use serde_json::{Value, json};
use trawler_upkeep::{ImageStats, StatsOptions};

use super::shower::Shower;
use crate::args::StatsArgs;
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::lookup::known_pipe;
use crate::output::{self, Row, bytes, grouped};

const COLUMNS: [&str; 6] = ["pipe", "products", "images", "variants", "size", "statuses"];

pub(super) async fn run(loaded: &Loaded, args: &StatsArgs, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let options = StatsOptions {
        pipe: match &args.pipe {
            Some(text) => Some(known_pipe(&machine, text).await?),
            None => None,
        },
        objects: args.objects,
    };
    let shower = Shower::new();
    let upkeep = machine.upkeep(loaded).await?;
    let stats = upkeep.stats(&options, &|step| shower.show(step)).await;
    drop(shower);
    let stats = stats?;
    if as_json {
        output::json(&stats)?;
        return Ok(End::Done);
    }
    let of_pipes = stats.pipes.iter();
    let mut rows: Vec<Row> = of_pipes.map(|(pipe, stats)| row(pipe, stats)).collect();
    rows.push(row("all", &stats.all));
    output::list(&rows, &COLUMNS)?;
    for remark in remarks(&stats.all) {
        say!("{remark}");
    }
    if let Some(objects) = stats.objects {
        say!(
            "the store holds {} object(s), {}",
            grouped(objects.objects),
            bytes(objects.bytes)
        );
    }
    Ok(End::Done)
}

/// What there is to say of damaged files.
fn remarks(all: &ImageStats) -> Vec<String> {
    let refused = all.damaged_refused.iter();
    let mut remarks: Vec<String> = refused
        .map(|(status, rows)| {
            let of_status = all.statuses.get(status).copied().unwrap_or_default();
            format!(
                "{} {status}, of which {} could be stored with images.damaged = \"store\"",
                grouped(of_status),
                grouped(*rows)
            )
        })
        .collect();
    if all.damaged_stored > 0 {
        let rows = grouped(all.damaged_stored);
        remarks.push(format!(
            "{rows} stored image(s) were decoded in part only (image_damaged)"
        ));
    }
    remarks
}

fn row(pipe: &str, stats: &ImageStats) -> Row {
    let cells: [Value; 6] = [
        json!(pipe),
        json!(grouped(stats.rows)),
        json!(grouped(stats.sources)),
        json!(grouped(stats.variants)),
        json!(bytes(stats.bytes)),
        json!(super::told(&stats.statuses)),
    ];
    let named = COLUMNS.iter().map(|column| (*column).to_owned());
    named.zip(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_told_of_where_there_are_some() {
        assert!(remarks(&ImageStats::default()).is_empty());
        let all = ImageStats {
            statuses: [("corrupt", 1_120), ("stored", 9)].into(),
            damaged_refused: [("corrupt", 96)].into(),
            damaged_stored: 3,
            ..ImageStats::default()
        };
        assert_eq!(
            remarks(&all),
            [
                "1,120 corrupt, of which 96 could be stored with images.damaged = \"store\"",
                "3 stored image(s) were decoded in part only (image_damaged)",
            ]
        );
    }
}
