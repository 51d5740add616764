//! Files on the disk: who may read them, copies of them, and putting a copy back.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::kept::Kept;
use super::{broken, cannot_open, lock, prepared, say, schemas};
use crate::cli::Place;
use crate::config;
use crate::engine::EngineConfig;
use crate::failure::Failure;
use crate::keyfile;
use crate::model::time::SystemClock;
use crate::store::Store;

/// What nobody but the owner may do anything with.
const PRIVATE: u32 = 0o600;

/// The database with the files that belong to it.
fn family(database: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    ["", "-wal", "-shm"].into_iter().map(|end| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}

/// Sees to it that only the owner can read the database, whatever the umask: a new one begins so, one that is there is mended.
/// What SQLite makes beside it has its mode.
pub(super) fn make_private(database: &Path) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::not_writable(database, &e);
    let is_new = !database.exists();
    if is_new {
        new_private(database).map_err(failed)?;
    }
    for file in family(database).filter(|file| file.exists()) {
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            log::warn!("{}: others could read it; now only its owner can", file.display());
            std::fs::set_permissions(&file, Permissions::from_mode(PRIVATE)).map_err(failed)?;
        }
    }
    Ok(())
}

/// An empty file that was not there, for the owner alone.
fn new_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)
}

/// Where the key of a copy lies: `monday.db.key` beside `monday.db`.
fn key_of(copy: &Path) -> PathBuf {
    let mut name = copy.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

fn folder_of(database: &Path) -> &Path {
    let folder = database.parent().filter(|p| !p.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Copies a file's bytes to a new one, on the disk when this returns.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut made = new_private(to)?;
    io::copy(&mut File::open(from)?, &mut made)?;
    made.sync_all()
}

/// The file of the database. One that is not a file has means of its own.
fn file_of(place: &Place) -> Result<PathBuf, Failure> {
    if config::postgres_url(place).is_some() {
        return Err(Failure::config(
            "a database of PostgreSQL is copied by pg_dump --format=custom and put back by pg_restore; keep the server's key beside the copy",
        ));
    }
    config::database_file(place)
}

/// `drover backup`.
pub(super) fn backup(place: &Place, to: &Path) -> Result<(), Failure> {
    let database = file_of(place)?;
    if !database.exists() {
        return Err(Failure::config(format!("there is no database {}", database.display())));
    }
    let key = key_of(to);
    for made in [to, &key] {
        if made.exists() {
            return Err(Failure::config(format!(
                "{} exists already: a backup overwrites nothing",
                made.display()
            )));
        }
    }
    let unwritable = |e: io::Error| Failure::cannot_write(to, &e);
    // SQLite writes into an empty file, and leaves its mode.
    new_private(to).map_err(unwritable)?;
    Store::backup(&database, to).map_err(|e| {
        let _ = std::fs::remove_file(to);
        cannot_open(e)
    })?;
    let own = folder_of(&database).join(keyfile::NAME);
    if own.exists() {
        copy(&own, &key).map_err(unwritable)?;
        say(&format!("{} and {} written", to.display(), key.display()));
    } else {
        say(&format!("{} written", to.display()));
        say(&format!(
            "the server's key is not in it: keep what {} holds, for without it the secrets in the copy cannot be read",
            keyfile::VARIABLE
        ));
    }
    Ok(())
}

/// `drover restore`: checks a copy and its key, and puts both where a server finds them.
pub(super) async fn restore(place: &Place, from: &Path) -> Result<(), Failure> {
    let database = file_of(place)?;
    let _lock = lock(&Kept::in_file(&database))?;
    if !from.exists() {
        return Err(Failure::config(format!("there is no copy {}", from.display())));
    }
    let folder = folder_of(&database);
    let (key, own) = (key_of(from), folder.join(keyfile::NAME));
    let mut in_the_way = vec![database.clone()];
    in_the_way.extend(key.exists().then(|| own.clone()));
    if let Some(there) = in_the_way.iter().find(|path| path.exists()) {
        return Err(Failure::config(format!(
            "{} is there: move it away first, a restore overwrites nothing",
            there.display()
        )));
    }
    let unwritable = |e: io::Error| Failure::not_writable(folder, &e);
    let stage = folder.join("restoring");
    let _ = std::fs::remove_dir_all(&stage);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&stage)
        .map_err(unwritable)?;
    let staged = (stage.join("drover.db"), stage.join(keyfile::NAME));
    copy(from, &staged.0).map_err(unwritable)?;
    if key.exists() {
        copy(&key, &staged.1).map_err(unwritable)?;
    } else if own.exists() {
        copy(&own, &staged.1).map_err(unwritable)?;
    }
    // As a server that starts: it can be read, this version knows its form, and the key is the one it was written with.
    let checked = check(&staged.0).await;
    if checked.is_ok() {
        if key.exists() {
            std::fs::rename(&staged.1, &own).map_err(unwritable)?;
        }
        std::fs::rename(&staged.0, &database).map_err(unwritable)?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(unwritable)?;
    }
    let _ = std::fs::remove_dir_all(&stage);
    checked?;
    say(&format!("{} restored from {}", database.display(), from.display()));
    Ok(())
}

async fn check(staged: &Path) -> Result<(), Failure> {
    Store::check(staged).map_err(cannot_open)?;
    let registry = Arc::new(schemas::load(None)?);
    let engine = prepared(
        registry,
        &Kept::in_file(staged),
        Arc::new(SystemClock),
        EngineConfig::default(),
        None,
    )
    .await?
    .engine;
    let closed = tokio::task::spawn_blocking(move || engine.close()).await;
    closed.map_err(|e| broken("closing the copy", crate::model::Error::internal("waiting", e)))
}
