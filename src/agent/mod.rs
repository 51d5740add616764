//! The agent: `drover agent`, which has the Docker Engine of its machine driven by a server that cannot reach it. It dials the
//! server, joins with a registration token, and leads what comes by the tunnel to the engine's socket, and nowhere else.
//!
//! `place` reads where the server is, `trust` by whose word it is believed, `told` asks it for its authority, `memory` keeps
//! the key that the agent was given, `session` is one connection. What goes through, the agent does not look at.

#![expect(clippy::disallowed_methods, reason = "an agent waits before it dials again")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Status};
use crate::tunnel::Hello;

mod memory;
mod place;
mod session;
mod told;
mod trust;

use memory::Memory;
use place::Place;
use session::{Ended, Login};
use trust::{Named, Trust};

/// Between two attempts: the first wait, doubled up to the last.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_LAST: Duration = Duration::from_secs(30);

/// What `drover agent` is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `registrationUrl` of a registration token; none once the agent has joined.
    pub url: Option<String>,
    /// The socket of the engine, as `unix://` URL or path.
    pub docker: String,
    /// Where the agent's key is kept.
    pub state_dir: PathBuf,
    /// By which address others reach the machine.
    pub address: Option<String>,
    /// What the host is called.
    pub name: Option<String>,
    /// The one file of authorities that is believed about the server; none for the system's.
    pub ca: Option<PathBuf>,
    /// The digest of the certificate of the one authority that is believed.
    pub ca_fingerprint: Option<String>,
    /// The digest of the file with its certificate.
    pub ca_checksum: Option<String>,
    /// Labels for the host.
    pub labels: BTreeMap<String, String>,
}

/// The file in the state directory by which one agent keeps others out.
pub fn lock_file(options: &Options) -> PathBuf {
    options.state_dir.join("agent.lock")
}

/// Makes the folder that the agent keeps its key in, for this user only.
///
/// # Errors
/// It cannot be written.
pub fn prepare(options: &Options) -> Result<(), Failure> {
    memory::make_folder(&options.state_dir).map_err(|e| Failure::not_writable(&options.state_dir, &e))
}

/// Serves the tunnel until it is told to stop, or until the server has no place for this agent any more.
///
/// # Errors
/// Nothing can be done by waiting: bad configuration, a state of another server, a key that has ended.
pub async fn run(options: Options) -> Result<(), Failure> {
    let socket = place::socket(&options.docker)?;
    let given = options.url.as_deref().map(Place::parse).transpose()?;
    let named = Named::parse(options.ca_fingerprint.as_deref(), options.ca_checksum.as_deref())?;
    let mut memory = Memory::open(&options.state_dir)?;
    let place = memory.server(given)?;
    let mut trust = Trust::new(options.ca, named, &place)?;
    if place.is_plain() {
        say("the server is not asked by TLS: whoever is on the way can take this machine over");
    }
    let hello = Hello {
        key: memory.key().to_owned(),
        name: options.name.unwrap_or_else(place::machine_name),
        address: options.address,
        labels: options.labels,
    };
    let mut stop = std::pin::pin!(told_to_stop()?);
    let mut wait = WAIT_FIRST;
    loop {
        let login = memory.login(&place)?;
        let ended = tokio::select! {
            () = &mut stop => return Ok(()),
            ended = async {
                match trust.connector(&place).await {
                    Ok(connector) => session::run(&place, connector.as_ref(), &login, &hello, &socket, &memory).await,
                    Err(ended) => ended,
                }
            } => ended,
        };
        match ended {
            Ended::Given(welcome) => {
                memory.keep(&place, welcome)?;
                say("joined");
                wait = WAIT_FIRST;
                continue;
            }
            Ended::Served(why) => {
                say(&format!("the tunnel ended: {why}"));
                wait = WAIT_FIRST;
            }
            Ended::NotNow(why) => say(&format!("no tunnel: {why}; trying again")),
            Ended::Never(why) => return Err(Failure::config(why)),
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(WAIT_LAST);
    }
}

impl Login {
    /// What is said to somebody whose login is refused.
    fn refusal(&self, folder: &std::path::Path) -> String {
        match self {
            Self::Token(_) => "the registration token is not good (any more): make another one".to_owned(),
            Self::Key { .. } => format!(
                "the server has ended this agent's key: its host was removed. To join again, remove {}",
                folder.display()
            ),
        }
    }
}

fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let hear = |kind| signal(kind).map_err(|e| Failure::new(Status::Internal, format!("cannot hear signals: {e}")));
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A line for whoever looks at the log; that nobody can is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "drover agent: {line}");
}
