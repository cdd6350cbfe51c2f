//! Requests that set emulators up, by hand: the tests need no SDK for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use trawler_tests::emulator::REGION;

const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A call of a service with the query protocol; the answer's XML.
pub(crate) fn query(endpoint: &str, service: &str, version: &str, form: &[(&str, &str)]) -> String {
    let mut body = format!("Version={version}");
    for (name, value) in form {
        body.push_str(&format!("&{name}={}", encode(value)));
    }
    let kind = "application/x-www-form-urlencoded";
    send(endpoint, service, kind, &[], &body)
}

/// A call of a service with the JSON protocol; the answer.
pub(crate) fn json(endpoint: &str, service: &str, target: &str, body: &str) -> String {
    let kind = "application/x-amz-json-1.1";
    send(endpoint, service, kind, &[("X-Amz-Target", target)], body)
}

/// Emulators tell services apart by the scope of the signature, which they do
/// not check.
fn send(endpoint: &str, service: &str, kind: &str, headers: &[(&str, &str)], body: &str) -> String {
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=emulated/20260101/{REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{request}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{body}: {answer}");
    answer
}

/// What stands between the tags of a name, every time.
pub(crate) fn values(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split(&close).next())
        .map(str::to_owned)
        .collect()
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
