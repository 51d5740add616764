//! Somebody who is posted to: keeps what arrives, and answers as it is told.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The line, and the headers in lower case.
    pub head: String,
    pub text: String,
    pub body: Value,
}

/// A server at a port of its own, until it is dropped.
pub struct Receiver {
    pub url: String,
    status: Arc<AtomicU16>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Receiver {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let (status, arrived) = (Arc::new(AtomicU16::new(204)), Arc::<Mutex<Vec<Arrived>>>::default());
        let (told, kept) = (status.clone(), Arc::downgrade(&arrived));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(kept) = kept.upgrade() else { return };
                let one = stream.ok().and_then(|stream| take(stream, told.load(Ordering::SeqCst)));
                kept.lock().unwrap().extend(one);
            }
        });
        Self { url, status, arrived }
    }

    /// Answers so from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// All that arrived.
    pub fn all(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// Waits until so many have arrived.
    pub fn wait(&self, count: usize) -> Vec<Arrived> {
        let end = Instant::now() + Duration::from_secs(20);
        while self.all().len() < count && Instant::now() < end {
            std::thread::yield_now();
        }
        let all = self.all();
        assert_eq!(all.len(), count, "{all:#?}");
        all
    }
}

/// Reads one request, and answers it.
fn take(mut stream: TcpStream, status: u16) -> Option<Arrived> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut seen = Vec::new();
    let (head, length) = loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            break (head, length.unwrap_or(0));
        }
        read_more(&mut stream, &mut seen)?;
    };
    let begin = String::from_utf8_lossy(&seen).find("\r\n\r\n")? + 4;
    while seen.len() < begin + length {
        read_more(&mut stream, &mut seen)?;
    }
    let text = String::from_utf8_lossy(&seen[begin..]).into_owned();
    let answer = format!(
        "HTTP/1.1 {status} Said\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    let body = serde_json::from_str(&text).ok()?;
    Some(Arrived { head, text, body })
}

fn read_more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    let mut some = [0; 4096];
    match stream.read(&mut some).ok()? {
        0 => None,
        n => {
            seen.extend_from_slice(&some[..n]);
            Some(())
        }
    }
}
