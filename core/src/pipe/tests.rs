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
