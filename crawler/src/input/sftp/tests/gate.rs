//! Stands between client and server, counts what comes down, and cuts or stalls
//! the connection after so much of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

const ORDER: Ordering = Ordering::SeqCst;

/// Longer than any of the tests has to wait.
const LEFT_MAX: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Settings {
    /// Down from now on; 0 has its meaning as well.
    left: AtomicU64,
    /// What then: 0 nothing, 1 the end, 2 a stall.
    then: AtomicUsize,
    clients: AtomicUsize,
}

pub(super) struct Gate {
    port: u16,
    settings: Arc<Settings>,
    serving: AbortHandle,
}

impl Gate {
    pub(super) async fn open(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Arc::new(Settings::default());
        let shared = Arc::clone(&settings);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                connections.spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        Self {
            port,
            settings,
            serving: serving.abort_handle(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Connections that the client has not ended.
    pub(super) fn clients(&self) -> usize {
        self.settings.clients.load(ORDER)
    }

    pub(super) fn cut_after(&self, bytes: u64) {
        self.settings.left.store(bytes, ORDER);
        self.settings.then.store(1, ORDER);
    }

    pub(super) fn stall_after(&self, bytes: u64) {
        self.settings.left.store(bytes, ORDER);
        self.settings.then.store(2, ORDER);
    }

    pub(super) fn pass(&self) {
        self.settings.then.store(0, ORDER);
    }

    pub(super) async fn until_left(&self) {
        let left = async {
            while self.clients() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LEFT_MAX, left).await.unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn carry(client: TcpStream, server: TcpStream, settings: Arc<Settings>) {
    settings.clients.fetch_add(1, ORDER);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        settings.clients.fetch_sub(1, ORDER);
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let Ok(read @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            let then = settings.then.load(ORDER);
            let left = settings.left.load(ORDER);
            let over = then != 0 && left < read as u64;
            match (over, then) {
                (true, 1) => return,
                (true, _) => std::future::pending::<()>().await,
                (false, 0) => {}
                (false, _) => settings.left.store(left - read as u64, ORDER),
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    // The one that ends takes the other with it: both halves are dropped.
    tokio::select! {
        () = up => {}
        () = down => { settings.clients.fetch_sub(1, ORDER); }
    }
}
