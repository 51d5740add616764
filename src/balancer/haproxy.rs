//! HAProxy itself: asked and told by its sockets, and begun anew. Everything here may be done twice.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::config::server_name;
use super::places::{MASTER, NEXT, PROGRAM, STATISTICS};
use super::routes::Routes;
use super::slots::Slots;

/// For an answer of a process that answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// For a new process to be there: it reads certificates, and looks names up.
const RELOAD: Duration = Duration::from_secs(20);

/// For what it says about that itself.
const RELOAD_ANSWER: Duration = Duration::from_secs(1);

/// Between two looks whether it is there.
const PAUSE: Duration = Duration::from_millis(20);

/// Commands told at once: together they are shorter than what it reads at once.
const TOGETHER: usize = 40;

/// In what it says of a server, for one that gets nobody, and for one that gets who has been there.
const IN_MAINTENANCE: u32 = 0x01;
const IN_DRAIN: u32 = 0x08;

/// A server as it is known there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    address: String,
    port: String,
    weight: String,
    state: State,
}

/// Who gets to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Drain,
    Maint,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// By the names of the servers, and of each of them.
pub type Servers = BTreeMap<(String, String), Known>;

/// Says something.
fn say(socket: &str, words: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(words.as_bytes())?;
    stream.write_all(b"\n")?;
    Ok(stream)
}

/// Says something and takes the whole answer.
fn ask(socket: &str, words: &str) -> io::Result<String> {
    let mut stream = say(socket, words)?;
    // The one that begins others waits for more, unless it hears that there is none.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The digest of what it runs by.
pub fn digest() -> io::Result<String> {
    let answer = ask(STATISTICS, "show info")?;
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("description: drover "));
    Ok(line.unwrap_or_default().trim().to_owned())
}

/// Has it read the next configuration, and say what is wrong with it.
pub fn check() -> io::Result<Result<(), String>> {
    let done = Command::new(PROGRAM).args(["-c", "-f", NEXT]).output()?;
    if done.status.success() {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Ok(Err(complaint(&said)))
}

/// What it says that is not about itself, without what it says each time.
pub fn complaint(said: &str) -> String {
    let lines = said.lines().filter(|line| line.contains("[ALERT]"));
    let plain = lines.map(|line| {
        let text = line.split_once(" : ").map_or(line, |(_, text)| text);
        text.trim().trim_start_matches("config : ").replace(NEXT, "config")
    });
    let is_telling = |line: &String| {
        let says_nothing = line.starts_with("Error(s) found in") || line.starts_with("Fatal errors found");
        !says_nothing && !line.is_empty()
    };
    let told: Vec<String> = plain.filter(is_telling).take(5).collect();
    if told.is_empty() {
        return "HAProxy refuses the configuration".to_owned();
    }
    told.join("; ")
}

/// Has it begin anew by the configuration that is there, and waits until it serves by the one with this digest. Connections go
/// on, and none is refused: the new process takes the sockets from the old one.
pub fn reload(wanted: &str) -> io::Result<bool> {
    let mut stream = say(MASTER, "reload")?;
    stream.set_read_timeout(Some(RELOAD_ANSWER))?;
    // Some close it at once, some answer when the new process is there, some do neither: what counts is who serves then.
    let _ = stream.read(&mut [0; 256]);
    let began = Instant::now();
    while began.elapsed() < RELOAD {
        if digest().is_ok_and(|digest| digest == wanted) {
            return Ok(true);
        }
        pause();
    }
    Ok(false)
}

/// Waits until it can be asked: it may only just have been started.
pub fn wait() -> io::Result<()> {
    let began = Instant::now();
    loop {
        match UnixStream::connect(STATISTICS) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => pause(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of one thread, which waits for another"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// The servers that it knows.
pub fn servers() -> io::Result<Servers> {
    Ok(read_servers(&ask(STATISTICS, "show servers state")?))
}

/// From its own table: the columns are named in the second line.
pub fn read_servers(text: &str) -> Servers {
    let mut lines = text.lines();
    let heads = lines.find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
    let heads: Vec<&str> = heads.split_whitespace().collect();
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |head: &str| {
            let at = heads.iter().position(|name| *name == head)?;
            words.get(at).map(|word| (*word).to_owned())
        };
        let flags: u32 = word("srv_admin_state")?.parse().ok()?;
        let state = match flags {
            flags if flags & IN_MAINTENANCE != 0 => State::Maint,
            flags if flags & IN_DRAIN != 0 => State::Drain,
            _ => State::Ready,
        };
        let known = Known {
            address: word("srv_addr")?,
            port: word("srv_port")?,
            weight: word("srv_uweight")?,
            state,
        };
        Some(((word("be_name")?, word("srv_name")?), known))
    };
    lines.filter_map(read).collect()
}

/// What it has to be told so that it knows the servers as they are now: first who is new, then who goes.
pub fn commands(known: &Servers, routes: &Routes, slots: &Slots) -> Vec<String> {
    let (mut come, mut go) = (Vec::new(), Vec::new());
    for (backend, seats) in &slots.0 {
        for (n, id) in seats.iter().enumerate() {
            let key = (backend.clone(), server_name(n));
            let Some(known) = known.get(&key) else { continue };
            let name = format!("{}/{}", key.0, key.1);
            let there = id.as_ref().and_then(|id| routes.backends.get(backend)?.servers.get(id));
            let Some(there) = there else {
                if known.state != State::Maint {
                    go.push(format!("set server {name} state maint"));
                }
                continue;
            };
            let target = &there.target;
            let state = if target.is_draining { State::Drain } else { State::Ready };
            let is_moved = known.address != target.address || known.port != target.port.to_string();
            if is_moved {
                if known.state != State::Maint {
                    come.push(format!("set server {name} state maint"));
                }
                come.push(format!(
                    "set server {name} addr {} port {}",
                    target.address, target.port
                ));
            }
            if known.weight != there.weight.to_string() {
                come.push(format!("set server {name} weight {}", there.weight));
            }
            if is_moved || known.state != state {
                let list = if state == State::Ready { &mut come } else { &mut go };
                list.push(format!("set server {name} state {}", state.word()));
            }
        }
    }
    come.extend(go);
    come
}

/// Tells it.
pub fn tell(commands: &[String]) -> io::Result<()> {
    for some in commands.chunks(TOGETHER) {
        ask(STATISTICS, &some.join(";"))?;
    }
    Ok(())
}

/// How many connections each server has, by the names of the servers and of each: in all processes, as one that was replaced
/// goes on with those that it has.
pub fn connections() -> io::Result<BTreeMap<(String, String), u64>> {
    let mut all = BTreeMap::new();
    for process in read_processes(&ask(MASTER, "show proc")?) {
        let answer = ask(MASTER, &format!("@!{process} show stat -1 4 -1"))?;
        for (server, count) in read_connections(&answer) {
            *all.entry(server).or_default() += count;
        }
    }
    Ok(all)
}

/// The numbers of the processes that serve, or still do.
pub fn read_processes(text: &str) -> Vec<String> {
    let each = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (number, kind) = (words.next()?, words.next()?);
        (kind == "worker").then(|| number.to_owned())
    });
    each.collect()
}

/// From its own table, in which words are parted by commas.
pub fn read_connections(text: &str) -> BTreeMap<(String, String), u64> {
    let mut lines = text.lines();
    let heads: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("# ")
        .split(',')
        .collect();
    let at = |head: &str| heads.iter().position(|name| *name == head);
    let (Some(backend), Some(server), Some(count)) = (at("pxname"), at("svname"), at("scur")) else {
        return BTreeMap::new();
    };
    let read = |line: &str| {
        let words: Vec<&str> = line.split(',').collect();
        let word = |at: usize| words.get(at).map(|word| (*word).to_owned());
        Some(((word(backend)?, word(server)?), word(count)?.parse().ok()?))
    };
    lines.filter_map(read).collect()
}
