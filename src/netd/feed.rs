//! The feed: lines of JSON through a socket in the container's own folder. [`serve`] takes them; [`copy`] is the other end, run
//! in the container by the engine's exec, so that no way to the server is needed.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::pause;
use super::probing::Probing;
use super::tables::Tables;
use crate::model::network_table::{Answer, Feed};

/// The longest line: a table of more than 10,000 containers.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// What is copied at once.
const PIECE: usize = 64 * 1024;
/// Answers that wait for whoever feeds to take them; then probes wait, too.
const ANSWERS: usize = 64;
/// How a line begins that asks for a probe. Such a line is short: it is read where others would have to wait.
const PROBE: &[u8] = br#"{"probe":"#;

/// Listens, for this user only. What is left of an earlier run is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let beside = path.with_extension("new-sock");
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}

/// Takes feeds until it is dropped.
pub async fn serve(listener: UnixListener, tables: Arc<Tables>) {
    let probing = Probing::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(take(stream, tables.clone(), probing.clone()));
            }
            // Out of files: what is open has to end first.
            Err(_) => pause().await,
        }
    }
}

/// Takes the lines of one feed. Tables come one after another; probes end when they end.
async fn take(stream: UnixStream, tables: Arc<Tables>, probing: Probing) {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let (answers, waiting) = mpsc::channel(ANSWERS);
    let mut tasks = JoinSet::new();
    let mut saying = tokio::spawn(say(writer, waiting));
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(LONGEST_LINE);
        tokio::select! {
            // Whoever feeds has gone.
            _ = &mut saying => return,
            read = bounded.read_until(b'\n', &mut line) => match read {
                Ok(read) if read > 0 => {}
                _ => break,
            },
        }
        let is_cut = line.len() as u64 >= LONGEST_LINE && !line.ends_with(b"\n");
        let answer = match asked(&line) {
            _ if is_cut => Answer::Refused(format!("a line has more than {LONGEST_LINE} bytes")),
            Some(Ok(Feed::Probe(asked))) => {
                probing.begin(asked, &mut tasks, answers.clone());
                continue;
            }
            Some(Err(error)) => Answer::Refused(format!("no line of the feed: {error}")),
            Some(Ok(_)) | None => tables.take(line).await,
        };
        if answers.send(answer).await.is_err() || is_cut {
            break;
        }
    }
    // What was answered is still said; probes that have not ended are nobody's.
    drop((answers, tasks));
    let _ = saying.await;
}

/// What a line asks for, if it is a probe.
fn asked(line: &[u8]) -> Option<serde_json::Result<Feed>> {
    line.starts_with(PROBE).then(|| serde_json::from_slice(line))
}

/// Writes answers until nobody takes them, or has any.
async fn say(mut writer: OwnedWriteHalf, mut answers: mpsc::Receiver<Answer>) {
    while let Some(answer) = answers.recv().await {
        let Ok(mut text) = serde_json::to_vec(&answer) else {
            return;
        };
        text.push(b'\n');
        if writer.write_all(&text).await.is_err() {
            return;
        }
    }
}

/// Copies this process's input to the feed, and the answers to its output, until the feed ends. It ends when the input does.
pub fn copy(path: &Path) -> io::Result<()> {
    let stream = StdUnixStream::connect(path)?;
    let lines = stream.try_clone()?;
    // On its own: an input that says nothing must not keep this from seeing that the server went away.
    std::thread::spawn(move || {
        let _ = relay(&mut io::stdin().lock(), &mut &lines);
        let _ = lines.shutdown(std::net::Shutdown::Write);
    });
    relay(&mut &stream, &mut io::stdout().lock())
}

/// Copies each piece as it comes. `io::copy` lets the kernel do it, which holds a pipe's lock while it waits for more: then whoever
/// is at its other end waits, too.
fn relay(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..read).unwrap_or_default())?;
        to.flush()?;
    }
}
