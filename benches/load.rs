//! The loader: a closed loop over connections that are kept alive, on one thread. It reads answers whole and knows no
//! more HTTP than that takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How a run went.
#[derive(Debug, Clone, Default)]
pub struct Run {
    pub answers: u64,
    pub body_bytes: u64,
    pub seconds: f64,
    /// In microseconds, in order.
    pub took: Vec<f64>,
}

impl Run {
    pub fn percentile(&self, share: f64) -> f64 {
        let at = (self.took.len() as f64 * share) as usize;
        self.took
            .get(at.min(self.took.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// A request as bytes.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// A request of somebody with a key, as bytes.
pub fn get_as(path: &str, key: &Key) -> Vec<u8> {
    let login = key.basic();
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nAuthorization: Basic {login}\r\n\r\n"
    )
    .into_bytes()
}

/// A request with a JSON body of somebody with a key, as bytes.
pub fn post_as(path: &str, body: &str, key: &Key) -> Vec<u8> {
    let login = key.basic();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Basic {login}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An API key.
#[derive(Debug, Clone)]
pub struct Key {
    pub access: String,
    pub secret: String,
}

impl Key {
    fn basic(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.access, self.secret))
    }
}

/// A request with a JSON body, as bytes.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Keeps `connections` requests in flight for `time`; `request` makes the n-th. Every answer must be a 2xx.
pub fn run(address: SocketAddr, connections: usize, time: Duration, request: impl Fn(u64) -> Vec<u8>) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let number = AtomicU64::new(0);
    let started = Instant::now();
    let runs = runtime.block_on(futures_util::future::join_all((0..connections).map(|_| async {
        let mut connection = Connection::open(address).await;
        let mut run = Run::default();
        while started.elapsed() < time {
            let bytes = request(number.fetch_add(1, Ordering::Relaxed));
            let began = Instant::now();
            let (status, length) = connection.ask(&bytes).await;
            assert!(
                (200..300).contains(&status),
                "{status} for {}: {}",
                String::from_utf8_lossy(&bytes),
                connection.text()
            );
            run.took.push(began.elapsed().as_secs_f64() * 1e6);
            run.body_bytes += length as u64;
            run.answers += 1;
        }
        run
    })));
    let mut all = Run {
        seconds: started.elapsed().as_secs_f64(),
        ..Run::default()
    };
    for run in runs {
        all.answers += run.answers;
        all.body_bytes += run.body_bytes;
        all.took.extend(run.took);
    }
    all.took.sort_by(f64::total_cmp);
    all
}

/// One request, and the body of its answer.
pub fn once(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut connection = Connection::open(address).await;
        let (status, _) = connection.ask(request).await;
        (status, connection.text())
    })
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body_at: usize,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a server that listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            buffer: Vec::with_capacity(1 << 20),
            body_at: 0,
        }
    }

    /// Status and length of the body.
    async fn ask(&mut self, request: &[u8]) -> (u16, usize) {
        self.stream.write_all(request).await.expect("a server that reads");
        self.buffer.clear();
        let (status, body_at, length) = loop {
            self.fill().await;
            if let Some(head) = read_head(&self.buffer) {
                break head;
            }
        };
        while self.buffer.len() < body_at + length {
            self.fill().await;
        }
        self.body_at = body_at;
        (status, length)
    }

    async fn fill(&mut self) {
        let read = self
            .stream
            .read_buf(&mut self.buffer)
            .await
            .expect("a server that answers");
        assert!(read > 0, "the server closed the connection");
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer[self.body_at..]).into_owned()
    }
}

/// Status, where the body begins, how long it is.
pub fn read_head(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
    let status = head.get(9..12).and_then(|s| s.parse().ok()).expect("a status line");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().expect("a length"))
    });
    Some((status, end + 4, length.unwrap_or(0)))
}
