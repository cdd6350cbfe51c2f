use super::*;

const HEADER: &str = "id\ttitle\tprice_pc\tlink\tclass\tupdate_time\n";

fn summary() -> FeedOptions {
    FeedOptions {
        max_bad_share: 1.0,
        ..FeedOptions::new(FeedFormat::NaverEp, FeedMode::Summary)
    }
}

fn row(id: &str, class: &str) -> String {
    format!("{id}\tCoat\t10\thttps://s.example/{id}\t{class}\t2026-05-01 10:00:00\n")
}

/// Replays what the sink was given.
fn state(calls: &[Call]) -> Vec<String> {
    let mut live: Vec<String> = Vec::new();
    for call in calls {
        match call {
            Call::Delete(ids) => live.retain(|id| !ids.contains(id)),
            Call::Upsert(rows) => {
                for row in rows {
                    let id = row["id"].as_str().unwrap().to_owned();
                    live.retain(|known| *known != id);
                    live.push(id);
                }
            }
        }
    }
    live
}

#[test]
fn changes_apply_in_the_order_of_the_feed() {
    let check = |changes: &[(&str, &str)], expected: &[&str]| {
        let rows: String = changes.iter().map(|(id, class)| row(id, class)).collect();
        let result = read(format!("{HEADER}{rows}").as_bytes(), &summary()).unwrap();
        assert!(result.outcome.complete);
        assert_eq!(state(&result.calls), expected, "{changes:?}");
        let rows = result.rows();
        assert!(rows.iter().all(|row| row.get("extra").is_none()));
    };
    check(&[("a", "I"), ("b", "U")], &["a", "b"]);
    check(&[("a", "I"), ("a", "D")], &[]);
    check(&[("a", "D"), ("a", "I")], &["a"]);
    check(&[("a", "I"), ("a", "D"), ("a", "U"), ("b", "D")], &["a"]);
    check(&[("a", "d"), ("b", "i"), ("a", "u")], &["b", "a"]);
}

#[test]
fn a_deletion_needs_its_id_only() {
    let feed = format!("{HEADER}gone\t\t\t\tD\t2026-05-01 10:00:00\n");
    let result = read(feed.as_bytes(), &summary()).unwrap();
    assert_eq!(result.calls, [Call::Delete(vec!["gone".to_owned()])]);
    assert_eq!((result.outcome.rows, result.outcome.deletes), (0, 1));
}

#[test]
fn interleaved_changes_stay_in_large_batches() {
    let rows: String = (0..1_000)
        .map(|n| row(&format!("{n}"), if n % 2 == 0 { "U" } else { "D" }))
        .collect();
    let result = read(format!("{HEADER}{rows}").as_bytes(), &summary()).unwrap();
    assert_eq!(result.calls.len(), 2);
}

#[test]
fn a_class_that_is_missing_or_unknown_is_rejected() {
    let feed = format!("{HEADER}{}{}{}", row("a", ""), row("b", "X"), row("c", "I"));
    let result = read(feed.as_bytes(), &summary()).unwrap();
    assert_eq!((result.outcome.rows, result.outcome.rejected), (1, 2));
    assert_eq!(result.rejected[0]["id"], "a");
}

#[test]
fn a_summary_feed_needs_the_class_field() {
    let feed = "id\ttitle\tlink\n";
    let error = read(feed.as_bytes(), &summary()).err().unwrap();
    assert!(matches!(
        error,
        FeedError::MissingColumn {
            column: "class",
            ..
        }
    ));
}

#[test]
fn a_summary_feed_without_changes_is_complete() {
    let result = read(HEADER.as_bytes(), &summary()).unwrap();
    assert!(result.outcome.complete);
    assert_eq!((result.outcome.rows, result.outcome.deletes), (0, 0));
}

/// Shop software that writes `class` into its full feed too marks what is sold
/// out with D. The id goes, in the order of the feed.
#[test]
fn a_full_feed_with_classes_lists_what_is_not_sold_out() {
    let check = |changes: &[(&str, &str)], expected: &[&str], deletes: u64| {
        let rows: String = changes.iter().map(|(id, class)| row(id, class)).collect();
        let result = read(format!("{HEADER}{rows}").as_bytes(), &ep()).unwrap();
        assert!(result.outcome.complete, "{changes:?}");
        assert_eq!(state(&result.calls), expected, "{changes:?}");
        assert_eq!(result.outcome.deletes, deletes);
    };
    check(&[("a", "I"), ("b", "D"), ("c", "U")], &["a", "c"], 1);
    check(&[("a", "D"), ("a", "U")], &["a"], 1);
    check(&[("a", "U"), ("a", "D")], &[], 1);
    check(&[("a", ""), ("a", "D"), ("b", "")], &["b"], 1);
    check(&[("a", "D"), ("a", ""), ("b", "")], &["a", "b"], 1);

    let feed = format!("{HEADER}{}{}", row("a", "I"), row("b", "D"));
    let mut ignoring = ep();
    ignoring.ignore.push("class".to_owned());
    let result = read(feed.as_bytes(), &ignoring).unwrap();
    assert_eq!((result.outcome.rows, result.outcome.deletes), (2, 0));
    let unknown = format!("{HEADER}{}{}", row("a", "I"), row("b", "C"));
    let result = read(unknown.as_bytes(), &ep()).unwrap();
    assert_eq!((result.outcome.rows, result.outcome.rejected), (1, 1));
    let reason = result.rejected[0]["reason"].as_str().unwrap();
    assert!(reason.contains("ignore = [\"class\"]"), "{reason}");
}

/// The partner's own instant is kept, in rows and in deletions.
#[test]
fn update_time_is_a_column() {
    let feed = format!("{HEADER}{}{}", row("a", "U"), row("b", "D"));
    let result = read(feed.as_bytes(), &summary()).unwrap();
    // 2026-05-01 10:00 in Korea.
    assert_eq!(
        result.rows()[0]["partner_updated"],
        1_777_597_200_000_000_i64
    );
    let mut deleted = Vec::new();
    struct Deletions<'a>(&'a mut Vec<Deleted>);
    impl RowSink for Deletions<'_> {
        fn upsert(&mut self, _: RecordBatch) -> Result<(), SinkError> {
            Ok(())
        }
        fn delete(&mut self, deleted: Vec<Deleted>) -> Result<(), SinkError> {
            self.0.extend(deleted);
            Ok(())
        }
    }
    let takers = FeedTakers {
        sink: &mut Deletions(&mut deleted),
        rejected: &mut RejectedRows::counted(),
        normaliser: &mut Normaliser::default(),
        step: &mut |_| Step::Continue,
    };
    read_feed(feed.as_bytes(), &summary(), takers).unwrap();
    let updated = deleted[0].updated.unwrap();
    assert_eq!(updated.timestamp(), 1_777_597_200);
}
