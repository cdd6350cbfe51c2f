//! A raw HTTP/1.1 client for tests: it reports exactly what came over the wire, complete or not.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer of a test shop takes longer.
const REPLY_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Lower-case names.
    pub headers: HashMap<String, String>,
    /// Without transfer coding, as far as it came.
    pub body: Vec<u8>,
    /// Whether all announced bytes (or the last chunk) came.
    pub complete: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

pub async fn get(addr: SocketAddr, target: &str) -> Reply {
    get_with(addr, target, &[]).await
}

pub async fn get_with(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Reply {
    let raw = fetch(addr, target, headers, usize::MAX).await;
    parse(&raw).expect("an answer")
}

/// The raw bytes of the answer, up to `bytes_max`; empty where the connection was closed at once.
pub async fn fetch(
    addr: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
    bytes_max: usize,
) -> Vec<u8> {
    let mut request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        while raw.len() < bytes_max {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(n) => raw.extend_from_slice(&piece[..n]),
            }
        }
        raw
    };
    tokio::time::timeout(REPLY_WAIT, talk)
        .await
        .expect("an answer in time")
}

pub fn parse(raw: &[u8]) -> Option<Reply> {
    let head_end = raw.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..head_end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<String, String> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let rest = &raw[head_end + 4..];
    let (body, complete) = if headers
        .get("transfer-encoding")
        .is_some_and(|v| v == "chunked")
    {
        unchunk(rest)
    } else if let Some(length) = headers.get("content-length") {
        let length: usize = length.parse().unwrap();
        (rest.to_vec(), status == 304 || rest.len() == length)
    } else {
        (rest.to_vec(), true)
    };
    Some(Reply {
        status,
        headers,
        body,
        complete,
    })
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        rest = &rest[end + 2..];
        if rest.len() < size + 2 {
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
    (body, false)
}
