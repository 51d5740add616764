//! The name server, `drover-netd`, as a process: how much memory it takes, how many names it answers, and what a change costs it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drover::model::network_table::{
    Answer, Container, Delta, Environment, Feed, Host, Network, Service, Stack, Table, service_key,
};

use super::machine::{self, median};
use super::report::{Figure, Limit};

/// Containers of a service.
const OF_ONE: usize = 100;
/// Questions that wait for their answers at a time.
const IN_FLIGHT: usize = 64;
/// How long names are asked.
const ASKING: Duration = Duration::from_secs(3);
/// Changes of which the time is taken.
const CHANGES: u64 = 500;

/// The program, serving, with a feed that is open.
struct Netd {
    child: Child,
    dns: SocketAddr,
    http: SocketAddr,
    feed: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Netd {
    fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a writable folder");
        let file = |name: &str| folder.join(name).display().to_string();
        let (table, feed) = (file("table.json"), file("feed.sock"));
        let mut command = Command::new("taskset");
        command.args([
            "-c",
            "0",
            env!("CARGO_BIN_EXE_drover-netd"),
            "netd",
            "--table",
            &table,
            "--feed",
            &feed,
        ]);
        command.args([
            "--dns",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--upstream",
            "127.0.0.1:9",
        ]);
        // As its container has it.
        command.envs([
            ("MALLOC_ARENA_MAX", "1"),
            ("MALLOC_MMAP_THRESHOLD_", "65536"),
            ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("its words")).lines();
        let places = lines.find_map(|line| {
            let line = line.expect("a line");
            let places = line.strip_prefix("drover netd: names on ")?.to_owned();
            let (dns, http) = places.split_once(", metadata on ")?;
            Some((dns.parse().expect("an address"), http.parse().expect("an address")))
        });
        let (dns, http) = places.expect("it serves");
        let stream = UnixStream::connect(folder.join("feed.sock")).expect("its feed");
        let answers = BufReader::new(stream.try_clone().expect("a second handle"));
        Self {
            child,
            dns,
            http,
            feed: stream,
            answers,
        }
    }

    fn feed(&mut self, news: &Feed) -> Answer {
        let mut line = serde_json::to_vec(news).expect("it is JSON");
        line.push(b'\n');
        self.feed.write_all(&line).expect("it is read");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it is answered");
        serde_json::from_str(&answer).expect("an answer")
    }

    /// Kilobytes, by a line of the kernel.
    fn memory(&self, key: &str) -> f64 {
        machine::number(self.child.id(), "status", key) as f64 / 1024.0
    }

    fn memories(&self) -> String {
        format!(
            "of which {:.1} MiB are its own and {:.1} MiB pages of the program",
            self.memory("RssAnon:"),
            self.memory("RssFile:")
        )
    }

    /// Asks for everything that a project asks for.
    fn use_all(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let mut buffer = [0; 2048];
        for round in 0..2_000_u16 {
            for name in [
                "service-0.app.rancher.internal",
                "app-service-0-1",
                "nothing.rancher.internal",
                "service-0",
            ] {
                let kind = if round % 4 == 3 { 28 } else { 1 };
                socket
                    .send_to(&question(round, name, kind), self.dns)
                    .expect("it is sent");
                let _ = socket.recv(&mut buffer);
            }
        }
        for path in [
            "/",
            "/latest",
            "/latest/self",
            "/latest/services/service-0",
            "/latest/containers",
            "/latest/version?wait=true&value=x",
        ] {
            for accept in ["text/plain", "application/json", "application/yaml"] {
                for _ in 0..20 {
                    let mut stream = TcpStream::connect(self.http).expect("it listens");
                    let request =
                        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
                    stream.write_all(request.as_bytes()).expect("it is read");
                    let mut text = Vec::new();
                    stream.read_to_end(&mut text).expect("it is answered");
                    assert!(text.starts_with(b"HTTP/1.1 200"), "{path}");
                }
            }
        }
        // Over TCP, too.
        let mut stream = TcpStream::connect(self.dns).expect("it listens");
        let bytes = question(7, "service-0.app.rancher.internal", 1);
        stream
            .write_all(&(bytes.len() as u16).to_be_bytes())
            .expect("it is read");
        stream.write_all(&bytes).expect("it is read");
        stream.read_exact(&mut buffer[..12]).expect("it is answered");
    }

    /// Answers a second, and a second of its processor.
    fn rate(&self, names: &[String]) -> (f64, f64) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.dns).expect("an address");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a timeout");
        let questions: Vec<Vec<u8>> = names.iter().map(|name| question(1, name, 1)).collect();
        let mut buffer = [0; 2048];
        let (cpu, began) = (machine::cpu(self.child.id()), Instant::now());
        let (mut answered, mut next) = (0_u64, questions.iter().cycle());
        let mut ask = || drop(socket.send(next.next().expect("they never end")));
        (0..IN_FLIGHT).for_each(|_| ask());
        while began.elapsed() < ASKING {
            match socket.recv(&mut buffer) {
                Ok(_) => {
                    answered += 1;
                    assert_eq!(buffer[3] & 15, 0, "a name is known");
                    ask();
                }
                // What was dropped is asked again.
                Err(_) => (0..IN_FLIGHT).for_each(|_| ask()),
            }
        }
        let used = machine::cpu(self.child.id()) - cpu;
        (answered as f64 / began.elapsed().as_secs_f64(), answered as f64 / used)
    }
}

impl Drop for Netd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of a question.
fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

fn uuid(kind: u64, number: usize) -> String {
    format!("0192f0aa-7c11-7d2e-{kind:04x}-{number:012x}")
}

fn container(number: usize, of_one: usize) -> Container {
    let (service, nth) = (number / of_one, number % of_one + 1);
    let name = format!("app-service-{service}-{nth}");
    let address = format!("10.42.{}.{}", number / 250, number % 250 + 2);
    let labels = [
        ("io.rancher.stack.name", "app".to_owned()),
        ("io.rancher.project.name", "app".to_owned()),
        ("io.rancher.stack_service.name", format!("app/service-{service}")),
        ("io.rancher.project_service.name", format!("app/service-{service}")),
        ("io.rancher.service.deployment.unit", uuid(0x9a55, number)),
        (
            "io.rancher.service.launch.config",
            "io.rancher.service.primary.launch.config".into(),
        ),
        ("io.rancher.container.name", name.clone()),
        ("io.rancher.container.uuid", uuid(0x9a56, number)),
        ("io.rancher.container.ip", format!("{address}/16")),
        ("tier", "front".into()),
    ];
    let domains = [
        "app.rancher.internal".to_owned(),
        format!("service-{service}.app.rancher.internal"),
        "rancher.internal".into(),
    ];
    Container {
        name,
        uuid: uuid(0x9a56, number),
        external_id: format!("{number:064x}"),
        host_uuid: uuid(0x9a57, 0),
        state: "running".into(),
        health_state: Some("healthy".into()),
        primary_ip: Some(address.clone()),
        ips: vec![address],
        managed: true,
        network_uuid: Some(uuid(0x9a58, 0)),
        dns_search: domains.to_vec(),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        service_uuid: Some(uuid(0x9a59, service)),
        service_name: Some(format!("service-{service}")),
        service_index: Some(nth.to_string()),
        stack_uuid: Some(uuid(0x9a5a, 0)),
        stack_name: Some("app".into()),
        create_index: Some(nth as i64),
        start_count: Some(1),
        ..Container::default()
    }
}

fn service(number: usize, of_one: usize) -> Service {
    Service {
        name: format!("service-{number}"),
        uuid: uuid(0x9a59, number),
        kind: "service".into(),
        state: "active".into(),
        stack_uuid: uuid(0x9a5a, 0),
        stack_name: "app".into(),
        containers: (0..of_one).map(|nth| uuid(0x9a56, number * of_one + nth)).collect(),
        links: [(format!("app/service-{}", number + 1), "next".to_owned())].into(),
        labels: [("tier".to_owned(), "front".to_owned())].into(),
        scale: Some(of_one as i64),
        token: Some(format!("{number:064x}")),
        ..Service::default()
    }
}

/// A project of so many containers.
fn project(count: usize, of_one: usize) -> Table {
    let containers = (0..count).map(|number| container(number, of_one));
    let services = (0..count / of_one).map(|number| service(number, of_one));
    let stack = Stack {
        name: "app".into(),
        uuid: uuid(0x9a5a, 0),
        system: false,
    };
    let host = Host {
        name: "one".into(),
        uuid: uuid(0x9a57, 0),
        agent_ip: "192.0.2.10".into(),
        ..Host::default()
    };
    let network = Network {
        name: "managed".into(),
        uuid: uuid(0x9a58, 0),
        is_default: true,
        ..Network::default()
    };
    Table {
        number: 1,
        environment: Environment {
            name: "Default".into(),
            uuid: uuid(0x9a5b, 0),
        },
        host_uuid: host.uuid.clone(),
        subnet: "10.42.0.0/16".into(),
        gateway: "10.42.0.1".into(),
        containers: containers.map(|c| (c.uuid.clone(), c)).collect(),
        services: services.map(|s| (service_key(&s.uuid, &s.name), s)).collect(),
        stacks: [(stack.uuid.clone(), stack)].into(),
        hosts: [(host.uuid.clone(), host)].into(),
        networks: [(network.uuid.clone(), network)].into(),
    }
}

fn figure(name: &str, value: f64, unit: &'static str, limit: Limit, from: String) -> Figure {
    Figure {
        name: name.into(),
        value: Some(value),
        unit,
        limit,
        from,
    }
}

/// All that is asked of one name server.
pub fn name_server(folder: &Path) -> Vec<Figure> {
    let mut figures = small(&folder.join("small"));
    figures.extend(large(&folder.join("large")));
    figures
}

fn small(folder: &Path) -> Vec<Figure> {
    let mut netd = Netd::start(folder);
    let idle = netd.memory("VmRSS:");
    assert_eq!(netd.feed(&Feed::Snapshot(Box::new(project(50, 5)))), Answer::Applied(1));
    netd.use_all();
    let names: Vec<String> = (0..10).map(|n| format!("service-{n}.app.rancher.internal")).collect();
    let (of_all, of_cpu) = netd.rate(&names);
    let memory = netd.memory("VmRSS:");
    vec![
        figure(
            "name server, 50 containers, resident after use",
            memory,
            " MiB",
            Limit::AtMost(8.0, 4.0),
            format!("{idle:.1} MiB before use; {}", netd.memories()),
        ),
        figure(
            "answers a second on one core, services of 5",
            of_cpu,
            "",
            Limit::AtLeast(60_000.0, 100_000.0),
            format!("by its own processor time; {of_all:.0} by the clock, {IN_FLIGHT} in flight from one client"),
        ),
    ]
}

fn large(folder: &Path) -> Vec<Figure> {
    let mut netd = Netd::start(folder);
    let table = project(10_000, OF_ONE);
    let began = Instant::now();
    assert_eq!(netd.feed(&Feed::Snapshot(Box::new(table))), Answer::Applied(1));
    let whole = began.elapsed();
    let names: Vec<String> = (0..10_000)
        .map(|n| format!("app-service-{}-{}.rancher.internal", n / OF_ONE, n % OF_ONE + 1))
        .collect();
    let (of_all, of_cpu) = netd.rate(&names);
    let memory = netd.memory("VmRSS:");
    let memories = netd.memories();
    let cpu = machine::cpu(netd.child.id());
    let mut took: Vec<f64> = (1..=CHANGES)
        .map(|number| {
            let nth = number as usize * 17 % 10_000;
            let mut changed = container(nth, OF_ONE);
            changed.state = if number % 2 == 0 { "running" } else { "stopped" }.into();
            let own = service(nth / OF_ONE, OF_ONE);
            let delta = Feed::Delta(Box::new(Delta {
                after: number,
                number: number + 1,
                containers: [(changed.uuid.clone(), Some(changed))].into(),
                services: [(service_key(&own.uuid, &own.name), Some(own))].into(),
                ..Delta::default()
            }));
            let began = Instant::now();
            assert_eq!(netd.feed(&delta), Answer::Applied(number + 1));
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    let used = (machine::cpu(netd.child.id()) - cpu) * 1000.0 / CHANGES as f64;
    took.sort_by(f64::total_cmp);
    let (most, late) = (took[took.len() - 1], took[took.len() * 99 / 100]);
    let after = netd.memory("VmRSS:");
    vec![
        figure(
            "name server, 10,000 containers, resident",
            memory.max(after),
            " MiB",
            Limit::AtMost(16.0, 12.0),
            format!(
                "{memories}; {after:.1} MiB after the changes; the whole table took {:.0} ms",
                whole.as_secs_f64() * 1000.0
            ),
        ),
        figure(
            "a change among 10,000 containers",
            median(&mut took),
            " ms",
            Limit::AtMost(5.0, 1.0),
            format!(
                "a container and its service of {OF_ONE}, sent and acknowledged; p99 {late:.2} ms, the longest {most:.2} ms; {used:.2} ms of its processor"
            ),
        ),
        figure(
            "answers a second on one core, 10,000 names",
            of_cpu,
            "",
            Limit::AtLeast(60_000.0, 100_000.0),
            format!("by its own processor time; {of_all:.0} by the clock"),
        ),
    ]
}
