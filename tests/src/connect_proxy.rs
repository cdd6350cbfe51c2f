//! A proxy as companies run them: CONNECT alone, with a password or to one place
//! alone, and a log of where it was asked to go. Ends when it is dropped.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// One CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// As it was asked for.
    pub target: String,
    /// What came back from there, in bytes; known when the tunnel is closed.
    pub bytes_down: u64,
}

/// A running proxy.
#[derive(Debug)]
pub struct ConnectProxy {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Connected>>>,
    serving: JoinHandle<()>,
}

/// Whom it lets through, and where to.
#[derive(Debug)]
enum Lets {
    /// Whoever sends this value of `Proxy-Authorization`, to anywhere.
    Knowing(String),
    /// Everybody, to these places, each under the address that only the proxy
    /// knows the way from.
    To(Vec<(String, SocketAddr)>),
}

impl ConnectProxy {
    /// `authorization` is the value that `Proxy-Authorization` has to have.
    pub async fn start(authorization: &str) -> Self {
        Self::letting(Lets::Knowing(authorization.to_owned())).await
    }

    /// Leads from addresses at which nobody is to servers of a test, so that what
    /// arrives there came through it; whatever else is asked for gets a 403.
    pub async fn leading(ways: &[(&str, SocketAddr)]) -> Self {
        let ways = ways.iter().map(|(from, to)| ((*from).to_owned(), *to));
        Self::letting(Lets::To(ways.collect())).await
    }

    async fn letting(lets: Lets) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let seen: Arc<Mutex<Vec<Connected>>> = Arc::default();
        let (log, lets) = (Arc::clone(&seen), Arc::new(lets));
        let serving = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, lets) = (Arc::clone(&log), Arc::clone(&lets));
                tunnels.spawn(async move {
                    // A client that goes away has its reasons.
                    let _ = tunnel(stream, &lets, &log).await;
                });
            }
        });
        Self {
            addr,
            seen,
            serving,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn seen(&self) -> Vec<Connected> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn tunnel(
    stream: TcpStream,
    lets: &Lets,
    log: &Mutex<Vec<Connected>>,
) -> std::io::Result<()> {
    let mut client = BufReader::new(stream);
    let (mut target, mut authorization) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("CONNECT ") {
            target = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            value.clone_into(&mut authorization);
        }
    }
    let to = match lets {
        Lets::Knowing(wanted) if *wanted == authorization => Ok(target.clone()),
        Lets::Knowing(_) => Err("407 Proxy Authentication Required"),
        Lets::To(ways) => {
            let way = ways.iter().find(|(from, _)| *from == target);
            way.map(|(_, to)| to.to_string()).ok_or("403 Forbidden")
        }
    };
    let to = match to {
        Ok(to) => to,
        Err(status) => {
            let refusal = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            return client.write_all(refusal.as_bytes()).await;
        }
    };
    let mut shop = TcpStream::connect(&to).await?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let place = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(Connected {
            target,
            bytes_down: 0,
        });
        log.len() - 1
    };
    let (_, bytes_down) = copy_bidirectional(&mut client, &mut shop).await?;
    log.lock().unwrap_or_else(PoisonError::into_inner)[place].bytes_down = bytes_down;
    Ok(())
}
