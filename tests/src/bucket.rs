//! Buckets of an emulator.

use std::io::{Error, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for the emulator's answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Makes the bucket, if it is not there, in the emulator's own region. The
/// request is not signed; emulators do not look.
///
/// # Panics
/// When the emulator does not answer so.
pub fn make_bucket(endpoint: &str, name: &str) {
    let host = endpoint.trim_start_matches("http://");
    let answer = ask(host, name).unwrap_or_else(|error| panic!("make bucket {name}: {error}"));
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(
        matches!(status, "200" | "409"),
        "make bucket {name}: {answer}"
    );
}

fn ask(host: &str, name: &str) -> Result<String, Error> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    write!(
        stream,
        "PUT /{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
