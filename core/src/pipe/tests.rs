#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

/// Problems of a pipe with this source and these further tables.
fn problems(source: Value, tables: Value) -> Vec<Problem> {
    let mut pipe = json!({ "source": source, "schedule": { "cron": "15 3 * * *" } });
    let tables = tables.as_object().unwrap().clone();
    pipe.as_object_mut().unwrap().extend(tables);
    serde_json::from_value::<Pipe>(pipe).unwrap().problems()
}

#[test]
fn parameters_of_a_query_are_for_feeds_and_not_for_sites() {
    let query = json!({ "query": { "token": "env:TOKEN" } });
    let site = json!({ "kind": "site", "url": "https://shop.example/" });
    let found = problems(site.clone(), json!({ "fetch": query }));
    let [problem] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(problem.key, "fetch.query");
    assert!(problem.allowed.contains("fetch.auth"), "{problem:?}");
    assert!(!problem.found.contains("token"), "{problem:?}");
    // What pages can be asked with is taken.
    let token = json!({ "auth": { "kind": "bearer", "token": "env:TOKEN" } });
    assert!(problems(site, json!({ "fetch": token })).is_empty());
    let feed = json!({ "kind": "http", "url": "https://shop.example/feed" });
    let reading = json!({ "format": "naver-ep", "mode": "full" });
    let found = problems(feed, json!({ "fetch": query, "feed": reading }));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_pipe_goes_by_one_way_alone() {
    let feed = json!({ "kind": "http", "url": "https://shop.example/feed" });
    let reading = json!({ "format": "naver-ep", "mode": "full" });
    let check = |fetch: Value, expected: &[&str]| {
        let tables = json!({ "feed": reading, "fetch": fetch });
        let found = problems(feed.clone(), tables);
        let keys: Vec<&str> = found.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, expected, "{fetch}: {found:?}");
        assert!(
            found
                .iter()
                .all(|it| it.found.contains("fetch.proxy") && it.allowed.contains("not both")),
            "{found:?}"
        );
    };
    let proxy = json!({ "url": "http://proxy.example:3128" });
    check(json!({}), &[]);
    check(json!({ "egress": "any", "proxy": proxy }), &[]);
    check(json!({ "egress": "fixed" }), &[]);
    check(
        json!({ "egress": "fixed", "proxy": proxy }),
        &["fetch.egress"],
    );

    // A set without the key is read by workers that do not know it yet.
    let written = |egress| {
        let fetch = FetchOptions {
            egress,
            ..FetchOptions::default()
        };
        serde_json::to_value(fetch).unwrap()["egress"].clone()
    };
    assert_eq!(written(Egress::Any), Value::Null);
    assert_eq!(written(Egress::Fixed), "fixed");
    let unknown = serde_json::from_value::<FetchOptions>(json!({ "egress": "static" }));
    let told = unknown.unwrap_err().to_string();
    assert!(told.contains("`any` or `fixed`"), "{told}");
}

#[test]
fn no_pipe_has_the_name_of_the_jobs_that_look_after_images() {
    let source = json!({ "kind": "site", "url": "https://shop.example/" });
    let mut pipe: Pipe =
        serde_json::from_value(json!({ "source": source, "schedule": { "cron": "15 3 * * *" } }))
            .unwrap();
    for (id, expected) in [("trawler", 0), (UPKEEP_PIPE.as_str(), 1)] {
        pipe.id = PipeId::parse(id).unwrap();
        assert_eq!(pipe.problems().len(), expected, "{id}");
    }
}
