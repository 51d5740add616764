//! The composition root: configuration → registry → database → engine → HTTP, and the same way back at the end.
//! The only place that constructs concrete runtimes.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use fs4::fs_std::FileExt;

use self::kept::Kept;
use crate::cli::{self, Cli, Command, InsideCommand, Place};
use crate::engine::{Engine, EngineConfig, Opened};
use crate::failure::{Failure, Status};
use crate::keyfile::{self, ServerKey};
use crate::model::Clock;
use crate::model::time::SystemClock;
use crate::schema::Registry;
use crate::secret::Keeper;
use crate::store::{Database, MigrateError, OpenError, SchemaState, Store, StoreConfig};

mod certificates;
mod database;
mod dialects;
mod doctor;
mod elsewhere;
mod engines;
mod files;
mod kept;
mod listening;
mod logging;
mod moving;
mod schemas;
mod serving;
mod several;
mod shown;
mod tunnels;

fn cannot_open(error: OpenError) -> Failure {
    match error {
        OpenError::Migrate(MigrateError::Newer(version)) => Failure::new(
            Status::Newer,
            format!(
                "the database was written by a newer drover (it has migration {version}): use that version, or restore a backup."
            ),
        ),
        OpenError::InUse { .. } => Failure::new(
            Status::InUse,
            format!("{error}: stop it, or name another with --database."),
        ),
        other => Failure::new(Status::Database, format!("{other}: {}", source_of(&other))),
    }
}

fn source_of(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(source) = next {
        text = source.to_string();
        next = source.source();
    }
    text
}

/// Does what flags, variables and the configuration file say.
pub fn run_as_told() -> Result<(), Failure> {
    run_to_the_end(cli::parse().map_err(Failure::config)?)
}

/// Says what went wrong, and how a program ends by it.
pub fn exit_code(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "drover: {failure}");
            ExitCode::from(failure.status.code())
        }
    }
}

/// Does what the command line says, on as many threads as that takes.
pub fn run_to_the_end(cli: Cli) -> Result<(), Failure> {
    let threads = match &cli.command {
        // It is small: one for each project.
        Command::Netd(_) | Command::Balancer { .. } => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    started(threads)?.block_on(run(cli))
}

/// Does what the command line of `drover-netd` says.
pub fn run_in_container() -> Result<(), Failure> {
    let command = cli::inside();
    // It knows nothing of the rest of the program, so that the linker leaves that out.
    started(tokio::runtime::Builder::new_current_thread())?.block_on(elsewhere::inside(command))
}

fn started(mut threads: tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    threads
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Status::Internal, format!("cannot start: {e}")))
}

/// Does what the command line says.
async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(serve) => serving::serve_until_told(&serve).await,
        Command::Doctor(serve) => doctor::examine(&serve).await,
        Command::Config { command } => doctor::check_file(&command, cli.config.as_deref()),
        Command::Completions { shell } => {
            say(&cli::completions(shell));
            Ok(())
        }
        Command::Man { folder } => cli::manual(&folder).map_err(|e| Failure::cannot_write(&folder, &e)),
        Command::Schema { command } => schemas::run(&command),
        Command::ResetAdmin(place) => reset_admin(&place).await,
        Command::Migrate(place) => {
            let kept = Kept::at(&place)?;
            let _lock = lock(&kept)?;
            kept.make_private()?;
            let state = Store::migrate(&kept.database).map_err(cannot_open)?;
            say(&match state {
                SchemaState::Current => format!("{} is up to date", kept.database),
                SchemaState::Migrated(n) => format!("{}: {n} migration(s) applied", kept.database),
            });
            Ok(())
        }
        Command::MigrateDatabase { from, to } => moving::migrate_database(&from, &to),
        Command::Backup { place, file } => files::backup(&place, &file),
        Command::Restore { place, file } => files::restore(&place, &file).await,
        Command::Netd(flags) => elsewhere::inside(InsideCommand::Netd(flags)).await,
        Command::Balancer { command } => elsewhere::inside(InsideCommand::Balancer { command }).await,
        Command::Agent(flags) => elsewhere::dial(*flags).await,
    }
}

/// A line for whoever started the program; a closed pipe is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One server per database.
fn lock(kept: &Kept) -> Result<std::fs::File, Failure> {
    hold(&kept.beside.with_extension("lock"), || {
        format!(
            "another drover uses {}: stop it, or choose another folder with --data-dir.",
            kept.beside.display()
        )
    })
}

/// Holds a file that one process has at a time: the lock goes with the process, however it ends.
fn hold(path: &Path, taken: impl FnOnce() -> String) -> Result<std::fs::File, Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| Failure::not_writable(folder, &e))?;
    match FileExt::try_lock_exclusive(&file) {
        Ok(true) => Ok(file),
        Ok(false) => Err(Failure::new(Status::InUse, taken())),
        Err(error) => Err(Failure::not_writable(folder, &error)),
    }
}

fn broken(what: &str, error: crate::model::Error) -> Failure {
    Failure::new(Status::Internal, format!("{what}: {}", error.chain()))
}

/// The server's key.
fn key_of(kept: &Kept) -> Result<ServerKey, Failure> {
    let folder = listening::folder_of(&kept.beside);
    let variable = std::env::var(keyfile::VARIABLE).ok();
    keyfile::find(&folder, variable.as_deref())
}

/// That this is not the key of the database.
fn other_key(database: &Database) -> Failure {
    Failure::config(format!(
        "the secrets in {database} were written with another key: put the file secret.key that belongs to it beside it, or set {} to what it was.",
        keyfile::VARIABLE
    ))
}

/// Opens the database with the key that it was written with, and makes it ready.
async fn prepared(
    registry: Arc<Registry>,
    kept: &Kept,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
    member: Option<&str>,
) -> Result<Opened, Failure> {
    let key = key_of(kept)?;
    kept.make_private()?;
    let config = EngineConfig {
        secrets: Arc::new(Keeper::new(&key.bytes)),
        marks: Some(kept.beside.with_extension("marks")),
        ..config
    };
    let store = StoreConfig {
        member: member.map(str::to_owned),
        ..StoreConfig::of(kept.database.clone())
    };
    let opened = Engine::open(registry, &store, clock, config, None).map_err(cannot_open)?;
    if !opened
        .engine
        .key_fits()
        .map_err(|e| broken("checking the server's key", e))?
    {
        return Err(other_key(&kept.database));
    }
    key.keep()?;
    opened
        .engine
        .prepare()
        .await
        .map_err(|e| broken("preparing the database", e))?;
    Ok(opened)
}

/// A new key for the first admin, printed once.
async fn reset_admin(place: &Place) -> Result<(), Failure> {
    let kept = Kept::at(place)?;
    if !kept.is_there() {
        return Err(Failure::config(format!("there is no database {}", kept.database)));
    }
    let _lock = lock(&kept)?;
    let registry = Arc::new(schemas::load(None)?);
    let opened = prepared(registry, &kept, Arc::new(SystemClock), EngineConfig::default(), None).await?;
    let made = opened.engine.rescue_admin().await;
    let engine = opened.engine;
    let closed = tokio::task::spawn_blocking(move || engine.close()).await;
    let (access, secret) = made.map_err(|e| broken("making a key", e))?;
    closed.map_err(|e| Failure::new(Status::Internal, format!("closing the database: {e}")))?;
    say(&format!(
        "a new key of the first admin; it is shown only now:\n  access key  {access}\n  secret key  {secret}"
    ));
    Ok(())
}
