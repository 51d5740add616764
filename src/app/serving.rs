//! Serving: from what the flags say to a server that answers, and the same way back at the end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, web};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::kept::Kept;
use super::listening::{self, AllOpen, Reach};
use super::{broken, database, dialects, engines, lock, logging, prepared, say, schemas, several, tunnels};
use crate::api::{ApiOptions, ApiState, SocketLimits, UiFolder};
use crate::cli::{Serve, Switch};
use crate::config::{self, BootstrapKey};
use crate::engine::{Engine, EngineConfig, Simulators};
use crate::failure::{Failure, Status};
use crate::members::{Entrance, Turn};
use crate::model::time::SystemClock;
use crate::model::{ErrorKind, Lease};
use crate::runtime::sim::Sim;
use crate::schema::Registry;
use crate::store::{Database, SchemaState};
use crate::tunnel::Hub;

/// A connection on which nobody asks anything ends after this. Clients keep theirs for a while, and take one that is closed
/// as they write for a failure.
const IDLE: std::time::Duration = std::time::Duration::from_secs(120);

/// Threads that answer requests, where the database is a server: each waits for it meanwhile, and not for a core. With a file it is
/// one for each core.
const WAITING_WORKERS: usize = 8;

/// Threads of each worker for lists: with a file about as many as find a reader. More would only wait for one, each with memory of
/// its own. Where the database is a server there are more than readers, and they take turns.
const BLOCKING_THREADS: usize = 4;
/// How long open requests may take when the server stops, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;

/// What a start needs, read and checked.
pub(super) struct Start<'s> {
    pub(super) serve: &'s Serve,
    pub(super) kept: Kept,
    pub(super) keys: Vec<BootstrapKey>,
    pub(super) config: EngineConfig,
    pub(super) ui: Option<UiFolder>,
    pub(super) registry: Arc<Registry>,
    pub(super) reach: Reach,
}

pub(super) async fn serve_until_told(serve: &Serve) -> Result<(), Failure> {
    config::log_filter(serve)?;
    logging::start(serve);
    let kept = Kept::at(&serve.place)?;
    let doors = listening::asked_for(serve, Some(&listening::folder_of(&kept.beside)))?;
    let keys = config::bootstrap_keys(serve)?;
    let config = configured_engine(serve, doors.too_open(serve).is_none());
    check_pool(&config)?;
    let open_ui =
        |dir: &Path| UiFolder::open(dir).map_err(|e| Failure::config(format!("--ui-dir {}: {e}", dir.display())));
    let ui = config::ui_dir(serve).map(open_ui).transpose()?;
    let registry = schemas::to_start(serve.schemas.as_deref())?;
    let advertised = several::asked_for(serve)?;
    let _lock = lock(&kept)?;
    let start = Start {
        serve,
        kept,
        keys,
        config,
        ui,
        registry,
        reach: doors.reach(serve),
    };
    match advertised {
        None => serve_here(start, || doors.open(), None).await,
        Some(advertised) => several::serve_in_turn(start, advertised, doors).await,
    }
}

/// Opens the database and serves it; as one of several, while it is its turn.
pub(super) async fn serve_here(
    start: Start<'_>,
    open: impl FnOnce() -> Result<AllOpen, Failure>,
    turn: Option<&Turn>,
) -> Result<(), Failure> {
    let Start {
        serve,
        kept,
        keys,
        config,
        ui,
        registry,
        reach,
    } = start;
    let clock = Arc::new(SystemClock);
    let hub = Arc::new(Hub::new(kept.beside.with_extension("agents")));
    let lease = turn.map_or_else(Lease::unlimited, |turn| turn.lease().clone());
    let config = EngineConfig {
        members: turn.map(|turn| turn.members().clone()).unwrap_or_default(),
        ..config
    };
    let config = tunnels::allow(engines::allow(config, &lease), &hub, &lease);
    let opened = prepared(registry, &kept, clock.clone(), config, turn.map(Turn::uuid)).await?;
    let engine = Arc::new(opened.engine);
    control_access(serve, &engine, &keys, reach).await?;
    let open = open()?;
    let mut aside = JoinSet::new();
    let found = engines::attach(serve, &engine, (clock.clone(), &lease), &mut aside).await?;
    match turn {
        None => greet(&open, &kept.database, &opened.migrated, &found.words),
        Some(_) => log::info!("this server leads now: {}", found.words.join("; ")),
    }
    let life = engine.start();
    if let Some(docker) = found.awaited {
        aside.spawn(engines::look_out(engine.clone(), docker));
    }
    let entrance = match turn {
        None => Entrance::open(),
        Some(turn) => several::entrance(serve, turn, &engine, clock, &kept)?,
    };
    let state = web::Data::new(ApiState::new(engine.clone(), &api_options(serve, ui, hub)));
    let workers = workers(&kept.database);
    let served = serve_doors(serve, &engine, (&state, workers), open, entrance, &mut aside)?;
    let (watched, is_lost) = (engine.clone(), Arc::new(AtomicBool::new(false)));
    let (found_lost, handle, beside) = (is_lost.clone(), served.server.handle(), served.beside);
    let over = turn.map(Turn::standing);
    let stopping = tokio::spawn(async move {
        tokio::select! {
            () = told_to_stop() => {}
            () = database::lost(&watched) => found_lost.store(true, Ordering::Release),
            () = several::over(over) => found_lost.store(true, Ordering::Release),
        }
        // These would go on for as long as the requests that were taken are waited for.
        state.close_sockets();
        for server in beside {
            server.stop(false).await;
        }
        handle.stop(!found_lost.load(Ordering::Acquire)).await;
    });
    // Ends after the requests it has taken.
    let ended = served.server.await;
    stopping.abort();
    aside.shutdown().await;
    life.stop().await;
    close(engine, &kept.database, is_lost.load(Ordering::Acquire)).await?;
    ended.map_err(|e| Failure::new(Status::Internal, format!("serving: {e}")))
}

/// What serves requests.
struct Served {
    /// At the main address.
    server: Server,
    /// What stops the others.
    beside: Vec<ServerHandle>,
}

/// Has all doors served; those beside the main one among what is done `aside`.
fn serve_doors(
    serve: &Serve,
    engine: &Arc<Engine>,
    (state, workers): (&web::Data<ApiState>, usize),
    open: AllOpen,
    entrance: Entrance,
    aside: &mut JoinSet<()>,
) -> Result<Served, Failure> {
    let entry = dialects::entry(engine, state);
    let docker = dialects::dockers(&entry);
    let beside = dialects::serve_apart(serve, open.docker, &docker, &entrance, aside)?;
    let configured = dialects::beside_rancher(serve, &entry, docker, state.clone());
    let mut server = HttpServer::new(move || App::new().wrap(entrance.clone()).configure(configured.clone()))
        .on_connect(dialects::on_connect(serve))
        .workers(workers)
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
    Ok(Served { server, beside })
}

/// How many threads answer requests.
fn workers(database: &Database) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    match database {
        Database::File(_) => cores,
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => cores.max(WAITING_WORKERS),
    }
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

pub(super) fn check_pool(config: &EngineConfig) -> Result<(), Failure> {
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
pub(super) fn greet(open: &AllOpen, database: &Database, migrated: &SchemaState, containers: &[String]) {
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

/// Does what the flags say about who may ask for what, and refuses to be open where others can reach the server.
async fn control_access(serve: &Serve, engine: &Engine, keys: &[BootstrapKey], reach: Reach) -> Result<(), Failure> {
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
        Some(Switch::Off) => match reach.too_open {
            Some(address) => return Err(config::too_open(address)),
            None => engine
                .require_proof(false)
                .await
                .map_err(|e| broken("turning access control off", e))?,
        },
        None => {}
    }
    let is_on = engine.policy().map_err(|e| broken("reading the settings", e))?.is_on;
    if let Some(address) = reach.too_open.filter(|_| !is_on) {
        return Err(config::too_open(address));
    }
    match reach.outward {
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

/// Simulated engines for agents that ask for one; each remembers what its rows say.
fn simulators() -> Simulators {
    Simulators(Arc::new(|_name, found| {
        let sim = Sim::without_log(Arc::new(SystemClock));
        sim.adopt(found);
        Arc::new(sim)
    }))
}

/// Returns on SIGTERM, SIGINT or SIGQUIT.
pub(super) async fn told_to_stop() {
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
pub(super) fn raise_file_limit() -> Option<u64> {
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
