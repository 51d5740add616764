//! `drover netd` as a process: fed, asked over UDP, TCP and HTTP from several addresses of loopback, killed, and told to stop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use drover::model::network_table::{Answer, Asked, Container, Delta, Feed, Probed, Service, Table, service_key};
use drover::model::probe::{Probe, ProbeResult};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};

/// How long anything may take. Generous, because a slow machine is no bug.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon it ends that was told to: whoever stops a container waits.
const PROMPT: Duration = Duration::from_secs(3);

/// Two containers, of which one has a link to the service of the other.
fn table() -> Table {
    let container = |name: &str, last: u8| Container {
        name: name.into(),
        uuid: format!("uuid-{name}"),
        state: "running".into(),
        primary_ip: Some(format!("127.0.0.{last}")),
        managed: true,
        ..Container::default()
    };
    let service = |name: &str, links: &[(&str, &str)]| Service {
        name: name.into(),
        uuid: format!("uuid-of-{name}"),
        kind: "service".into(),
        stack_name: "app".into(),
        containers: vec![format!("uuid-app-{name}-1")],
        links: links.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect(),
        ..Service::default()
    };
    let containers = [container("app-web-1", 11), container("app-db-1", 12)];
    let services = [service("web", &[("app/db", "store")]), service("db", &[])];
    Table {
        number: 1,
        subnet: "10.42.0.0/22".into(),
        containers: containers.map(|c| (c.uuid.clone(), c)).into(),
        services: services.map(|s| (service_key(&s.uuid, &s.name), s)).into(),
        ..Table::default()
    }
}

/// The name server is the program of its own, and what feeds it is the whole one: either does what the other does.
fn drover(arguments: &[&str]) -> Command {
    let program = match arguments.first() {
        Some(&"feed") => env!("CARGO_BIN_EXE_drover"),
        _ => env!("CARGO_BIN_EXE_drover-netd"),
    };
    let mut command = Command::new(program);
    command
        .arg("netd")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn wait_for(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        std::thread::yield_now();
    }
    None
}

/// The program, serving.
struct Netd {
    child: Child,
    dns: SocketAddr,
    http: SocketAddr,
    /// What it said before it served.
    said: String,
}

impl Drop for Netd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Netd {
    fn start(folder: &Path, upstream: SocketAddr) -> Self {
        let file = |name: &str| folder.join(name).display().to_string();
        let (table, feed, upstream) = (file("table.json"), file("feed.sock"), upstream.to_string());
        let arguments = [
            ["--table", &table],
            ["--feed", &feed],
            ["--dns", "127.0.0.1:0"],
            ["--http", "127.0.0.1:0"],
            ["--upstream", &upstream],
        ];
        let mut child = drover(&arguments.concat()).spawn().expect("the program runs");
        let lines = BufReader::new(child.stderr.take().expect("its words")).lines();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut netd = Self {
            child,
            dns: nowhere,
            http: nowhere,
            said: String::new(),
        };
        for line in lines.map_while(Result::ok) {
            let places = line.strip_prefix("drover netd: names on ");
            if let Some((dns, http)) = places.and_then(|places| places.split_once(", metadata on ")) {
                netd.dns = dns.parse().expect("an address");
                netd.http = http.parse().expect("an address");
                return netd;
            }
            netd.said += &line;
        }
        panic!("it does not serve: {}", netd.said)
    }

    /// Asks over UDP from an address of loopback: the code, and the addresses.
    fn ask(&self, from: u8, name: &str) -> String {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, from), 0)).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        socket.send_to(&question(name), self.dns).expect("a question");
        let mut buffer = [0; 600];
        let length = socket.recv(&mut buffer).expect("an answer");
        told(&buffer[..length])
    }

    fn ask_by_tcp(&self, name: &str) -> String {
        let mut stream = TcpStream::connect(self.dns).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let bytes = question(name);
        let length = u16::try_from(bytes.len()).expect("it is short");
        stream.write_all(&length.to_be_bytes()).expect("sent");
        stream.write_all(&bytes).expect("sent");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).expect("all of it");
        told(&answer)
    }

    fn get(&self, from: u8, path: &str) -> String {
        let client = reqwest::blocking::Client::builder()
            .local_address(IpAddr::from([127, 0, 0, from]))
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let answer = client
            .get(format!("http://{}{path}", self.http))
            .send()
            .expect("an answer");
        format!("{} {}", answer.status().as_u16(), answer.text().expect("text"))
    }
}

/// `drover netd feed`, as the engine runs it.
struct Feeding {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Feeding {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("feed.sock").display().to_string();
        let mut child = drover(&["feed", "--feed", &socket]).spawn().expect("the program runs");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            input: child.stdin.take(),
            answers,
            child,
        }
    }

    fn say(&mut self, line: &str) -> Answer {
        self.write(line);
        self.hear()
    }

    fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an input");
        writeln!(input, "{line}").expect("it listens");
    }

    fn hear(&mut self) -> Answer {
        let answer = self.answers.recv_timeout(PATIENCE).expect("an answer in time");
        serde_json::from_str(&answer).expect("an answer of the feed")
    }

    fn send(&mut self, feed: &Feed) -> Answer {
        self.say(&serde_json::to_string(feed).expect("JSON"))
    }

    fn probe(&mut self, number: u64, port: u16, line: Option<&str>) {
        let probe = Probe {
            uuid: "u".into(),
            ip: Some("127.0.0.1".into()),
            port,
            request_line: line.map(str::to_owned),
            timeout: PATIENCE,
            beside: None,
            command: None,
        };
        let asked = Feed::Probe(Asked { number, probe });
        self.write(&serde_json::to_string(&asked).expect("JSON"));
    }

    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        wait_for(&mut self.child, PATIENCE).and_then(|status| status.code())
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().expect("bytes")
}

fn told(bytes: &[u8]) -> String {
    let message = Message::from_vec(bytes).expect("a message");
    let addresses = message.answers.iter().map(|record| format!(" {}", record.data));
    format!("{:?}{}", message.metadata.response_code, addresses.collect::<String>())
}

/// A name server that knows nothing.
fn upstream() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut buffer = [0; 600];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut answer = buffer[..length].to_vec();
            // An answer, NXDOMAIN.
            answer[2] |= 0x80;
            answer[3] = 0x83;
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

fn mode(file: &Path) -> u32 {
    std::fs::symlink_metadata(file)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn names_and_metadata_are_fed_asked_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = upstream();
    let mut netd = Netd::start(folder.path(), upstream);
    assert!(netd.said.contains("beginning without names"), "{}", netd.said);
    assert_eq!(netd.ask(11, "store"), "NXDomain");

    let mut feed = Feeding::start(folder.path());
    let delta = |after| {
        let mut moved = table().containers["uuid-app-db-1"].clone();
        moved.start_count = Some(2);
        moved.primary_ip = Some("127.0.0.13".into());
        Feed::Delta(Box::new(Delta {
            after,
            number: 2,
            containers: [(moved.uuid.clone(), Some(moved))].into(),
            ..Delta::default()
        }))
    };
    assert_eq!(feed.send(&delta(1)), Answer::Behind(0));
    assert_eq!(feed.send(&Feed::Snapshot(Box::new(table()))), Answer::Applied(1));
    assert_eq!(netd.ask(11, "store"), "NoError 127.0.0.12");
    assert!(matches!(feed.say("nonsense"), Answer::Refused(_)));
    assert_eq!(feed.send(&delta(1)), Answer::Applied(2));
    assert_eq!(feed.end(), Some(0));
    assert_eq!(mode(&folder.path().join("table.json")), 0o600);
    assert_eq!(mode(&folder.path().join("feed.sock")), 0o600);

    let look = |netd: &Netd| {
        assert_eq!(netd.ask(11, "store"), "NoError 127.0.0.13");
        assert_eq!(netd.ask(13, "store"), "NXDomain");
        assert_eq!(netd.ask(13, "web.app"), "NoError 127.0.0.11");
        assert_eq!(netd.ask_by_tcp("DB.app.rancher.internal"), "NoError 127.0.0.13");
        assert_eq!(netd.ask_by_tcp("no.app.rancher.internal"), "NXDomain");
        assert_eq!(netd.ask(1, "rancher-metadata"), "NoError 127.0.0.1");
        assert_eq!(netd.get(11, "/latest/self/container/name"), "200 app-web-1");
        assert_eq!(netd.get(13, "/latest/self/container/start_count"), "200 2");
        assert_eq!(netd.get(99, "/latest/self/container"), "404 Not found\n");
    };
    look(&netd);
    let version = netd.get(11, "/latest/version");

    netd.child.kill().expect("it can be killed");
    netd.child.wait().expect("it ends");
    let mut netd = Netd::start(folder.path(), upstream);
    assert_eq!(netd.said, "");
    look(&netd);
    assert_ne!(netd.get(11, "/latest/version"), version);
    // The socket of the one that was killed lay there.
    let mut feed = Feeding::start(folder.path());
    assert_eq!(feed.send(&delta(1)), Answer::Behind(2));

    // With a feed that is open, and somebody who waits.
    let version = netd.get(11, "/latest/version").replacen("200 ", "", 1);
    let mut waiting = TcpStream::connect(netd.http).expect("a connection");
    write!(
        waiting,
        "GET /latest/version?wait=true&value={version} HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    .expect("sent");
    let id = netd.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill")
            .success()
    );
    let status = wait_for(&mut netd.child, PROMPT).expect("it ends soon");
    assert_eq!(status.code(), Some(0));
    // Its input is still open: what it copied to is gone.
    assert_eq!(
        wait_for(&mut feed.child, PATIENCE).and_then(|status| status.code()),
        Some(0)
    );
}

#[test]
fn a_table_that_cannot_be_read_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("table.json"), "{\"number\": 3, ").expect("a file");
    let netd = Netd::start(folder.path(), upstream());
    assert!(netd.said.contains("beginning without names"), "{}", netd.said);
    let mut feed = Feeding::start(folder.path());
    assert_eq!(feed.send(&Feed::Snapshot(Box::new(table()))), Answer::Applied(1));
    assert_eq!(netd.ask(11, "store"), "NoError 127.0.0.12");
}

#[test]
fn a_feed_without_a_server_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("feed.sock").display().to_string();
    let ended = drover(&["feed", "--feed", &socket]).output().expect("the program runs");
    assert_eq!(ended.status.code(), Some(71));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        said.contains("cannot feed") && said.contains("Is drover netd running?"),
        "{said}"
    );
}

#[test]
fn probes_are_answered_as_they_end_and_tables_do_not_wait_for_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let _netd = Netd::start(folder.path(), upstream());
    let mut feed = Feeding::start(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let closed = {
        let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
        gone.local_addr().expect("its address").port()
    };
    // One waits for an answer that does not come yet; others pass it.
    feed.probe(1, port, Some("GET /health HTTP/1.0"));
    let (mut asked, _) = listener.accept().expect("it is probed");
    feed.probe(2, closed, None);
    let down = |answer: Answer, expected: u64| matches!(answer, Answer::Probed(Probed { number, found: ProbeResult::Down(_) }) if number == expected);
    assert!(down(feed.hear(), 2));
    assert_eq!(feed.send(&Feed::Snapshot(Box::new(table()))), Answer::Applied(1));
    feed.probe(3, port, None);
    let up = |number| {
        Answer::Probed(Probed {
            number,
            found: ProbeResult::Up,
        })
    };
    assert_eq!(feed.hear(), up(3));
    asked.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").expect("an answer");
    assert_eq!(feed.hear(), up(1));
    assert!(matches!(feed.say("{\"probe\":7}"), Answer::Refused(_)));
    // Whoever leaves while a probe is on its way is not waited for.
    feed.probe(4, port, Some("GET /health HTTP/1.0"));
    let _held = listener.accept().expect("the one that only connects");
    let _held_too = listener.accept().expect("it is probed");
    assert_eq!(feed.end(), Some(0));
}
