//! The composition root: configuration → registry → database → engine → HTTP, and the same way back at the end.
//! The only place that constructs concrete runtimes.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{App, HttpServer, web};
use fs4::fs_std::FileExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use self::kept::Kept;
use crate::api::{ApiOptions, ApiState, SocketLimits, UiFolder};
use crate::cli::{self, Cli, Command, InsideCommand, Place, Serve, Switch};
use crate::config::{self, BootstrapKey};
use crate::engine::{Engine, EngineConfig, Opened, Simulators};
use crate::failure::{Failure, Status};
use crate::keyfile;
use crate::model::time::SystemClock;
use crate::model::{Clock, ErrorKind};
use crate::runtime::sim::Sim;
use crate::schema::Registry;
use crate::secret::Keeper;
use crate::store::{Database, MigrateError, OpenError, SchemaState, Store, StoreConfig};
use crate::tunnel::Hub;
use listening::{AllOpen, Doors};

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
mod shown;
mod tunnels;

/// A connection on which nobody asks anything ends after this. Clients keep theirs for a while, and take one that is closed
/// as they write for a failure.
const IDLE: std::time::Duration = std::time::Duration::from_secs(120);

/// Threads of each worker for lists: as many as find a reader. More would only wait for one, each with memory of its own.
const BLOCKING_THREADS: usize = 4;
/// How long open requests may take when the server stops, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;

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
        Command::Serve(serve) => serve_until_told(&serve).await,
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

async fn serve_until_told(serve: &Serve) -> Result<(), Failure> {
    config::log_filter(serve)?;
    logging::start(serve);
    let kept = Kept::at(&serve.place)?;
    let doors = listening::asked_for(serve, Some(&listening::folder_of(&kept.beside)))?;
    let keys = config::bootstrap_keys(serve)?;
    let engine_config = configured_engine(serve, doors.too_open(serve).is_none());
    check_pool(&engine_config)?;
    let open_ui =
        |dir: &Path| UiFolder::open(dir).map_err(|e| Failure::config(format!("--ui-dir {}: {e}", dir.display())));
    let ui = config::ui_dir(serve).map(open_ui).transpose()?;
    let registry = schemas::to_start(serve.schemas.as_deref())?;
    let _lock = lock(&kept)?;
    let clock = Arc::new(SystemClock);
    let hub = Arc::new(Hub::new(kept.beside.with_extension("agents")));
    let opened = open(
        registry,
        &kept,
        clock.clone(),
        tunnels::allow(engines::allow(engine_config), &hub),
    )
    .await?;
    let engine = Arc::new(opened.engine);
    control_access(serve, &engine, &keys, &doors).await?;
    let open = doors.open()?;
    let mut aside = JoinSet::new();
    let found = engines::attach(serve, &engine, clock, &mut aside).await?;
    greet(&open, &kept.database, &opened.migrated, &found.words);
    let life = engine.start();
    if let Some(docker) = found.awaited {
        aside.spawn(engines::look_out(engine.clone(), docker));
    }
    let state = web::Data::new(ApiState::new(engine.clone(), &api_options(serve, ui, hub)));
    let sockets = state.clone();
    let entry = dialects::entry(&engine, &state);
    let docker = dialects::dockers(&entry);
    let beside = dialects::serve_apart(serve, open.docker, &docker, &mut aside)?;
    let configured = dialects::beside_rancher(serve, &entry, docker, state);
    let mut server = HttpServer::new(move || App::new().configure(configured.clone()))
        .on_connect(dialects::on_connect(serve))
        .keep_alive(IDLE)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .disable_signals();
    for open in [Some(open.main), open.secured].into_iter().flatten() {
        let unheard = open.unheard();
        server = match open.tls {
            None => server.listen(open.listener),
            Some(tls) => server.listen_rustls_0_23(open.listener, tls),
        }
        .map_err(unheard)?;
    }
    let server = server.run();
    let handle = server.handle();
    let (watched, is_lost) = (engine.clone(), Arc::new(AtomicBool::new(false)));
    let found_lost = is_lost.clone();
    let stopping = tokio::spawn(async move {
        tokio::select! {
            () = told_to_stop() => {}
            () = database::lost(&watched) => found_lost.store(true, Ordering::Release),
        }
        // These would go on for as long as the requests that were taken are waited for.
        sockets.close_sockets();
        for server in beside {
            server.stop(false).await;
        }
        handle.stop(!found_lost.load(Ordering::Acquire)).await;
    });
    // Ends after the requests it has taken.
    let ended = server.await;
    stopping.abort();
    aside.shutdown().await;
    life.stop().await;
    close(engine, &kept.database, is_lost.load(Ordering::Acquire)).await?;
    ended.map_err(|e| Failure::new(Status::Internal, format!("serving: {e}")))
}

fn configured_engine(serve: &Serve, may_be_open: bool) -> EngineConfig {
    EngineConfig {
        network_pool: serve.network_pool.clone(),
        floating_pool: serve.floating_pool.clone(),
        may_be_open,
        host_address: serve.host_address,
        simulators: Some(simulators()),
        ..EngineConfig::default()
    }
}

fn api_options(serve: &Serve, ui: Option<UiFolder>, hub: Arc<Hub>) -> ApiOptions {
    let sockets = SocketLimits::default();
    ApiOptions {
        allowed_hosts: serve.allowed_hosts.clone(),
        trusted_proxies: serve.trusted_proxies.clone(),
        ui,
        tunnels: Some(hub),
        sockets: raise_file_limit().map_or(sockets, |files| sockets.within(files)),
        ..ApiOptions::default()
    }
}

fn check_pool(config: &EngineConfig) -> Result<(), Failure> {
    config.check().map_err(|e| {
        let flag = match e.field.as_deref() {
            Some("floatingPool") => "--floating-pool",
            _ => "--network-pool",
        };
        Failure::config(format!("{flag}: {}", e.external.unwrap_or_default()))
    })
}

/// The last thing of all: folds the log of the database into its file, if that is still the database's.
async fn close(engine: Arc<Engine>, database: &Database, is_lost: bool) -> Result<(), Failure> {
    if is_lost {
        // Closing it would write into what is there now.
        std::mem::forget(engine);
        return Err(Failure::new(
            Status::Database,
            format!(
                "the database {database} was removed or replaced while the server ran. Containers were left as they are: put the database back and start again."
            ),
        ));
    }
    let closed = tokio::task::spawn_blocking(move || engine.close()).await;
    log::info!("stopped; containers go on running");
    closed.map_err(|e| Failure::new(Status::Internal, format!("closing the database: {e}")))
}

/// Says what was started, and where to begin.
fn greet(open: &AllOpen, database: &Database, migrated: &SchemaState, containers: &[String]) {
    let migrations = match migrated {
        SchemaState::Migrated(n) => format!(" ({n} migration(s) applied)"),
        SchemaState::Current => String::new(),
    };
    let main = open.main.url();
    let mut listening = main.clone();
    for (more, what) in [(&open.secured, ""), (&open.docker, " (Docker's interface)")] {
        if let Some(more) = more {
            listening.push_str(&format!("\n                {}{what}", more.url()));
        }
    }
    say(&format!(
        "drover {}\n  listening on  {listening}\n  database      {database}{migrations}\n  containers    {}\n  start with    {main}/v2-beta",
        crate::VERSION,
        containers.join("\n                "),
    ));
}

fn broken(what: &str, error: crate::model::Error) -> Failure {
    Failure::new(Status::Internal, format!("{what}: {}", error.chain()))
}

/// Opens the database with the key that it was written with, and makes it ready.
async fn open(
    registry: Arc<Registry>,
    kept: &Kept,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
) -> Result<Opened, Failure> {
    let folder = listening::folder_of(&kept.beside);
    let variable = std::env::var(keyfile::VARIABLE).ok();
    let key = keyfile::find(&folder, variable.as_deref())?;
    kept.make_private()?;
    let config = EngineConfig {
        secrets: Arc::new(Keeper::new(&key.bytes)),
        marks: Some(kept.beside.with_extension("marks")),
        ..config
    };
    let opened =
        Engine::open(registry, &StoreConfig::of(kept.database.clone()), clock, config, None).map_err(cannot_open)?;
    if !opened
        .engine
        .key_fits()
        .map_err(|e| broken("checking the server's key", e))?
    {
        return Err(Failure::config(format!(
            "the secrets in {} were written with another key: put the file secret.key that belongs to it beside it, or set {} to what it was.",
            kept.database,
            keyfile::VARIABLE
        )));
    }
    key.keep()?;
    opened
        .engine
        .prepare()
        .await
        .map_err(|e| broken("preparing the database", e))?;
    Ok(opened)
}

/// Does what the flags say about who may ask for what, and refuses to be open where others can reach the server.
async fn control_access(serve: &Serve, engine: &Engine, keys: &[BootstrapKey], doors: &Doors) -> Result<(), Failure> {
    for key in keys {
        let set = engine
            .set_bootstrap_key(&key.account, key.access.clone(), &key.secret)
            .await;
        set.map_err(|e| match e.kind {
            ErrorKind::NotFound => Failure::config(format!("--bootstrap-key: there is no account {:?}", key.account)),
            _ => broken("making a key", e),
        })?;
    }
    let kept: Vec<String> = keys.iter().map(|key| key.access.clone()).collect();
    let ended = engine.end_bootstrap_keys(&kept).await;
    for name in ended.map_err(|e| broken("ending keys", e))? {
        log::warn!("the key {name} is no longer configured, and has ended");
    }
    match serve.access_control {
        Some(Switch::On) => engine
            .require_proof(true)
            .await
            .map_err(|e| broken("turning access control on", e))?,
        Some(Switch::Off) => match doors.too_open(serve) {
            Some(address) => return Err(config::too_open(address)),
            None => engine
                .require_proof(false)
                .await
                .map_err(|e| broken("turning access control off", e))?,
        },
        None => {}
    }
    let is_on = engine.policy().map_err(|e| broken("reading the settings", e))?.is_on;
    if let Some(address) = doors.too_open(serve).filter(|_| !is_on) {
        return Err(config::too_open(address));
    }
    match doors.outward() {
        _ if is_on => {}
        None => log::info!("access control is off: whoever is on this machine controls Docker, which is root"),
        Some(address) => log::warn!("access control is off: whoever reaches {address} controls Docker, which is root"),
    }
    if is_on
        && !engine
            .has_admin_credential()
            .map_err(|e| broken("reading credentials", e))?
    {
        log::warn!(
            "access control is on, and no admin has a key or a password: give one with --bootstrap-key, or see drover reset-admin"
        );
    }
    Ok(())
}

/// A new key for the first admin, printed once.
async fn reset_admin(place: &Place) -> Result<(), Failure> {
    let kept = Kept::at(place)?;
    if !kept.is_there() {
        return Err(Failure::config(format!("there is no database {}", kept.database)));
    }
    let _lock = lock(&kept)?;
    let opened = open(
        Arc::new(schemas::load(None)?),
        &kept,
        Arc::new(SystemClock),
        EngineConfig::default(),
    )
    .await?;
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

/// Simulated engines for agents that ask for one; each remembers what its rows say.
fn simulators() -> Simulators {
    Simulators(Arc::new(|_name, found| {
        let sim = Sim::without_log(Arc::new(SystemClock));
        sim.adopt(found);
        Arc::new(sim)
    }))
}

/// Returns on SIGTERM, SIGINT or SIGQUIT.
async fn told_to_stop() {
    let mut signals: Vec<_> = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()]
        .into_iter()
        .filter_map(|kind| {
            signal(kind)
                .map_err(|e| log::warn!("a signal cannot be caught: {e}"))
                .ok()
        })
        .collect();
    let waiting: Vec<_> = signals.iter_mut().map(|s| Box::pin(s.recv())).collect();
    match waiting.is_empty() {
        false => drop(futures_util::future::select_all(waiting).await),
        true => std::future::pending().await,
    }
}

/// Every subscriber holds a file descriptor open, and what a shell gives is often 1024. Says how many there may be now.
fn raise_file_limit() -> Option<u64> {
    let wanted = rlimit::Resource::NOFILE.get_hard().unwrap_or(u64::MAX);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) => {
            log::debug!("at most {limit} open files");
            Some(limit)
        }
        Err(error) => {
            log::warn!("the limit of open files cannot be raised: {error}");
            rlimit::Resource::NOFILE.get_soft().ok()
        }
    }
}
