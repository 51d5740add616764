//! The file in which a server tells who its authority is, asked for before anything is believed: nothing secret is sent, and
//! what comes is looked at by its digest.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer: a file of authorities has some kilobytes.
const LONGEST: u64 = 256 * 1024;

/// Of the first line of an answer so many bytes are looked at.
const MOST_WORDS: usize = 100;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What is at an `https` address, whoever answers there.
///
/// # Errors
/// In words.
pub async fn file(url: &str) -> Result<Vec<u8>, String> {
    match timeout(PATIENCE, ask(url)).await {
        Ok(asked) => asked.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn ask(url: &str) -> Result<Vec<u8>, Failed> {
    let url = Url::parse(url)?;
    let host = url.host_str().ok_or("it has no host")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().ok_or("it has no port")?;
    let name = ServerName::try_from(bare.to_owned())?;
    let tls = TlsConnector::from(Arc::new(crate::tls::with_anybody()?));
    let mut stream = tls.connect(name, TcpStream::connect((bare, port)).await?).await?;
    // To HTTP/1.0 a body comes as it is, and ends with the connection.
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n",
        url.path()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Not everybody ends TLS before the connection; the digest says whether all of it is there.
    if let Err(error) = stream.take(LONGEST).read_to_end(&mut answer).await
        && answer.is_empty()
    {
        return Err(error.into());
    }
    body(&answer).map(<[u8]>::to_vec)
}

/// What an answer says, if it is what was asked for.
fn body(answer: &[u8]) -> Result<&[u8], Failed> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end
        .and_then(|end| answer.split_at_checked(end + 4))
        .ok_or("what answers is no HTTP")?;
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.get(..MOST_WORDS).unwrap_or(line));
    match line.split(' ').nth(1) {
        Some("200") if line.starts_with("HTTP/1.") => Ok(body),
        _ => Err(format!("the server answers {line:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_found_has_a_body() {
        let read = |answer: &str| body(answer.as_bytes()).map(<[u8]>::to_vec).map_err(|e| e.to_string());
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nA: b\r\n\r\nx\r\n\r\ny"),
            Ok(b"x\r\n\r\ny".to_vec())
        );
        for (answer, words) in [
            ("HTTP/1.1 404 Not Found\r\n\r\nno", "404 Not Found"),
            ("HTTP/1.1 200 OK\r\n", "no HTTP"),
            ("", "no HTTP"),
            ("SSH-2.0 200\r\n\r\n", "SSH"),
        ] {
            assert!(read(answer).is_err_and(|error| error.contains(words)), "{answer}");
        }
    }
}
