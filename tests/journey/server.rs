//! A small web server on loopback that answers what a test says: for files
//! that exist, and for answers that no synthetic shop gives.
//!
//! HTTP/1.1, one request a connection, a thread each. It is not a shop: it
//! knows no products and no days.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A client that says nothing for so long is cut off.
const READ_WAIT: Duration = Duration::from_secs(5);

/// What is answered to one request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Bytes announced beyond those that are sent.
    pub(crate) missing: usize,
}

impl Answer {
    /// 200 with this body and no validators.
    pub(crate) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            missing: 0,
        }
    }

    pub(crate) fn not_found() -> Self {
        Self {
            status: 404,
            ..Self::of("nothing here")
        }
    }

    /// Announces so many bytes more than it sends, then closes.
    pub(crate) fn missing(self, bytes: usize) -> Self {
        Self {
            missing: bytes,
            ..self
        }
    }
}

type Serve = dyn Fn(&str) -> Answer + Send + Sync;

/// A running server; ends when dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    leaving: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    /// What was asked, head by head, in lower case.
    heads: Arc<Mutex<String>>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers every request with what `serve` gives for its path.
    pub(crate) fn start(serve: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (leaving, requests) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (told, counted) = (Arc::clone(&leaving), Arc::clone(&requests));
        let heads: Arc<Mutex<String>> = Arc::default();
        let heard = Arc::clone(&heads);
        let serve: Arc<Serve> = Arc::new(serve);
        let accepting = std::thread::spawn(move || {
            let mut answering = Vec::new();
            for stream in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (serve, counted) = (Arc::clone(&serve), Arc::clone(&counted));
                let heard = Arc::clone(&heard);
                // A client that went away has nobody to be told.
                answering.push(std::thread::spawn(move || {
                    drop(answer(stream, &*serve, &counted, &heard))
                }));
            }
            for thread in answering {
                thread.join().unwrap();
            }
        });
        Self {
            addr,
            leaving,
            requests,
            heads,
            accepting: Some(accepting),
        }
    }

    /// Serves one body, which the test may exchange.
    pub(crate) fn of_one_body(body: &Arc<Mutex<Vec<u8>>>) -> Self {
        let body = Arc::clone(body);
        Self::start(move |_| Answer::of(body.lock().unwrap().clone()))
    }

    /// `127.0.0.1:port`, as it is let in.
    pub(crate) fn host(&self) -> String {
        self.addr.to_string()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The heads of all requests so far, in lower case.
    pub(crate) fn heads(&self) -> String {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::SeqCst);
        // Wakes the accept, which otherwise waits for ever.
        drop(TcpStream::connect(self.addr));
        if let Some(accepting) = self.accepting.take() {
            let joined = accepting.join();
            assert!(
                joined.is_ok() || std::thread::panicking(),
                "a server panicked"
            );
        }
    }
}

fn answer(
    stream: TcpStream,
    serve: &Serve,
    requests: &AtomicU64,
    heads: &Mutex<String>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(READ_WAIT))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut asked = line.to_ascii_lowercase();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        asked.push_str(&line.to_ascii_lowercase());
        if line == "\r\n" {
            break;
        }
    }
    // Whole, or two that ask at once could not be told apart.
    heads.lock().unwrap().push_str(&asked);
    requests.fetch_add(1, Ordering::SeqCst);
    let answer = serve(&path);
    let mut stream = reader.into_inner();
    let mut head = format!(
        "HTTP/1.1 {} told\r\nContent-Length: {}\r\nConnection: close\r\n",
        answer.status,
        answer.body.len() + answer.missing
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body)?;
    stream.flush()
}
