//! Where the server keeps its agents' connections: behind a socket for each agent, which whoever talks to its engine connects
//! to. While the agent is away, connections there are closed at once.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UnixListener;
use tokio::task::AbortHandle;

use super::mux::Mux;

/// All agents of a server.
pub struct Hub {
    folder: PathBuf,
    doors: Mutex<HashMap<String, Door>>,
}

/// An agent.
struct Door {
    path: PathBuf,
    guest: Arc<Mutex<Option<Guest>>>,
    listening: AbortHandle,
}

/// A connection of an agent that is there.
struct Guest {
    mux: Mux,
    number: u64,
    address: Option<String>,
}

/// A connection's place in the hub, given back when it is dropped.
pub struct Seat {
    guest: Arc<Mutex<Option<Guest>>>,
    number: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A hub whose sockets are in this folder, which is nobody else's: what an earlier run left there goes.
    pub fn new(folder: PathBuf) -> Self {
        for left in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if left.path().extension().is_some_and(|end| end == "sock") {
                let _ = std::fs::remove_file(left.path());
            }
        }
        Self {
            folder,
            doors: Mutex::default(),
        }
    }

    /// The socket of an agent, which is there from now on.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn door(&self, agent: &str) -> io::Result<PathBuf> {
        let mut doors = lock(&self.doors);
        if let Some(door) = doors.get(agent) {
            return Ok(door.path.clone());
        }
        let path = self.folder.join(format!("{agent}.sock"));
        let guest = Arc::default();
        let listener = listen(&self.folder, &path)?;
        let listening = tokio::spawn(let_in(listener, Arc::clone(&guest))).abort_handle();
        let door = Door {
            path: path.clone(),
            guest,
            listening,
        };
        doors.insert(agent.to_owned(), door);
        Ok(path)
    }

    /// Seats a connection of an agent. One that is there already ends: the agent has dialled again.
    ///
    /// # Errors
    /// There is no socket for it.
    pub fn enter(&self, agent: &str, mux: Mux, address: Option<String>) -> io::Result<Seat> {
        self.door(agent)?;
        let doors = lock(&self.doors);
        let Some(door) = doors.get(agent) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut guest = lock(&door.guest);
        let number = guest.as_ref().map_or(0, |before| before.number) + 1;
        if let Some(before) = guest.replace(Guest { mux, number, address }) {
            before.mux.end();
        }
        drop(guest);
        Ok(Seat {
            guest: door.guest.clone(),
            number,
        })
    }

    /// By which address others reach the machine of an agent that is there.
    pub fn address(&self, agent: &str) -> Option<String> {
        let doors = lock(&self.doors);
        lock(&doors.get(agent)?.guest).as_ref()?.address.clone()
    }

    /// Ends the connection of an agent.
    pub fn close(&self, agent: &str) {
        if let Some(guest) = lock(&self.doors).get(agent).and_then(|door| lock(&door.guest).take()) {
            guest.mux.end();
        }
    }

    /// Ends it, and takes its socket away: the agent is gone for ever.
    pub fn forget(&self, agent: &str) {
        self.close(agent);
        if let Some(door) = lock(&self.doors).remove(agent) {
            door.listening.abort();
            let _ = std::fs::remove_file(door.path);
        }
    }

    /// Ends all connections: the server stops.
    pub fn stop(&self) {
        for door in lock(&self.doors).values() {
            if let Some(guest) = lock(&door.guest).take() {
                guest.mux.end();
            }
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({})", self.folder.display())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guest = lock(&self.guest);
        if guest.as_ref().is_some_and(|guest| guest.number == self.number) {
            *guest = None;
        }
    }
}

/// Listens for this user only: whoever connects is root on the agent's machine.
fn listen(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    // What an earlier run left.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn let_in(listener: UnixListener, guest: Arc<Mutex<Option<Guest>>>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of files: what is open has to end first.
            pause().await;
            continue;
        };
        let mux = lock(&guest).as_ref().map(|guest| guest.mux.clone());
        if let Some(mux) = mux {
            tokio::spawn(async move {
                if let Some(stream) = mux.open().await {
                    stream.carry(socket).await;
                }
            });
        }
    }
}

/// Waits a moment, so that what has run out can come back.
#[expect(
    clippy::disallowed_methods,
    reason = "a socket that fails at once would be asked without end"
)]
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::tunnel::mux::{LINES, Side};

    #[tokio::test]
    async fn an_agent_that_dials_again_takes_its_own_place_and_nobody_is_kept_waiting_for_one_that_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::new(folder.path().join("agents"));
        let path = hub.door("1g7").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let mut away = UnixStream::connect(&path).await.unwrap();
        assert_eq!(away.read(&mut [0; 1]).await.unwrap(), 0);

        let mux = || {
            let (out, sent) = mpsc::channel(LINES);
            (Mux::new(Side::Server, out), sent)
        };
        let ((first, _kept), (second, mut sent)) = (mux(), mux());
        let seat = hub.enter("1g7", first.clone(), Some("10.0.0.1".into())).unwrap();
        assert_eq!(hub.address("1g7").as_deref(), Some("10.0.0.1"));
        let _second = hub.enter("1g7", second, None).unwrap();
        first.over().await;
        // The end of the first is not the end of the second.
        drop(seat);
        let _client = UnixStream::connect(&path).await.unwrap();
        assert!(sent.recv().await.is_some(), "a stream was opened");
        hub.forget("1g7");
        assert!(!path.exists());
    }
}
