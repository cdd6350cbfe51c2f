//! Credentials are references: refused where they are written out, asked for
//! by the worker that sends them, and found nowhere else.

use std::fs;
use std::path::Path;

use trawler_shop::FeedFormat;
use trawler_tests::emulator::Ministack;

use crate::fleet::Fleet;
use crate::look::feed_table;
use crate::server::{Answer, Server};
use crate::support::{Ended, Folder, pipe};

const NO_IMAGES: &str = "[images]\ncollect = false\n";
const FEED: &str = "id\ttitle\tprice_pc\tlink\n1\tA\t10\thttps://a.example/\n";

/// A pipe with more in its table `[fetch]`.
fn pipe_with(url: &str, fetch: &str) -> String {
    let table = feed_table(FeedFormat::NaverEp);
    let with = format!("concurrency = 8\n{fetch}");
    pipe(url, &table, NO_IMAGES).replace("concurrency = 8", &with)
}

fn partner() -> Server {
    Server::start(|_| Answer::of(FEED))
}

/// No file of the folder has the text in it.
fn assert_nowhere(folder: &Path, text: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, text);
        } else if let Ok(bytes) = fs::read(&path) {
            let found = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            assert!(!found, "{text} is in {}", path.display());
        }
    }
}

#[test]
fn credentials_that_are_written_out_fail_the_check_and_are_not_shown() {
    let folder = Folder::new(&[], "");
    let check = |fetch: &str, url: &str, parts: &[&str]| {
        folder.pipe("shop", &pipe_with(url, fetch));
        let ended = folder.trawler(&["check"]).with_code(2);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is not in: {ended:?}");
        }
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
        let json = folder.trawler(&["check", "--json"]).with_code(2);
        assert!(!json.stdout.contains("hunter2"), "{json:?}");
    };
    let url = "https://shop.example.com/ep.tsv";
    let instead = "env:NAME, file:/path or ssm:/name";
    for header in [
        "Authorization",
        "cookie",
        "X-Api-Key",
        "X-Shop-Token",
        "client-secret",
    ] {
        check(
            &format!("headers = {{ {header} = \"hunter2\" }}"),
            url,
            &["shop.toml:", &format!("fetch.headers.{header}"), instead],
        );
    }
    let basic = "auth = { kind = \"basic\", user = \"ann\", password = \"hunter2\" }";
    check(basic, url, &["shop.toml:", "fetch.auth.password", instead]);
    let bearer = "auth = { kind = \"bearer\", token = \"hunter2\" }";
    check(bearer, url, &["fetch.auth.token", instead]);
    let both =
        "headers = { Authorization = \"env:A\" }\nauth = { kind = \"bearer\", token = \"env:A\" }";
    check(both, url, &["fetch.headers.Authorization", "not both"]);
    check(
        "",
        "https://ann:hunter2@shop.example.com/ep.tsv",
        &["source.url", "fetch.auth"],
    );
    check(
        "",
        "https://shop.example.com/ep.tsv?lang=ko&api_key=hunter2",
        &["source.url", "the parameter api_key", "fetch.query"],
    );
    check(
        "query = { token = \"hunter2\" }",
        url,
        &["fetch.query.token", instead],
    );
    check(
        "query = { lang = \"env:LANG\" }",
        url,
        &["fetch.query.lang", "source.url"],
    );
    check(
        "headers = { X-Api-Key = \"ssm:no-slash\" }",
        url,
        &["X-Api-Key", instead],
    );

    // What cannot even be read is not repeated either.
    check(
        "headers = { Authorization = \"hunter2\" oops }",
        url,
        &["shop.toml:", "not shown"],
    );
    check(
        "auth = { kind = \"bearer\", token = [\"hunter2\"] }",
        url,
        &["shop.toml:"],
    );

    let fine =
        "headers = { User-Agent = \"Mozilla/5.0\", Accept = \"text/csv\", Cookie = \"env:C\" }";
    folder.pipe("shop", &pipe_with(url, fine));
    folder.trawler(&["check"]).with_code(0);
}

#[test]
fn the_worker_resolves_references_and_keeps_no_value() {
    let server = partner();
    let folder = Folder::new(&[server.host()], "");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "from-a-file\n").unwrap();
    let fetch = format!(
        "headers = {{ X-Api-Key = \"env:SHOP_KEY\", X-Client = \"plain\" }}\n\
         query = {{ token = \"env:SHOP_TOKEN\" }}\n\
         auth = {{ kind = \"bearer\", token = \"file:{}\" }}",
        file.path().display()
    );
    folder.pipe("shop", &pipe_with(&server.url("/feed?lang=ko"), &fetch));
    let ended: Ended = folder
        .command(&["run", "--once", "--pipe", "shop", "--json"])
        .env("SHOP_KEY", "from-the-environment")
        .env("SHOP_TOKEN", "in the query")
        .env("TRAWLER_LOG", "trace")
        .output()
        .unwrap()
        .into();
    let ended = ended.with_code(0);
    let heads = server.heads();
    for expected in [
        "x-api-key: from-the-environment",
        "authorization: bearer from-a-file",
        "x-client: plain",
        "get /feed?lang=ko&token=in+the+query http/1.1",
    ] {
        assert!(heads.contains(expected), "{expected} is not in: {heads}");
    }
    for secret in ["from-the-environment", "from-a-file", "in+the+query"] {
        assert!(!ended.stdout.contains(secret), "printed");
        assert!(!ended.stderr.contains(secret), "logged");
        assert_nowhere(folder.path(), secret);
    }
}

#[test]
fn a_secret_that_is_missing_fails_its_run_with_its_name() {
    let server = partner();
    let folder = Folder::new(&[server.host()], "");
    let check = |fetch: &str, parts: &[&str]| {
        folder.pipe("shop", &pipe_with(&server.url("/feed"), fetch));
        let ended = folder
            .trawler(&["run", "--once", "--pipe", "shop"])
            .with_code(1);
        for part in parts {
            assert!(ended.stdout.contains(part), "{part:?} is not in: {ended:?}");
        }
    };
    check(
        "headers = { X-Api-Key = \"env:NOBODY_SET_THIS\" }",
        &[
            "fetch.headers.X-Api-Key",
            "env:NOBODY_SET_THIS",
            "no variable",
        ],
    );
    check(
        "auth = { kind = \"bearer\", token = \"file:/nobody/wrote/this\" }",
        &[
            "fetch.auth.token",
            "file:/nobody/wrote/this",
            "No such file",
        ],
    );
    check(
        "headers = { X-Api-Key = \"ssm:/trawler/key\" }",
        &["ssm:/trawler/key", "nothing here is on AWS"],
    );
    assert_eq!(server.requests(), 0, "nobody is asked without credentials");
}

#[test]
fn a_fleet_reads_parameters_and_publishes_none() {
    let server = partner();
    let fleet = Fleet::new("secrets", &[server.host()]);
    put_parameter("/secrets/shop/key", "from-ssm");
    let fetch = "headers = { X-Api-Key = \"ssm:/secrets/shop/key\" }";
    fleet
        .folder
        .pipe("shop", &pipe_with(&server.url("/feed"), fetch));
    let missing = "headers = { X-Api-Key = \"ssm:/secrets/nobody\" }";
    fleet
        .folder
        .pipe("other", &pipe_with(&server.url("/feed"), missing));
    fleet.push();
    let ended = fleet
        .command(&["run", "--once", "--pipe", "shop"])
        .env("TRAWLER_LOG", "trace")
        .output()
        .unwrap();
    let ended = Ended::from(ended).with_code(0);
    assert!(server.heads().contains("x-api-key: from-ssm"));
    assert!(!ended.stderr.contains("from-ssm"), "logged");
    let shown = fleet
        .trawler(&["pipes", "show", "--pipe", "shop"])
        .with_code(0);
    assert!(shown.stdout.contains("ssm:/secrets/shop/key"));
    let ended = fleet
        .trawler(&["run", "--once", "--pipe", "other"])
        .with_code(1);
    assert!(ended.stdout.contains("/secrets/nobody"), "{ended:?}");
}

#[test]
fn a_worker_that_stays_sends_the_secret_of_today() {
    let server = partner();
    let fleet = Fleet::new("rotated", &[server.host()]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let token = format!("file:{}", file.path().display());
    let fetch = format!("auth = {{ kind = \"bearer\", token = {token:?} }}");
    let mut crawler = None;
    for (ran, (name, secret)) in [("first", "of-monday"), ("second", "of-tuesday")]
        .into_iter()
        .enumerate()
    {
        fs::write(file.path(), secret).unwrap();
        let text = pipe_with(&server.url(&format!("/{name}")), &fetch);
        fleet.folder.pipe(name, &text);
        fleet.push();
        crawler = crawler.or_else(|| Some(fleet.start(&["crawl"])));
        assert_eq!(fleet.tick()["runs_planned"], 1);
        fleet.until_runs_end(ran + 1);
        let heads = server.heads();
        let asked = heads.split("get /").find(|head| head.starts_with(name));
        let sent = asked.unwrap().contains(&format!("bearer {secret}"));
        assert!(sent, "{heads}");
    }
    assert_eq!(crawler.unwrap().leave(), 0);
}

fn put_parameter(name: &str, value: &str) {
    use std::io::{Read, Write};
    let body = serde_json::json!({ "Name": name, "Type": "SecureString", "Value": value });
    let body = body.to_string();
    let port = Ministack::shared().port();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AmazonSSM.PutParameter\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=emulated/20260101/eu-west-1/ssm/aws4_request, \
         SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
