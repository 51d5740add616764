//! One of several servers on one database: it takes its place, passes on what it is asked until it is its turn to lead, and begins
//! anew when its turn is over.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::kept::Kept;
use super::listening::{AllOpen, Doors};
use super::serving::{Start, greet, raise_file_limit, serve_here, told_to_stop};
use super::{cannot_open, key_of, other_key};
use crate::cli::{Dialect, Serve};
use crate::config;
use crate::dialects::docker;
use crate::engine::{Engine, KEY_CHECK, opens_check};
use crate::failure::{Failure, Status};
use crate::keyfile;
use crate::members::{Advertised, Door, Entrance, Front, Standing, Turn};
use crate::model::Clock;
use crate::model::id::new_uuid;
use crate::model::time::SystemClock;
use crate::secret::Keeper;
use crate::store::{SchemaState, Seat};

/// How long it may take to hear that another server leads.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);

/// By which address the others reach this server, if it is one of several; what does not go together with that is refused.
pub(super) fn asked_for(serve: &Serve) -> Result<Option<Advertised>, Failure> {
    let Some(text) = serve.advertise_address.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let refused = |why: &str| Err(Failure::config(format!("--advertise-address {text:?}: {why}")));
    let usual = config::listen_address(serve)?.port();
    let Some(advertised) = Advertised::parse(text, usual) else {
        return refused("it is no address: say [http[s]://]HOST[:PORT]");
    };
    if config::postgres_url(&serve.place).is_none() {
        return refused("several servers share a database of PostgreSQL, and none is named with --database");
    }
    if !std::env::var(keyfile::VARIABLE).is_ok_and(|key| !key.trim().is_empty()) {
        return refused(&format!(
            "several servers need the same key: give it to all of them in {}",
            keyfile::VARIABLE
        ));
    }
    if serve.docker_api_socket.is_some() {
        return refused("--docker-api-socket is not served by one of several; --docker-api-listen is, and /docker");
    }
    if serve.tls.docker_api_listen.is_some() && !serve.dialects.contains(&Dialect::Docker) {
        return refused("--docker-api-listen of one of several needs docker among --dialects");
    }
    Ok(Some(advertised))
}

/// Serves as one of several until it is told to stop.
pub(super) async fn serve_in_turn(start: Start<'_>, advertised: Advertised, doors: Doors) -> Result<(), Failure> {
    let keeper = Arc::new(Keeper::new(&key_of(&start.kept)?.bytes));
    let database = start.kept.database.clone();
    let (uuid, address) = (new_uuid().to_string(), advertised.to_string());
    let mut seat = Seat::take(&database, &uuid, &address, crate::VERSION).map_err(cannot_open)?;
    let unread = |e| Failure::new(Status::Database, format!("reading {database}: {e}"));
    let sealed = seat.setting(KEY_CHECK).map_err(unread)?;
    if !opens_check(&keeper, sealed.as_deref()) {
        // Else the others would hear of it for a while.
        let _ = seat.leave();
        return Err(other_key(&database));
    }
    // Each connection that is passed on is two.
    raise_file_limit();
    let reach = start.reach;
    let open = doors.open()?;
    let no_thread = |e| Failure::new(Status::Internal, format!("keeping the place among the servers: {e}"));
    let mut turn = Turn::keep(seat, uuid).map_err(no_thread)?;
    let words = format!("one of several servers, which the others reach at {address}; the one that leads runs them");
    greet(&open, &database, &SchemaState::Current, &[words]);
    let front = Front::new(turn.standing(), advertised, keeper, Arc::new(SystemClock));
    let ended = match follow(&front, &turn, &open, reach.too_open.is_some()).await? {
        Next::Stop => Ok(()),
        Next::Lead => {
            front.close();
            serve_here(start, || Ok(open), Some(&turn)).await
        }
    };
    if ended.is_err() {
        // The database may have said so before the others did.
        let _ = tokio::time::timeout(KNOWN_WITHIN, over(Some(turn.standing()))).await;
    }
    let is_lost = *turn.standing().borrow() == Standing::Lost;
    turn.leave();
    match is_lost {
        true => Err(begin_anew()),
        false => ended,
    }
}

enum Next {
    Lead,
    Stop,
}

/// Lets requests in while it is this server's turn.
pub(super) fn entrance(
    serve: &Serve,
    turn: &Turn,
    engine: &Arc<Engine>,
    clock: Arc<dyn Clock>,
    kept: &Kept,
) -> Result<Entrance, Failure> {
    let keeper = Arc::new(Keeper::new(&key_of(kept)?.bytes));
    let (engine, is_said) = (engine.clone(), serve.open_access);
    let is_too_open = move || !is_said && !engine.policy().is_ok_and(|policy| policy.is_on);
    Ok(Entrance::of(turn.lease().clone(), keeper, clock, is_too_open))
}

/// Waits until another server leads; for ever where there is none.
pub(super) async fn over(standing: Option<watch::Receiver<Standing>>) {
    if let Some(mut standing) = standing
        && standing.wait_for(|standing| *standing == Standing::Lost).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Passes requests on until it is this server's turn, or it is told to stop.
async fn follow(front: &Front, turn: &Turn, open: &AllOpen, is_outward: bool) -> Result<Next, Failure> {
    let mut standing = turn.standing();
    let follows = async {
        let doors = [
            (Some(&open.main), ""),
            (open.secured.as_ref(), ""),
            (open.docker.as_ref(), docker::MOUNT),
        ];
        let mut serving = Vec::new();
        for (open, prefix) in doors.into_iter().filter_map(|(open, prefix)| Some((open?, prefix))) {
            let unheard = open.unheard();
            let door = Door {
                listener: open.listener.try_clone().map_err(&unheard)?,
                tls: open.tls.clone().map(Arc::new),
                prefix,
                is_outward,
            };
            serving.push(async move { front.serve(&door).await.map_err(unheard) });
        }
        futures_util::future::try_join_all(serving).await.map(drop)
    };
    tokio::select! {
        _ = standing.wait_for(|standing| *standing == Standing::Leading) => Ok(Next::Lead),
        () = told_to_stop() => Ok(Next::Stop),
        failed = follows => failed.map(|()| Next::Stop),
    }
}

/// This server led, and another one does: what it knows is old. It starts again in its own place, and follows. Comes back only if
/// that cannot be.
fn begin_anew() -> Failure {
    log::warn!("another server leads now: this one begins anew, and follows");
    let why = match std::env::current_exe() {
        Ok(program) => Command::new(installed(&program))
            .args(std::env::args_os().skip(1))
            .exec(),
        Err(error) => error,
    };
    let words = format!("another server leads now, and this one cannot start again: {why}");
    Failure::new(Status::Internal, words)
}

/// Where the program is, should it have been replaced while it ran: what the kernel says of it then.
fn installed(program: &Path) -> PathBuf {
    let text = program.as_os_str().as_encoded_bytes();
    let place = text.strip_suffix(b" (deleted)").map(OsStr::from_bytes);
    place.map_or_else(|| program.to_owned(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_started_from_where_it_was() {
        assert_eq!(installed(Path::new("/usr/bin/drover")), Path::new("/usr/bin/drover"));
        assert_eq!(
            installed(Path::new("/usr/bin/drover (deleted)")),
            Path::new("/usr/bin/drover")
        );
    }
}
