//! `drover doctor`: looks at what a server needs here, and says of each thing whether it is as it should be. Changes nothing.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cli::{Command, ConfigCommand, ConfigFile, Serve};
use crate::config::{self, NamedEngine};
use crate::engine::EngineConfig;
use crate::failure::{Failure, Status};
use crate::keyfile;
use crate::model::time::SystemClock;
use crate::model::{Clock as _, Timestamp};
use crate::runtime::Cluster as _;
use crate::runtime::docker::{Docker, Owner, Swarm};
use crate::store::Store;

use super::engines::{LOCAL_SOCKET, describe};
#[cfg(feature = "postgres")]
use super::kept;
use super::listening::{self, Door};
use super::serving::check_pool;
use super::{cannot_open, hold, say, schemas, several};
use crate::api::UiFolder;

/// Below this a database can be in the way of itself; bytes.
const LITTLE_DISK: u64 = 100 << 20;
/// From here on nothing is said of the disk.
const ENOUGH_DISK: u64 = 1 << 30;
/// 2026-01-01: a clock that says less stands still.
const BUILT: Timestamp = Timestamp(1_767_225_600_000);

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Fine,
    /// The server starts, and something will not work, or not at once.
    Doubtful,
    /// The server will not start.
    Wrong,
}

struct Finding {
    verdict: Verdict,
    what: &'static str,
    words: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn note(&mut self, verdict: Verdict, what: &'static str, words: impl Into<String>) {
        let words = words.into();
        self.0.push(Finding { verdict, what, words });
    }

    /// What is right unless it is refused, in the words of the refusal.
    fn take<T>(
        &mut self,
        what: &'static str,
        result: Result<T, Failure>,
        fine: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(found) => {
                let words = fine(&found);
                self.note(Verdict::Fine, what, words);
                Some(found)
            }
            Err(failure) => {
                self.note(Verdict::Wrong, what, failure.to_string());
                None
            }
        }
    }

    /// Says all of it; a failure if a server would not start.
    fn tell(self) -> Result<(), Failure> {
        for finding in &self.0 {
            let mark = match finding.verdict {
                Verdict::Fine => "ok   ",
                Verdict::Doubtful => "look ",
                Verdict::Wrong => "WRONG",
            };
            say(&format!("{mark} {:<14} {}", finding.what, finding.words));
        }
        let wrong = self
            .0
            .iter()
            .filter(|finding| finding.verdict == Verdict::Wrong)
            .count();
        if wrong == 0 {
            return Ok(());
        }
        let things = if wrong == 1 { "one thing is" } else { "some things are" };
        Err(Failure::config(format!(
            "{things} wrong: a server would not start like this"
        )))
    }
}

/// `drover doctor`.
pub(super) async fn examine(serve: &Serve) -> Result<(), Failure> {
    let mut findings = Findings::default();
    settings(serve, &mut findings);
    let is_served = data(serve, &mut findings);
    port(serve, is_served, &mut findings);
    engines(serve, &mut findings).await;
    routes(&serve.network_pool, &mut findings);
    clock(&mut findings);
    findings.tell()
}

/// What flags, variables and the file of `--config` say together.
fn settings(serve: &Serve, findings: &mut Findings) {
    let settings = config::bootstrap_keys(serve).and_then(|keys| {
        let pool = EngineConfig {
            network_pool: serve.network_pool.clone(),
            floating_pool: serve.floating_pool.clone(),
            ..EngineConfig::default()
        };
        check_pool(&pool)?;
        config::log_filter(serve)?;
        several::asked_for(serve)?;
        if let Some(dir) = config::ui_dir(serve) {
            UiFolder::open(dir).map_err(|e| Failure::config(format!("--ui-dir {}: {e}", dir.display())))?;
        }
        schemas::to_serve(serve.schemas.as_deref())?;
        Ok(keys)
    });
    findings.take("settings", settings, |keys| match keys.len() {
        0 => "fit together".to_owned(),
        many => format!("fit together, with {many} key(s) to be there"),
    });
}

/// The folder, the database in it, its key and the disk; tells whether a server runs on it.
fn data(serve: &Serve, findings: &mut Findings) -> bool {
    let name = match config::postgres_url(&serve.place) {
        Some(_) => "data",
        None => "database",
    };
    let Some(file) = findings.take(name, config::database_path(&serve.place), |file| {
        file.display().to_string()
    }) else {
        return false;
    };
    let folder = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let there = existing(folder);
    match rustix::fs::access(&there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) if there == folder => findings.note(Verdict::Fine, "folder", "can be written"),
        Ok(()) => findings.note(
            Verdict::Fine,
            "folder",
            format!("is made in {} at the first start", there.display()),
        ),
        Err(e) => findings.note(
            Verdict::Wrong,
            "folder",
            format!(
                "{} cannot be written: {e}. Choose another with --data-dir.",
                there.display()
            ),
        ),
    }
    disk(&there, findings);
    let variable = std::env::var(keyfile::VARIABLE).ok();
    findings.take("server's key", keyfile::find(folder, variable.as_deref()), |key| {
        let words = if key.is_new() {
            "is made at the first start"
        } else {
            "is there, for its owner alone"
        };
        words.to_owned()
    });
    #[cfg(feature = "postgres")]
    if let Some(crate::store::Database::Postgres(database)) = kept::elsewhere(&serve.place) {
        findings.note(Verdict::Fine, "database", database.to_string());
        findings.take("contents", Store::reach(&database).map_err(cannot_open), |version| {
            format!("is reached: PostgreSQL {version}")
        });
        return false;
    }
    if !file.exists() {
        return false;
    }
    match hold(&file.with_extension("lock"), || "a server runs on it".to_owned()) {
        Ok(_lock) => {
            findings.take("contents", Store::check(&file).map_err(cannot_open), |()| {
                "the database is whole".to_owned()
            });
            false
        }
        Err(failure) if failure.status == Status::InUse => {
            findings.note(
                Verdict::Fine,
                "contents",
                "a server runs on it: ask its /readyz?verbose",
            );
            true
        }
        Err(failure) => {
            findings.note(Verdict::Wrong, "contents", failure.to_string());
            false
        }
    }
}

/// The nearest folder above that is there.
fn existing(folder: &Path) -> PathBuf {
    let is_there = |path: &&Path| path.exists() && !path.as_os_str().is_empty();
    folder.ancestors().find(is_there).unwrap_or(Path::new(".")).to_owned()
}

fn disk(folder: &Path, findings: &mut Findings) {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let verdict = match free {
                0..LITTLE_DISK => Verdict::Wrong,
                LITTLE_DISK..ENOUGH_DISK => Verdict::Doubtful,
                _ => Verdict::Fine,
            };
            findings.note(verdict, "disk", format!("{} MiB free for the database", free >> 20));
        }
        Err(e) => findings.note(Verdict::Doubtful, "disk", format!("does not say how much is free: {e}")),
    }
}

fn port(serve: &Serve, is_served: bool, findings: &mut Findings) {
    match listening::asked_for(serve, None) {
        Err(failure) => findings.note(Verdict::Wrong, "port", failure.to_string()),
        Ok(doors) => doors.all().for_each(|door| one_port(serve, door, is_served, findings)),
    }
}

fn one_port(serve: &Serve, door: &Door, is_served: bool, findings: &mut Findings) {
    let (address, flag) = (door.address, door.flag);
    let is_guarded = serve.access_control == Some(crate::cli::Switch::On) || door.asks_for_certificates;
    match door.try_out() {
        Err(e) if is_served && e.kind() == std::io::ErrorKind::AddrInUse => {
            findings.note(
                Verdict::Fine,
                "port",
                format!("{address} is in use, by the server that runs"),
            );
        }
        Err(e) => findings.note(
            Verdict::Wrong,
            "port",
            format!("{address} cannot be listened on: {e}. Choose another with {flag}."),
        ),
        Ok(()) if config::may_be_open(serve, address) && !address.ip().is_loopback() && !is_guarded => findings.note(
            Verdict::Doubtful,
            "port",
            format!(
                "{address} is free; unless access control is on, whoever reaches it controls Docker, which is root"
            ),
        ),
        Ok(()) if !config::may_be_open(serve, address) && !is_guarded => findings.note(
            Verdict::Doubtful,
            "port",
            format!("{address} is free; others can reach it, so a server starts there only with access control on"),
        ),
        Ok(()) => findings.note(Verdict::Fine, "port", format!("{address} is free")),
    }
}

async fn engines(serve: &Serve, findings: &mut Findings) {
    let named = match config::named_engines(serve) {
        Ok(named) => named,
        Err(failure) => return findings.note(Verdict::Wrong, "engine", failure.to_string()),
    };
    let named = match named {
        Some(named) if named.is_empty() => {
            return findings.note(Verdict::Fine, "engine", "none, as was said: only sim: images run");
        }
        Some(named) => named,
        None if Path::new(LOCAL_SOCKET).try_exists().unwrap_or(true) => vec![NamedEngine {
            cert_path: serve.docker_cert_path.clone(),
            ..NamedEngine::at(format!("unix://{LOCAL_SOCKET}"))
        }],
        None => {
            let words =
                format!("there is none at {LOCAL_SOCKET}: only sim: images run until there is, or --docker names one");
            return findings.note(Verdict::Doubtful, "engine", words);
        }
    };
    for one in named {
        if one.is_swarm() {
            swarm(one, findings).await;
            continue;
        }
        let name = one.name.map(|name| format!("{name}: ")).unwrap_or_default();
        let docker = match Docker::connect(&one.url, one.cert_path.as_deref(), Owner::alone("doctor")) {
            Ok(docker) => docker,
            Err(e) => {
                findings.note(Verdict::Wrong, "engine", format!("{name}{}: {e}", one.url));
                continue;
            }
        };
        match describe(&docker).await {
            Ok(info) => {
                findings.note(
                    Verdict::Fine,
                    "engine",
                    format!("{name}Docker Engine {} at {}", info.version, one.url),
                );
                names(&docker, &name, findings).await;
            }
            Err(e) => {
                let words = format!(
                    "{name}{} does not answer ({e}); a server would ask again and again",
                    one.url
                );
                findings.note(Verdict::Doubtful, "engine", words);
            }
        }
    }
}

async fn swarm(one: NamedEngine, findings: &mut Findings) {
    let urls: Vec<String> = std::iter::once(one.url).chain(one.managers).collect();
    let nodes = match Swarm::connect(&urls, one.cert_path.as_deref(), Owner::alone("doctor")) {
        Ok(swarm) => swarm.nodes().await,
        Err(e) => return findings.note(Verdict::Wrong, "engine", format!("swarm: {e}")),
    };
    match nodes {
        Ok(nodes) => {
            let ready = nodes.iter().filter(|node| node.is_ready).count();
            findings.note(
                Verdict::Fine,
                "engine",
                format!("a swarm of {} nodes, {ready} of them ready", nodes.len()),
            );
        }
        Err(e) => findings.note(
            Verdict::Doubtful,
            "engine",
            format!("swarm: {e}; a server would ask again and again"),
        ),
    }
}

async fn names(docker: &Docker, name: &str, findings: &mut Findings) {
    match docker.check_name_servers().await {
        Ok(()) => findings.note(Verdict::Fine, "name servers", format!("{name}can run there")),
        Err(e) => findings.note(
            Verdict::Doubtful,
            "name servers",
            format!("{name}{e}; containers there find each other by what Docker knows when they are made"),
        ),
    }
}

/// Whether the pool of the projects' networks is somebody else's already. What Docker has made is left out: it may be ours.
fn routes(pool: &str, findings: &mut Findings) {
    let Some(pool) = range(pool) else { return };
    let routes = match procfs::net::route() {
        Ok(routes) => routes,
        Err(e) => return findings.note(Verdict::Doubtful, "network pool", format!("routes cannot be read: {e}")),
    };
    let in_the_way = routes.into_iter().find(|route| {
        let is_default = route.mask == Ipv4Addr::UNSPECIFIED;
        let is_dockers = route.iface.starts_with("br-") || route.iface.starts_with("docker");
        let (first, mask) = (u32::from(route.destination), u32::from(route.mask));
        !is_default && !is_dockers && first <= pool.1 && pool.0 <= (first | !mask)
    });
    match in_the_way {
        Some(route) => findings.note(
            Verdict::Doubtful,
            "network pool",
            format!(
                "this machine reaches {} by {}, which lies in it: choose another with --network-pool",
                route.destination, route.iface
            ),
        ),
        None => findings.note(Verdict::Fine, "network pool", "is in no other use on this machine"),
    }
}

/// The first and the last address of a network.
fn range(cidr: &str) -> Option<(u32, u32)> {
    let (address, length) = cidr.split_once('/')?;
    let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
    let host = u32::MAX.checked_shr(length.parse().ok()?).unwrap_or(0);
    Some((address & !host, address | host))
}

fn clock(findings: &mut Findings) {
    if SystemClock.now() < BUILT {
        findings.note(
            Verdict::Doubtful,
            "clock",
            "is before this program was made: logins and schedules go by it",
        );
    } else {
        findings.note(Verdict::Fine, "clock", "is not behind this program");
    }
}

/// `drover config check`.
pub(super) fn check_file(command: &ConfigCommand, given: Option<&Path>) -> Result<(), Failure> {
    let ConfigCommand::Check { file } = command;
    let path = file.as_deref().or(given);
    let path = path.ok_or_else(|| Failure::config("say which file: drover config check FILE"))?;
    let read: ConfigFile = crate::cli::read(path).map_err(Failure::config)?;
    let Command::Serve(serve) = read.alone().map_err(Failure::config)?.command else {
        return Ok(());
    };
    let mut findings = Findings::default();
    settings(&serve, &mut findings);
    for refused in [
        config::listen_address(&serve).map(drop),
        config::named_engines(&serve).map(drop),
        config::database_path(&serve.place).map(drop),
    ] {
        refused?;
    }
    match findings.0.into_iter().find(|finding| finding.verdict == Verdict::Wrong) {
        Some(finding) => Err(Failure::config(finding.words)),
        None => {
            say(&format!(
                "{}: {} setting(s), all fit",
                path.display(),
                read.keys().count()
            ));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_from_its_first_address_to_its_last() {
        let ends = |text: &str| range(text).map(|(first, last)| (Ipv4Addr::from(first), Ipv4Addr::from(last)));
        let pair = |first: [u8; 4], last: [u8; 4]| Some((Ipv4Addr::from(first), Ipv4Addr::from(last)));
        assert_eq!(ends("10.42.0.0/16"), pair([10, 42, 0, 0], [10, 42, 255, 255]));
        assert_eq!(ends("10.0.0.7/32"), pair([10, 0, 0, 7], [10, 0, 0, 7]));
        assert_eq!(ends("10.0.0.0/0"), pair([0, 0, 0, 0], [255, 255, 255, 255]));
        assert_eq!(ends("10.0.0.0"), None);
    }
}
