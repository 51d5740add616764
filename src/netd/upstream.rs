//! Asking other name servers, on behalf of clients.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::message::{Question, is_truncated};
use crate::model::id::random_uuid;

/// How long upstreams may take, all together: clients ask again after five seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// The port of name servers.
pub const PORT: u16 = 53;
/// What an upstream may send at once.
const BUFFER: usize = 4096;

/// The first answer of these upstreams. They are asked one after another, the next as soon as one fails or has had its share
/// of the time; who is late is still heard.
pub async fn ask(upstreams: &[SocketAddr], question: &Question) -> Option<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let share = PATIENCE / u32::try_from(upstreams.len().max(1)).unwrap_or(1);
    let mut asked = FuturesUnordered::new();
    for (next, upstream) in (1..).zip(upstreams) {
        asked.push(ask_one(*upstream, question));
        let until = if next == upstreams.len() {
            deadline
        } else {
            Instant::now() + share
        };
        while !asked.is_empty() {
            match timeout_at(until.min(deadline), asked.next()).await {
                Ok(Some(Ok(bytes))) => return Some(bytes),
                Ok(Some(Err(_))) if next < upstreams.len() => break,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    None
}

/// One upstream's answer: by UDP, and by TCP if that was cut short.
async fn ask_one(upstream: SocketAddr, question: &Question) -> io::Result<Vec<u8>> {
    let any: IpAddr = match upstream {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket for each question, with a port and a number that nobody can foresee; the kernel drops what others send.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(upstream).await?;
    let id = random_id();
    socket.send(&question.forwarded(id)).await?;
    let mut buffer = vec![0; BUFFER];
    let bytes = loop {
        let length = socket.recv(&mut buffer).await?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if question.is_answered_by(id, bytes) {
            break bytes.to_vec();
        }
    };
    if !is_truncated(&bytes) {
        return Ok(bytes);
    }
    // An upstream without TCP has at least said that there is more.
    Ok(ask_by_tcp(upstream, question).await.unwrap_or(bytes))
}

async fn ask_by_tcp(upstream: SocketAddr, question: &Question) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    let id = random_id();
    stream.write_all(&framed(&question.forwarded(id))).await?;
    let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut bytes).await?;
    match question.is_answered_by(id, &bytes) {
        true => Ok(bytes),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A message as it goes over TCP: with its length in front. One that is too long for that is left out.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(0);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message.iter().take(usize::from(length)));
    bytes
}

/// A number that nobody can foresee.
fn random_id() -> u16 {
    let [.., high, low] = random_uuid().into_bytes();
    u16::from_be_bytes([high, low])
}
