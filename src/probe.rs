//! Health probes from this process straight to a container's address. Knows no row and no engine: the server has them made
//! here for containers of its own machine, `drover netd` for those beside it.

use std::io::{Error as IoError, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::model::probe::{Probe, ProbeResult};

/// A status line is shorter than this, or it is none.
const STATUS_LINE_MAX: usize = 1024;

/// Probes from afar: without a route the fault is ours. Never takes longer than the probe's timeout.
pub async fn run(probe: &Probe) -> ProbeResult {
    attempt(probe, judge).await
}

/// Probes from the container's own network: nobody is there who does not answer.
pub async fn run_beside(probe: &Probe) -> ProbeResult {
    attempt(probe, judge_beside).await
}

async fn attempt(probe: &Probe, judge: fn(&IoError) -> ProbeResult) -> ProbeResult {
    let Some(ip) = probe.ip.as_deref().filter(|ip| !ip.is_empty()) else {
        return ProbeResult::Unreachable("the container has no address".to_owned());
    };
    let request = probe
        .request_line
        .as_deref()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let attempt = async {
        match request {
            None => TcpStream::connect((ip, probe.port)).await.map(|_| ProbeResult::Up),
            Some(line) => http(ip, probe.port, line).await,
        }
    };
    match tokio::time::timeout(probe.timeout, attempt).await {
        Ok(Ok(result)) => result,
        Ok(Err(e)) => judge(&e),
        Err(_) => ProbeResult::Down(format!("no answer within {}", in_words(probe.timeout))),
    }
}

async fn http(ip: &str, port: u16, line: &str) -> std::io::Result<ProbeResult> {
    let mut stream = TcpStream::connect((ip, port)).await?;
    stream.write_all(request(ip, port, line).as_bytes()).await?;
    let mut head = Vec::new();
    let mut chunk = [0_u8; 256];
    while !head.contains(&b'\n') && head.len() < STATUS_LINE_MAX {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        head.extend(chunk.iter().take(read));
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().unwrap_or_default().trim();
    Ok(if is_good(status) {
        ProbeResult::Up
    } else {
        ProbeResult::Down(format!("answered {status:?}"))
    })
}

/// The text to send, from a request line as HAProxy's `httpchk` takes it: method, address and version in words of its
/// configuration, with headers behind the version. What is missing is added: GET, `/`, HTTP/1.0.
fn request(ip: &str, port: u16, line: &str) -> String {
    let mut words = words(line).into_iter();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let (method, target) = match second {
        // An address alone is asked for by GET.
        None if first.starts_with('/') || first.contains("://") => ("GET".to_owned(), first),
        None => (first, "/".to_owned()),
        Some(target) => (first, target),
    };
    // Headers may stand in words of their own, where spaces in them were not escaped.
    let rest: Vec<String> = words.collect();
    let rest = rest.join(" ");
    let mut lines = rest.lines().map(str::trim).filter(|l| !l.is_empty()).peekable();
    let version = lines.next_if(|l| l.starts_with("HTTP/")).unwrap_or("HTTP/1.0");
    let headers: Vec<&str> = lines.filter(|l| l.contains(':')).collect();
    let is_given = |name: &str| {
        let names = headers.iter().filter_map(|h| h.split_once(':'));
        names
            .into_iter()
            .any(|(given, _)| given.trim().eq_ignore_ascii_case(name))
    };
    let host = format!("Host: {ip}:{port}");
    let own = [
        ("Host", host.as_str()),
        ("User-Agent", "User-Agent: drover"),
        ("Connection", "Connection: close"),
    ];
    let own = own
        .iter()
        .filter(|(name, _)| !is_given(name))
        .map(|(_, header)| *header);
    let mut text = format!("{method} {target} {version}\r\n");
    for header in headers.iter().copied().chain(own) {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

/// The words of a line in HAProxy's configuration: separated by blanks, quoted by `'` (nothing in it is special) or `"`,
/// with a backslash before a blank, a quote, a backslash or a `#`, and `\n`, `\r`, `\t` and `\xNN`.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push_str(&unescape(&mut rest)),
            // A real end of line is part of a word: it separates headers.
            (None, ' ' | '\t') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What a backslash and what follows it stand for.
fn unescape(rest: &mut std::str::Chars<'_>) -> String {
    match rest.next() {
        Some('n') => "\n".to_owned(),
        Some('r') => "\r".to_owned(),
        Some('t') => "\t".to_owned(),
        Some('x') => {
            let code: String = rest.clone().take(2).collect();
            match u8::from_str_radix(&code, 16) {
                Ok(byte) if byte.is_ascii() && code.len() == 2 => {
                    rest.nth(1);
                    char::from(byte).to_string()
                }
                _ => "\\x".to_owned(),
            }
        }
        Some(c) if c.is_whitespace() || matches!(c, '\\' | '\'' | '"' | '#') => c.to_string(),
        Some(c) => format!("\\{c}"),
        None => "\\".to_owned(),
    }
}

/// Whether a status line says 2xx or 3xx.
fn is_good(status: &str) -> bool {
    let mut words = status.split_whitespace();
    let is_http = words.next().is_some_and(|w| w.starts_with("HTTP/"));
    let code = words.next().and_then(|w| w.parse::<u16>().ok());
    is_http && code.is_some_and(|c| (200..400).contains(&c))
}

/// Without a route the fault is ours and says nothing about the container.
fn judge(error: &IoError) -> ProbeResult {
    match error.kind() {
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => ProbeResult::Unreachable(error.to_string()),
        _ => ProbeResult::Down(error.to_string()),
    }
}

/// On one network with it, a host that cannot be reached is one that is gone.
fn judge_beside(error: &IoError) -> ProbeResult {
    match error.kind() {
        ErrorKind::HostUnreachable => ProbeResult::Down(error.to_string()),
        _ => judge(error),
    }
}

fn in_words(timeout: Duration) -> String {
    format!("{} ms", timeout.as_millis())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

    use tokio::net::TcpListener;

    use super::*;

    fn probe(port: u16, line: Option<&str>) -> Probe {
        Probe {
            uuid: "u".into(),
            ip: Some("127.0.0.1".into()),
            port,
            request_line: line.map(Into::into),
            timeout: Duration::from_millis(500),
            beside: None,
            command: None,
        }
    }

    /// Answers one connection with `answer`, or never if there is none; returns the port.
    async fn serve(answer: Option<&'static str>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0_u8; 1024];
            let _read = stream.read(&mut buffer).await.unwrap();
            match answer {
                Some(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        });
        port
    }

    #[tokio::test]
    async fn http_probes_are_up_on_2xx_and_3xx_only() {
        for (answer, up) in [
            ("HTTP/1.0 200 OK\r\n\r\n", true),
            ("HTTP/1.1 204\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\n\r\n", false),
            ("HTTP/1.1 500 Oops\r\n\r\n", false),
            ("SSH-2.0-x\r\n", false),
            ("", false),
        ] {
            let port = serve(Some(answer)).await;
            assert_eq!(
                run(&probe(port, Some("GET /ping HTTP/1.0"))).await == ProbeResult::Up,
                up,
                "{answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_connection_is_enough_for_a_tcp_probe_and_not_for_http() {
        let port = serve(None).await;
        assert_eq!(run(&probe(port, None)).await, ProbeResult::Up);
        let port = serve(None).await;
        let impatient = Probe {
            timeout: Duration::from_millis(50),
            ..probe(port, Some("GET / HTTP/1.0"))
        };
        assert_eq!(
            run(&impatient).await,
            ProbeResult::Down("no answer within 50 ms".into())
        );
    }

    #[tokio::test]
    async fn a_refusal_is_down_and_a_missing_address_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(run(&probe(port, None)).await, ProbeResult::Down(_)));
        assert!(matches!(
            run(&Probe {
                ip: None,
                ..probe(80, None)
            })
            .await,
            ProbeResult::Unreachable(_)
        ));
    }

    #[test]
    fn a_missing_route_says_nothing_about_the_container() {
        for (kind, unreachable) in [
            (ErrorKind::NetworkUnreachable, true),
            (ErrorKind::HostUnreachable, true),
            (ErrorKind::ConnectionRefused, false),
            (ErrorKind::ConnectionReset, false),
        ] {
            assert_eq!(
                matches!(judge(&IoError::from(kind)), ProbeResult::Unreachable(_)),
                unreachable,
                "{kind}"
            );
        }
        let beside = |kind| matches!(judge_beside(&IoError::from(kind)), ProbeResult::Unreachable(_));
        assert!(beside(ErrorKind::NetworkUnreachable) && !beside(ErrorKind::HostUnreachable));
    }

    #[test]
    fn request_lines_are_read_as_haproxy_reads_them() {
        let own = "User-Agent: drover\r\nConnection: close\r\n\r\n";
        let plain = |line: &str| format!("{line}\r\nHost: 1.2.3.4:80\r\n{own}");
        for (line, expected) in [
            ("GET /health HTTP/1.0", plain("GET /health HTTP/1.0")),
            (r#"GET "/health" "HTTP/1.0""#, plain("GET /health HTTP/1.0")),
            ("GET '/health' 'HTTP/1.1'", plain("GET /health HTTP/1.1")),
            ("GET /a", plain("GET /a HTTP/1.0")),
            ("OPTIONS", plain("OPTIONS / HTTP/1.0")),
            ("/a", plain("GET /a HTTP/1.0")),
            (r#"GET "/a b\\c" HTTP/1.0"#, plain(r"GET /a b\c HTTP/1.0")),
            ("HEAD  /a\tHTTP/1.0 ", plain("HEAD /a HTTP/1.0")),
            (
                "GET http://example.com:8080/x HTTP/1.1",
                plain("GET http://example.com:8080/x HTTP/1.1"),
            ),
            (
                r#"GET "/health" "HTTP/1.1\r\nHost:\ example.com""#,
                format!("GET /health HTTP/1.1\r\nHost: example.com\r\n{own}"),
            ),
            (
                r"GET /health HTTP/1.1\r\nHost:\ example.com\r\nX-A:\x20b",
                format!("GET /health HTTP/1.1\r\nHost: example.com\r\nX-A: b\r\n{own}"),
            ),
            (
                "GET /a HTTP/1.1\r\nX: y",
                format!("GET /a HTTP/1.1\r\nX: y\r\nHost: 1.2.3.4:80\r\n{own}"),
            ),
        ] {
            assert_eq!(request("1.2.3.4", 80, line), expected, "{line}");
        }
    }

    #[test]
    fn no_word_of_a_request_line_is_lost() {
        for (line, expected) in [
            ("", &[][..]),
            ("  ", &[]),
            (r"a\", &[r"a\"]),
            (r"a\xzz \q", &[r"a\xzz", r"\q"]),
            (r#"a"b c"d '' "e"#, &["ab cd", "", "e"]),
            (r#"'a\nb' "a\"b""#, &[r"a\nb", r#"a"b"#]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
