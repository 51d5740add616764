//! `drover balancer feed`: takes lines from its input, and has the HAProxy beside it go by them. What it goes by is kept in a
//! file, so that the next one finds it, and compared with what HAProxy says itself: nothing has to be remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::{Files, files};
use super::haproxy;
use super::places::{CERTIFICATES, CONFIG, NEXT, STATE};
use super::routes::routes;
use super::slots::Slots;
use crate::failure::{Failure, Status};
use crate::model::balancer_table::{Answer, Feed, Standing, Table};

/// The longest line: a table with hundreds of certificates.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// What HAProxy goes by, as it is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The last table of which everything was good.
    table: Table,
    /// The number of the last table.
    number: u64,
    slots: Slots,
    complaint: Option<String>,
    is_set: bool,
}

/// Takes lines until there are no more.
///
/// # Errors
/// The input or the output is broken.
pub fn feed() -> Result<(), Failure> {
    let broken =
        |error: io::Error| Failure::new(Status::Internal, format!("the feed of the balancer is broken: {error}"));
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    loop {
        let mut line = Vec::new();
        let read = (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(broken)? == 0 {
            return Ok(());
        }
        let mut text = serde_json::to_vec(&answer(&line)).map_err(|e| broken(e.into()))?;
        text.push(b'\n');
        output.write_all(&text).map_err(broken)?;
        output.flush().map_err(broken)?;
    }
}

fn answer(line: &[u8]) -> Answer {
    let done = match serde_json::from_slice(line) {
        Ok(Feed::Table(table)) => go_by(&table),
        Ok(Feed::Look) => stand(&load()),
        Err(error) => return Answer::Refused(format!("no line of the feed: {error}")),
    };
    done.map_or_else(|error| Answer::Refused(error.to_string()), Answer::Stands)
}

/// Has HAProxy go by a table, or by as much of it as is good.
fn go_by(table: &Table) -> io::Result<Standing> {
    haproxy::wait()?;
    let before = load();
    let complaint = match try_to_go_by(table, &before)? {
        Ok(state) => return stand(&state),
        Err(complaint) => complaint,
    };
    let stands = if before.is_set {
        // The last one that was good, with the servers as they are now.
        let mixed = with_servers_of(&before.table, table);
        match try_to_go_by(&mixed, &before)? {
            Ok(_) => "it goes on as before",
            Err(_) => "it goes on with the servers of before",
        }
    } else {
        "it listens nowhere"
    };
    let state = State {
        number: table.number,
        complaint: Some(format!("{stands}, as HAProxy refuses this: {complaint}")),
        ..load()
    };
    save(&state)?;
    stand(&state)
}

/// The rules of a table, and for each of them the targets that another table has for the same rule, if it has that.
fn with_servers_of(old: &Table, new: &Table) -> Table {
    let mut mixed = old.clone();
    for listener in &mut mixed.listeners {
        let of = new.listeners.iter().find(|there| there.port == listener.port);
        for rule in &mut listener.rules {
            let is_same =
                |there: &&crate::model::balancer_table::Rule| there.host == rule.host && there.path == rule.path;
            if let Some(there) = of.and_then(|there| there.rules.iter().find(is_same)) {
                rule.targets.clone_from(&there.targets);
            }
        }
    }
    mixed
}

/// Has HAProxy go by all of a table; or says why not, and nothing is other than it was.
fn try_to_go_by(table: &Table, before: &State) -> io::Result<Result<State, String>> {
    let routes = routes(table);
    let slots = before.slots.fit(&routes);
    let files = files(table, &routes, &slots);
    let running = haproxy::digest()?;
    if running != files.digest
        && let Err(complaint) = begin_anew(&files)?
    {
        return Ok(Err(complaint));
    }
    let known = haproxy::servers()?;
    haproxy::tell(&haproxy::commands(&known, &routes, &slots))?;
    let left = haproxy::commands(&haproxy::servers()?, &routes, &slots);
    if let Some(command) = left.first() {
        return Ok(Err(format!("HAProxy does not follow: {command}")));
    }
    // So that a start after this one begins with what is now.
    replace(Path::new(CONFIG), files.config.as_bytes())?;
    let state = State {
        table: table.clone(),
        number: table.number,
        slots,
        complaint: without_certificate(table),
        is_set: true,
    };
    save(&state)?;
    remove_others(&files.certificates)?;
    Ok(Ok(state))
}

/// Has HAProxy check a configuration, and begin anew by it.
fn begin_anew(files: &Files) -> io::Result<Result<(), String>> {
    let folder = Path::new(CERTIFICATES);
    fs::create_dir_all(folder)?;
    for (name, text) in &files.certificates {
        replace(&folder.join(name), text.as_bytes())?;
    }
    replace(Path::new(NEXT), files.config.as_bytes())?;
    if let Err(complaint) = haproxy::check()? {
        return Ok(Err(complaint));
    }
    let old = fs::read(CONFIG)?;
    fs::rename(NEXT, CONFIG)?;
    if haproxy::reload(&files.digest)? {
        return Ok(Ok(()));
    }
    // It goes on by the old one: so does the next that is started.
    replace(Path::new(CONFIG), &old)?;
    Ok(Err("HAProxy does not start with this configuration".to_owned()))
}

/// Ports on which nobody can be greeted.
fn without_certificate(table: &Table) -> Option<String> {
    let deaf = table.listeners.iter().find(|listener| listener.protocol.ends_tls());
    let deaf = deaf.filter(|_| table.certificates.is_empty())?;
    Some(format!("port {} needs a certificate", deaf.port))
}

/// How it stands, with the connections of who is on its way out.
fn stand(state: &State) -> io::Result<Standing> {
    let draining: BTreeSet<&String> = state
        .table
        .listeners
        .iter()
        .flat_map(|listener| &listener.rules)
        .flat_map(|rule| &rule.targets)
        .filter(|(_, target)| target.is_draining)
        .map(|(id, _)| id)
        .collect();
    let mut counts: BTreeMap<String, u64> = draining.iter().map(|id| ((*id).clone(), 0)).collect();
    if !counts.is_empty() {
        let connections = haproxy::connections()?;
        for (backend, seats) in &state.slots.0 {
            for (n, id) in seats.iter().enumerate() {
                let of = id.as_ref().and_then(|id| id.rsplit_once(':'));
                let key = (backend.clone(), super::config::server_name(n));
                if let (Some((id, _)), Some(count)) = (of, connections.get(&key))
                    && let Some(sum) = counts.get_mut(id)
                {
                    *sum += count;
                }
            }
        }
    }
    Ok(Standing {
        number: state.number,
        complaint: state.complaint.clone(),
        draining: counts,
    })
}

/// What is kept; nothing if it is not there or cannot be read.
fn load() -> State {
    let read = fs::read(STATE).ok();
    read.and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

fn save(state: &State) -> io::Result<()> {
    replace(Path::new(STATE), &serde_json::to_vec(state)?)
}

/// Writes a file, whole or not at all, for this user only.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Keys that are not needed any more do not stay.
fn remove_others(wanted: &BTreeMap<String, String>) -> io::Result<()> {
    let Ok(there) = fs::read_dir(CERTIFICATES) else {
        return Ok(());
    };
    for file in there {
        let file = file?;
        if !file.file_name().to_str().is_some_and(|name| wanted.contains_key(name)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
