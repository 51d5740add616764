//! Ten thousand subscribers of one project: what each costs, and how long a change is on its way to the last of them.
//!
//! The floor is a WebSocket for each over one broadcast of shared bytes, with nothing else: no pings, no limits, no `since`.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::fill;
use super::http::{drover, start_floor};
use super::load;
use super::machine::{Cores, Server, median};
use super::report::{Figure, Limit};

/// Those who listen, unless the options say otherwise.
pub const SUBSCRIBERS: usize = 10_000;
/// Changes that are told.
const EVENTS: usize = 9;
/// Handshakes at a time.
const AT_ONCE: usize = 64;
/// What a shell gives often: the server has to raise it itself.
const FEW_FILES: u64 = 1024;
/// The second event of a change, and pings, are over by then.
const QUIET: Duration = Duration::from_millis(1600);
/// How long pings alone are watched.
const IDLE: Duration = Duration::from_secs(10);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was measured of a server.
struct Measured {
    /// KiB for each: once connected, and after all events.
    memory: (f64, f64),
    /// Handshakes a second.
    connects: f64,
    /// Milliseconds to the last, for each event.
    last: Vec<f64>,
    /// Milliseconds to the first, and to the one in the middle.
    first: f64,
    middle: f64,
    /// Microseconds of the server for each delivery.
    cpu: f64,
    /// Bytes of an event.
    bytes: usize,
    /// Processor seconds per second, when nothing changes.
    idle: f64,
}

/// What a change is told by: the request, and what is in each of its events.
struct Change {
    request: Vec<u8>,
    mark: String,
}

/// What all subscribers of the loader share.
#[derive(Default)]
struct Shared {
    /// What the event that is waited for has in it.
    mark: RefCell<String>,
    /// Grows with each.
    round: Cell<usize>,
    /// When it came, for each that has it.
    came: RefCell<Vec<Instant>>,
    bytes: Cell<usize>,
    all: Notify,
}

/// Memory, time and processor of so many subscribers.
pub fn listen(folder: &Path, subscribers: usize) -> Vec<Figure> {
    rlimit::increase_nofile_limit(rlimit::Resource::NOFILE.get_hard().expect("a limit")).expect("more files");
    let filled = fill::drover(&folder.join("subscribers"), 1000);
    let project = filled.projects[0];
    let root = format!("/v2-beta/projects/1a{project}");
    let server = with_few_files(|| drover(&folder.join("subscribers"), Cores::One));
    // A new one each time: an object is told about when it is made, and a second later when it is active.
    let changes = (0..EVENTS as u64).map(|n| Change {
        request: load::post(&format!("{root}/genericobjects"), &fill::object(n).to_string()),
        mark: r#""resourceType":"genericObject""#.to_owned(),
    });
    let ours = measure(
        &server,
        subscribers,
        &format!("{root}/subscribe?eventNames=resource.change"),
        &changes.collect::<Vec<_>>(),
    );
    let event = text(
        server.address,
        &format!("{root}/genericobjects/1go{}", filled.objects[0]),
    );
    drop(server);

    let base = start_floor(&folder.join("floor-subscribers.db"));
    let sent = |n: usize| json!({"mark": format!("mark-{n}."), "resource": event, "pad": "x".repeat(300)}).to_string();
    let changes = (0..EVENTS).map(|n| Change {
        request: load::post("/events", &sent(n)),
        mark: format!("mark-{n}."),
    });
    let floor = measure(&base, subscribers, "/events", &changes.collect::<Vec<_>>());
    figures(subscribers, ours, floor)
}

fn figures(subscribers: usize, mut ours: Measured, mut floor: Measured) -> Vec<Figure> {
    let (last, floor_last) = (median(&mut ours.last), median(&mut floor.last));
    // Whose processor time is a fraction of what it took has waited for the machine.
    let is_noisy = floor_last > 3.0 * floor.cpu * subscribers as f64 / 1000.0;
    let noisy = if is_noisy {
        "; the machine was busy with others: the floor waited, too"
    } else {
        ""
    };
    let longest = ours.last.last().copied().unwrap_or_default();
    vec![
        Figure {
            name: format!("memory of each of {subscribers} subscribers"),
            value: Some(ours.memory.1.max(ours.memory.0)),
            unit: " KiB",
            limit: Limit::AtMost(24.0, 16.0),
            from: format!(
                "{:.1} connected, {:.1} after {EVENTS} events of {} B; floor {:.1}, {:.1}; {:.0} handshakes/s, floor {:.0}",
                ours.memory.0, ours.memory.1, ours.bytes, floor.memory.0, floor.memory.1, ours.connects, floor.connects
            ),
        },
        Figure {
            name: format!("a change told to the last of {subscribers}"),
            value: Some(last),
            unit: " ms",
            limit: Limit::AtMost(400.0, 200.0),
            from: format!(
                "from the request on, durable; the first after {:.0} ms, half of them {:.0}; median of {EVENTS}, longest {longest:.0} ms; floor {floor_last:.0}, {:.0}, {:.0} ms for {} B{noisy}",
                ours.first, ours.middle, floor.first, floor.middle, floor.bytes
            ),
        },
        Figure {
            name: "processor time of a delivery".into(),
            value: Some(ours.cpu),
            unit: " µs",
            limit: Limit::AtMost(25.0, 15.0),
            from: format!("floor {:.1} µs", floor.cpu),
        },
        Figure {
            name: format!("pings of {subscribers} subscribers"),
            value: Some(ours.idle * 100.0),
            unit: " % of a core",
            limit: Limit::None,
            from: "one each 5 s".into(),
        },
    ]
}

/// Starts a server that may open few files, and goes back to as many as before.
fn with_few_files(start: impl FnOnce() -> Server) -> Server {
    let (soft, hard) = rlimit::Resource::NOFILE.get().expect("a limit");
    rlimit::Resource::NOFILE.set(FEW_FILES, hard).expect("a lower limit");
    let server = start();
    rlimit::Resource::NOFILE.set(soft, hard).expect("the limit as it was");
    server
}

fn measure(server: &Server, subscribers: usize, path: &str, changes: &[Change]) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let shared = Rc::new(Shared::default());
        // What the first connections cost is no subscriber's: caches, threads, statements.
        for stream in connect(server.address, path, AT_ONCE).await {
            drop(stream);
        }
        ask(&mut open(server.address).await, &changes[0].request).await;
        tokio::time::sleep(QUIET).await;
        let before = server.own_memory();
        let began = Instant::now();
        let streams = connect(server.address, path, subscribers).await;
        let connects = subscribers as f64 / began.elapsed().as_secs_f64();
        for stream in streams {
            tokio::task::spawn_local(hear(stream, shared.clone()));
        }
        tokio::time::sleep(QUIET).await;
        let each = || (server.own_memory() - before) * 1024.0 / subscribers as f64;
        let connected = each();
        let (mut last, mut middles, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        let mut cpu = 0.0;
        for change in changes {
            change.mark.clone_into(&mut shared.mark.borrow_mut());
            shared.came.borrow_mut().clear();
            shared.round.set(shared.round.get() + 1);
            // A server closes one on which nothing was asked for a while.
            let mut writer = open(server.address).await;
            let used = server.cpu();
            let began = Instant::now();
            let answered = ask(&mut writer, &change.request);
            let all = async {
                while shared.came.borrow().len() < subscribers {
                    shared.all.notified().await;
                }
            };
            let told = tokio::time::timeout(PATIENCE, async { tokio::join!(answered, all) }).await;
            assert!(
                told.is_ok(),
                "{} of {subscribers} were told",
                shared.came.borrow().len()
            );
            cpu += server.cpu() - used;
            let mut took: Vec<f64> = shared
                .came
                .borrow()
                .iter()
                .map(|at| at.duration_since(began).as_secs_f64() * 1000.0)
                .collect();
            middles.push(median(&mut took));
            firsts.push(took.first().copied().expect("the first"));
            last.push(took.last().copied().expect("the last"));
            tokio::time::sleep(QUIET).await;
        }
        let after = each();
        let used = server.cpu();
        tokio::time::sleep(IDLE).await;
        let idle = (server.cpu() - used) / IDLE.as_secs_f64();
        let deliveries = (subscribers * changes.len()) as f64;
        let (first, middle) = (median(&mut firsts), median(&mut middles));
        let (bytes, cpu) = (shared.bytes.get(), cpu * 1e6 / deliveries);
        Measured {
            memory: (connected, after),
            connects,
            last,
            first,
            middle,
            cpu,
            bytes,
            idle,
        }
    })
}

/// Shakes hands for so many connections.
pub async fn connect(address: SocketAddr, path: &str, count: usize) -> Vec<TcpStream> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let request = &request;
    let shake = |_| async move {
        let mut stream = open(address).await;
        stream.write_all(request.as_bytes()).await.expect("a server that reads");
        // Byte by byte: a frame may follow at once.
        let mut head = Vec::with_capacity(512);
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        stream
    };
    futures_util::stream::iter(0..count)
        .map(shake)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

/// Takes frames, and notes when the one came that is waited for.
async fn hear(mut stream: TcpStream, shared: Rc<Shared>) {
    let mut buffer: Vec<u8> = Vec::with_capacity(8192);
    let mut heard = 0;
    loop {
        while let Some((start, end)) = frame(&buffer) {
            let text = &buffer[start..end];
            // What an event is about stands at its beginning.
            let head = &text[..text.len().min(256)];
            let is_it = heard < shared.round.get() && contains(head, shared.mark.borrow().as_bytes());
            if is_it {
                heard = shared.round.get();
                shared.bytes.set(text.len());
                shared.came.borrow_mut().push(Instant::now());
                shared.all.notify_one();
            }
            buffer.drain(..end);
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

/// Where the payload of the first frame is, if it is whole. What a server sends is not masked.
pub fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= start + length).then_some((start, start + length))
}

async fn open(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("a server that listens")
}

/// One request, and its whole answer.
async fn ask(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).await.expect("a server that reads");
    let mut answer = Vec::with_capacity(8192);
    loop {
        assert!(
            stream.read_buf(&mut answer).await.expect("an answer") > 0,
            "the server closed the connection"
        );
        if let Some((status, body_at, length)) = load::read_head(&answer)
            && answer.len() >= body_at + length
        {
            assert!((200..300).contains(&status), "{}", String::from_utf8_lossy(&answer));
            return;
        }
    }
}

fn text(address: SocketAddr, path: &str) -> Value {
    let (status, text) = load::once(address, &load::get(path));
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}
