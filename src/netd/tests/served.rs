//! The servers on loopback, with upstreams that answer as they are told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{A, CNAME};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};

use super::*;
use crate::model::network_table::{Answer, Delta, Feed};
use crate::netd::dns::Names;
use crate::netd::feed;
use crate::netd::http::Metadata;
use crate::netd::tables::Tables;

/// A server on loopback, with a table that is kept in a folder.
pub struct Served {
    pub tables: Arc<Tables>,
    pub dns: SocketAddr,
    pub http: SocketAddr,
    folder: tempfile::TempDir,
}

/// A project whose containers are at 127.0.0.11 and further.
fn project() -> Table {
    let mut w = World::new();
    w.with("web.App", 11, &["running", "running"], |_| {});
    w.with("many.App", 30, &["running"; 40], |_| {});
    let host = |w: &mut World, path: &str, host: &str| {
        w.service(path, "externalService", |s| s.hostname = Some(host.into()));
    };
    host(&mut w, "far.App", "www.example.com");
    host(&mut w, "gone.App", "gone.example.com");
    w.service("mixed.App", "dnsService", |s| {
        linked(s, &[("App/web", ""), ("App/far", ""), ("App/gone", "")])
    });
    for container in w.0.containers.values_mut() {
        let address = container.primary_ip.take().unwrap_or_default();
        container.primary_ip = Some(address.replace("10.42.0.", "127.0.0."));
    }
    w.0
}

impl Served {
    pub async fn new(upstreams: Vec<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = Tables::open(folder.path().join("table.json"));
        let line = serde_json::to_vec(&Feed::Snapshot(Box::new(project()))).unwrap();
        assert_eq!(tables.take(line).await, Answer::Applied(1));
        let names = Names::new(tables.clone(), upstreams, None);
        // Another test may have the same port of the other kind.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (dns, http) = (udp.local_addr().unwrap(), web.local_addr().unwrap());
        tokio::spawn(names.clone().serve_udp(udp));
        tokio::spawn(names.serve_tcp(tcp));
        tokio::spawn(Metadata::new(tables.clone()).serve(web));
        Self {
            tables,
            dns,
            http,
            folder,
        }
    }

    /// Asks over UDP, from an address of loopback.
    async fn ask(&self, from: u8, name: &str, kind: RecordType) -> Message {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, from), 0)).await.unwrap();
        socket.send_to(&asked(name, kind), self.dns).await.unwrap();
        let mut buffer = vec![0; 2000];
        let length = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut buffer)).await;
        Message::from_vec(&buffer[..length.expect("an answer").unwrap()]).unwrap()
    }

    pub async fn words(&self, from: u8, name: &str) -> String {
        told(&self.ask(from, name, RecordType::A).await)
    }

    pub async fn change(&self, delta: Delta) {
        let number = delta.number;
        let line = serde_json::to_vec(&Feed::Delta(Box::new(delta))).unwrap();
        assert_eq!(self.tables.take(line).await, Answer::Applied(number));
    }

    /// The status and the body of a request.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let text = self
            .send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

/// The code and the answers of a message; those of one kind sorted.
fn told(message: &Message) -> String {
    let mut records: Vec<String> = message
        .answers
        .iter()
        .map(|r| format!("{} {}", r.name, r.data))
        .collect();
    records.sort_unstable();
    format!("{:?} {}", message.metadata.response_code, records.join(", "))
}

/// A name server that answers by what is asked; what it answers to `silent` is nothing.
async fn upstream() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 2000];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            if let Some(answer) = answered(&question) {
                // Who guesses at numbers is not heard.
                let mut wrong = answer.clone();
                wrong.metadata.id ^= 1;
                wrong.metadata.response_code = ResponseCode::Refused;
                for message in [wrong, answer] {
                    socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
                }
            }
        }
    });
    address
}

fn answered(question: &Message) -> Option<Message> {
    let query = question.queries[0].clone();
    let name = query.name.to_ascii();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.add_query(query.clone());
    let record = |of: &str, data| Record::from_rdata(Name::from_ascii(of).unwrap(), 300, data);
    match (name.as_str(), query.query_type) {
        ("silent.example.com.", _) => return None,
        ("www.example.com.", RecordType::A) => {
            let target = RData::CNAME(CNAME(Name::from_ascii("edge.example.com.").unwrap()));
            answer.add_answer(record("www.example.com.", target));
            answer.add_answer(record("edge.example.com.", RData::A(A::new(203, 0, 113, 5))));
        }
        ("big.example.com.", RecordType::A) => {
            answer.add_answers((0..60).map(|n| record("big.example.com.", RData::A(A::new(203, 0, 113, n)))));
        }
        ("broken.example.com.", _) => answer.metadata.response_code = ResponseCode::ServFail,
        _ => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer)
}

#[tokio::test]
async fn names_that_are_not_ours_are_asked_elsewhere() {
    let served = Served::new(vec![upstream().await]).await;
    let alias = "www.example.com. edge.example.com.";
    let address = "edge.example.com. 203.0.113.5";
    for (name, expected) in [
        ("www.example.com", format!("NoError {address}, {alias}")),
        ("nope.example.com", "NXDomain ".to_owned()),
        ("broken.example.com", "ServFail ".to_owned()),
        (
            "far.app.rancher.internal",
            format!("NoError {address}, far.app.rancher.internal. www.example.com., {alias}"),
        ),
        (
            "far.app",
            format!("NoError {address}, far.app. www.example.com., {alias}"),
        ),
        ("gone.app", "NXDomain ".to_owned()),
        (
            "mixed.app",
            "NoError mixed.app. 127.0.0.11, mixed.app. 127.0.0.12, mixed.app. 203.0.113.5".to_owned(),
        ),
    ] {
        assert_eq!(served.words(11, name).await, expected, "{name}");
    }
    let none = served.ask(11, "nope.example.com", RecordType::AAAA).await;
    assert_eq!(none.metadata.response_code, ResponseCode::NoError);
    assert!(
        served
            .ask(11, "big.example.com", RecordType::A)
            .await
            .metadata
            .truncation
    );
}

#[tokio::test]
async fn an_upstream_that_is_silent_or_closed_makes_room_for_the_next() {
    // Nobody listens on the port of a socket that is gone.
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let good = upstream().await;
    for upstreams in [vec![closed, good], vec![silent.local_addr().unwrap(), good]] {
        let served = Served::new(upstreams).await;
        assert!(served.words(11, "www.example.com").await.starts_with("NoError edge"));
    }
    let served = Served::new(vec![silent.local_addr().unwrap(), good]).await;
    for (name, least) in [("silent.example.com", 1900), ("silent.example.com", 1900)] {
        let begun = Instant::now();
        assert_eq!(served.words(11, name).await, "ServFail ");
        let took = begun.elapsed();
        assert!(
            took > Duration::from_millis(least) && took < Duration::from_secs(4),
            "{took:?}"
        );
    }
    let served = Served::new(vec![closed]).await;
    let begun = Instant::now();
    assert_eq!(served.words(11, "www.example.com").await, "ServFail ");
    assert_eq!(served.words(11, "far.app").await, "ServFail ");
    assert!(begun.elapsed() < Duration::from_secs(2), "a closed port is no silence");
    assert!(served.words(11, "web").await.starts_with("NoError web. 127"));
}

#[tokio::test]
async fn a_client_that_asks_too_much_elsewhere_harms_itself_alone() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let served = Served::new(vec![silent.local_addr().unwrap()]).await;
    let greedy = UdpSocket::bind("127.0.0.11:0").await.unwrap();
    for nth in 0..129 {
        greedy
            .send_to(&asked(&format!("n{nth}.example.com"), RecordType::A), served.dns)
            .await
            .unwrap();
    }
    let begun = Instant::now();
    let mut buffer = vec![0; 600];
    let length = greedy.recv(&mut buffer).await.unwrap();
    let first = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(first.metadata.response_code, ResponseCode::ServFail);
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "the one too many is told at once"
    );
    assert!(served.words(11, "web").await.starts_with("NoError"));
}

#[tokio::test]
async fn what_is_too_large_for_udp_is_had_by_tcp() {
    let served = Served::new(Vec::new()).await;
    let cut = served.ask(11, "many.app", RecordType::A).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(served.dns).await.unwrap();
    let bytes = asked("many.app", RecordType::A);
    // Twice on one connection, in pieces.
    for _ in 0..2 {
        stream
            .write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes())
            .await
            .unwrap();
        let (first, second) = bytes.split_at(5);
        for piece in [first, second] {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        let whole = Message::from_vec(&answer).unwrap();
        assert!(!whole.metadata.truncation && whole.answers.len() == 40);
    }
    // Junk ends the connection.
    stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap_or(0), 0);
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(TcpStream::connect(served.dns).await.unwrap());
    }
    let mut refused = TcpStream::connect(served.dns).await.unwrap();
    assert_eq!(
        refused.read(&mut [0; 10]).await.unwrap_or(0),
        0,
        "one client has its places"
    );
}

#[tokio::test]
async fn a_feed_that_does_not_follow_or_cannot_be_read_changes_nothing() {
    let served = Served::new(Vec::new()).await;
    let line = |feed: &Feed| serde_json::to_vec(feed).unwrap();
    let skipping = Feed::Delta(Box::new(Delta {
        after: 5,
        number: 6,
        ..Delta::default()
    }));
    assert_eq!(served.tables.take(line(&skipping)).await, Answer::Behind(1));
    for junk in ["", "{", "{\"snapshot\":3}", "{\"other\":{}}", "\u{0}"] {
        let answer = served.tables.take(junk.into()).await;
        assert!(matches!(answer, Answer::Refused(_)), "{junk}: {answer:?}");
    }
    assert!(served.words(11, "web").await.starts_with("NoError web. 127"));
    let next = Delta {
        after: 1,
        number: 2,
        containers: [("uuid-web-App-1".to_owned(), None)].into(),
        ..Delta::default()
    };
    served.change(next).await;
    assert_eq!(served.words(31, "web").await, "NoError web. 127.0.0.12");
    // What cannot be saved is in use, and is not said to be done.
    std::fs::remove_dir_all(served.folder.path()).unwrap();
    let answer = served.tables.take(line(&Feed::Snapshot(Box::default()))).await;
    assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
    assert_eq!(served.tables.now().index.table(), Table::default());
}

#[tokio::test]
async fn a_line_without_an_end_is_refused_and_others_are_still_heard() {
    let served = Served::new(Vec::new()).await;
    let path = served.folder.path().join("feed.sock");
    // What an earlier run left.
    drop(feed::listen(&path).unwrap());
    tokio::spawn(feed::serve(feed::listen(&path).unwrap(), served.tables.clone()));
    let mut endless = BufReader::new(UnixStream::connect(&path).await.unwrap());
    let piece = vec![b'['; 1024 * 1024];
    for _ in 0..64 {
        endless.write_all(&piece).await.unwrap();
    }
    let mut answer = String::new();
    endless.read_line(&mut answer).await.unwrap();
    assert!(answer.starts_with("{\"refused\":\"a line has more than"), "{answer}");
    assert_eq!(endless.read_line(&mut answer).await.unwrap_or(0), 0, "it is closed");
    let mut other = BufReader::new(UnixStream::connect(&path).await.unwrap());
    other
        .write_all(b"{\"delta\":{\"after\":1,\"number\":2}}\n")
        .await
        .unwrap();
    answer.clear();
    other.read_line(&mut answer).await.unwrap();
    assert_eq!(answer, "{\"applied\":2}\n");
}

#[tokio::test]
async fn metadata_answers_over_http() {
    let served = Served::new(Vec::new()).await;
    let not_found = (404, "404 page not found\n".to_owned());
    for (path, expected) in [
        ("/", (200, "2015-07-25\n2015-12-19\n2016-07-29\nlatest\n".to_owned())),
        ("/latest/name", (200, "default".to_owned())),
        ("/latest/name/", (200, "default".to_owned())),
        ("/latest/services/%77eb/name", (200, "web".to_owned())),
        (
            "/latest/services/web/%zz",
            (400, "Invalid escape in the path\n".to_owned()),
        ),
        ("/latest/nope", (404, "Not found\n".to_owned())),
        ("/nope", (404, "Invalid version\n".to_owned())),
        ("/favicon.ico", not_found.clone()),
    ] {
        assert_eq!(served.get(path).await, expected, "{path}");
    }
    let moved = served
        .send("GET /latest//name?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert!(
        moved.starts_with("HTTP/1.1 301 ") && moved.contains("location: /latest/name?x=1\r\n"),
        "{moved}"
    );
    let head = served
        .send("HEAD /latest/name HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let (lines, body) = head.split_once("\r\n\r\n").unwrap();
    assert!(lines.contains("content-length: 7") && body.is_empty(), "{head}");
    assert!(lines.contains("access-control-allow-origin: *") && lines.contains("content-type: text/plain"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let text = served
            .send(&format!(
                "{method} /latest/name HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(
            text.starts_with("HTTP/1.1 404 ") && text.ends_with(&not_found.1),
            "{text}"
        );
    }
    let mine = served
        .send("GET /latest/self HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.11\r\nConnection: close\r\n\r\n")
        .await;
    assert!(mine.ends_with("host/\n") && !mine.contains("container/"), "{mine}");
}

#[tokio::test]
async fn waiting_ends_with_a_change_of_what_is_waited_for() {
    let served = Served::new(Vec::new()).await;
    let version = served.get("/latest/version").await.1;
    assert_ne!(version, "");
    // At once: another value, no value, not asked to wait.
    for query in [
        "wait=true&value=init&maxWait=60",
        "wait=true",
        "wait=yes&value=x",
        &format!("value={version}"),
    ] {
        let begun = Instant::now();
        assert_eq!(
            served.get(&format!("/latest/version?{query}")).await,
            (200, version.clone())
        );
        assert!(begun.elapsed() < Duration::from_secs(5), "{query}");
    }
    let begun = Instant::now();
    let path = format!("/latest/version?wait=true&value={version}&maxWait=1");
    assert_eq!(served.get(&path).await, (200, version.clone()));
    assert_eq!(served.get("/latest/nope?wait=true&value=&maxWait=1").await.0, 404);
    assert!(begun.elapsed() >= Duration::from_secs(2));

    let on_version = format!("/latest/version?wait=true&value={version}&maxWait=60");
    let on_number = "/latest/containers/web-app-1/start_count?wait=true&value=&maxWait=60";
    let changes = async {
        // Once both wait: they hold what they see.
        while served.tables.now().version != version {
            tokio::task::yield_now().await;
        }
        let mut container = served.tables.now().index.table().containers["uuid-web-App-1"].clone();
        let head = Delta {
            after: 1,
            number: 2,
            containers: [("uuid-other".to_owned(), Some(Container::default()))].into(),
            ..Delta::default()
        };
        served.change(head).await;
        container.start_count = Some(5);
        let counted = Delta {
            after: 2,
            number: 3,
            containers: [(container.uuid.clone(), Some(container))].into(),
            ..Delta::default()
        };
        served.change(counted).await;
    };
    let begun = Instant::now();
    let (of_version, of_number, ()) = tokio::join!(served.get(&on_version), served.get(on_number), changes);
    assert_eq!(of_number, (200, "5".to_owned()));
    assert!(of_version.0 == 200 && of_version.1 != version);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_client_that_waits_too_often_is_told() {
    let served = Arc::new(Served::new(Vec::new()).await);
    let version = served.get("/latest/version").await.1;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..33 {
        let (served, path) = (served.clone(), format!("/latest/version?wait=true&value={version}"));
        waiting.spawn(async move { served.get(&path).await });
    }
    // The one too many is told so at once; nothing changes for the others.
    let first = tokio::time::timeout(Duration::from_secs(30), waiting.join_next()).await;
    let first = first.expect("one is turned away").unwrap().unwrap();
    assert_eq!(first, (503, "Too many wait\n".to_owned()));
    // Who does not wait is answered, and a change lets all of them go.
    assert_eq!(served.get("/latest/version").await, (200, version.clone()));
    let next = Delta {
        after: 1,
        number: 2,
        ..Delta::default()
    };
    served.change(next).await;
    let others = waiting.join_all().await;
    assert!(others.len() == 32 && others.iter().all(|(status, text)| *status == 200 && *text != version));
}
