//! Where a database of PostgreSQL is, and connections to it.
//!
//! Connections are driven by one thread of their own; who asks waits for its answer without one of tokio's threads being needed
//! for it, so that a call from any thread comes back.

use std::fmt::Display;
use std::str::FromStr as _;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection as _;
use diesel::result::Error as DbError;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::{AsyncConnectionWrapper, BlockOn};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::opening::Taken;
use crate::store::trouble::Trouble;
use crate::store::{OpenError, PostgresUrl};

/// A connection to the database.
pub(super) type Conn = AsyncConnectionWrapper<AsyncPgConnection, Parked>;
pub(super) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What every connection is told: a statement may take so long, and so long it may wait for what others hold.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '3s'; \
    SET default_transaction_isolation = 'read committed'";
/// What those are told that only read.
const READS_ONLY: &str = "SET default_transaction_read_only = on";
/// Held as long as a server's connection is there. One that was killed is noticed at once, one on a machine that is gone later.
const ALONE: &str =
    "SET lock_timeout = '5s'; SELECT pg_advisory_lock(hashtext('drover server'), hashtext(current_schema()))";
/// The same of each of several that share it.
const TOGETHER: &str =
    "SET lock_timeout = '5s'; SELECT pg_advisory_lock_shared(hashtext('drover server'), hashtext(current_schema()))";
/// Another encoding keeps not every text, or cuts it at other places.
const ENCODING: &str = "DO $$ BEGIN IF current_setting('server_encoding') <> 'UTF8' THEN \
    RAISE EXCEPTION 'its encoding is %, and has to be UTF8', current_setting('server_encoding'); END IF; END $$";
/// The schema that the URL names in `options=-csearch_path=…` is made if it is missing.
const SCHEMA: &str = "DO $$ BEGIN IF current_schema() IS NULL THEN \
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %s', current_setting('search_path')); END IF; END $$";
/// Time for a connection to be made, unless the URL says another.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long without an answer of the other machine a connection is given up.
const SILENCE: Duration = Duration::from_secs(20);

/// Waits for an answer as threads do.
pub(super) struct Parked;

/// Waits for a future as threads do. Who asks may be a task of tokio's, which takes turns after so many steps: here it waits for
/// this very thread, and would wait for ever.
pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    pollster::block_on(tokio::task::unconstrained(future))
}

impl BlockOn for Parked {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        wait_for(future)
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// What drives all connections.
fn driver() -> Result<&'static Runtime, Failed> {
    static DRIVER: OnceLock<Option<Runtime>> = OnceLock::new();
    let make = || {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        threads.worker_threads(1).thread_name("database").enable_all();
        threads.build().ok()
    };
    Ok(DRIVER.get_or_init(make).as_ref().ok_or("there is no thread for it")?)
}

/// Where a database is, and how it is reached.
#[derive(Clone)]
pub(in crate::store) struct Place {
    url: PostgresUrl,
    config: Arc<tokio_postgres::Config>,
    tls: Option<Arc<ClientConfig>>,
    /// The member that uses it, where several servers share it.
    member: Option<Arc<str>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.url)
    }
}

impl Place {
    /// # Errors
    /// It is no such URL, or says something of TLS that is not known.
    pub(in crate::store) fn of(url: &PostgresUrl) -> Result<Self, OpenError> {
        let failed = |source| OpenError::open(url, source);
        let (plain, tls) = part(&url.0).map_err(failed)?;
        let mut config = tokio_postgres::Config::from_str(&plain).map_err(|e| failed(Box::new(e)))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("drover");
        }
        config.tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
        config.ssl_mode(tls.mode());
        Ok(Self {
            url: url.clone(),
            config: Arc::new(config),
            tls: tls.client().map_err(failed)?.map(Arc::new),
            member: None,
        })
    }

    /// The same for one of several servers that share it.
    pub(in crate::store) fn for_member(mut self, uuid: Option<&str>) -> Self {
        self.member = uuid.map(Arc::from);
        self
    }

    /// Which of several servers uses it.
    pub(super) fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// What keeps it from being written, to begin with.
    pub(super) fn trouble(&self) -> Trouble {
        Trouble::elsewhere()
    }

    /// A new connection. Blocks.
    pub(super) fn connect(&self) -> Result<Conn, Failed> {
        let (config, tls) = (self.config.clone(), self.tls.clone());
        let (made, waiting) = mpsc::sync_channel(1);
        driver()?.spawn(async move {
            let connected = match tls {
                None => begin(config.connect(NoTls).await).await,
                Some(tls) => begin(config.connect(MakeRustlsConnect::new((*tls).clone())).await).await,
            };
            // Who has waited for it may be gone.
            let _ = made.send(connected);
        });
        Ok(Conn::from(waiting.recv()??))
    }

    /// The connection of the one server that there is. What it does may take long, until [`limit`].
    pub(super) fn connect_writer(&self) -> Result<Conn, Failed> {
        let mut conn = self.connect()?;
        conn.batch_execute(ENCODING)?;
        conn.batch_execute(SCHEMA)?;
        let held = if self.member.is_some() { TOGETHER } else { ALONE };
        conn.batch_execute(held).map_err(|error| match error {
            DbError::DatabaseError(_, about) if about.message().contains("lock timeout") => Taken.into(),
            other => Failed::from(other),
        })?;
        Ok(conn)
    }

    /// The version of the database's program.
    pub(super) fn version(&self) -> Result<String, Failed> {
        #[derive(QueryableByName)]
        struct Said {
            #[diesel(sql_type = diesel::sql_types::Text)]
            server_version: String,
        }
        let said: Said = diesel::sql_query("SHOW server_version").get_result(&mut self.connect()?)?;
        Ok(said.server_version)
    }

    /// The same for who only reads.
    pub(super) fn connect_reader(&self) -> Result<Conn, Failed> {
        let mut conn = self.connect()?;
        limit(&mut conn)?;
        conn.batch_execute(READS_ONLY)?;
        Ok(conn)
    }
}

async fn begin<S>(
    connected: Result<
        (
            tokio_postgres::Client,
            tokio_postgres::Connection<tokio_postgres::Socket, S>,
        ),
        tokio_postgres::Error,
    >,
) -> Result<AsyncPgConnection, Failed>
where
    S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    let (client, connection) = connected.map_err(said)?;
    Ok(AsyncPgConnection::try_from_client_and_connection(client, connection).await?)
}

/// What is wrong, with its cause: the error alone says little more than that there is one.
fn said(error: tokio_postgres::Error) -> Failed {
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}").into(),
        None => Box::new(error),
    }
}

/// From now on a statement takes no longer than a requester waits.
pub(super) fn limit(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute(SETTINGS)
}

/// Whether a connection is of no use any more.
pub(super) fn is_broken(conn: &mut Conn) -> bool {
    conn.is_broken()
}

/// What a URL says of TLS, in the words of libpq.
#[derive(Debug, PartialEq, Eq)]
enum Tls {
    /// `disable`
    Never,
    /// `prefer` and `require`: whoever answers is believed, as libpq does.
    Anybody(bool),
    /// `verify-full`, with who signed the server's certificate; the system's authorities if no file is named.
    Checked(Option<String>),
}

impl Tls {
    fn mode(&self) -> SslMode {
        match self {
            Self::Never => SslMode::Disable,
            Self::Anybody(false) => SslMode::Prefer,
            Self::Anybody(true) | Self::Checked(_) => SslMode::Require,
        }
    }

    fn client(&self) -> Result<Option<ClientConfig>, Failed> {
        let file = match self {
            Self::Never => return Ok(None),
            Self::Anybody(_) => return Ok(Some(crate::tls::with_anybody()?)),
            Self::Checked(file) => file,
        };
        let mut roots = match file {
            None => crate::tls::authorities(),
            Some(_) => RootCertStore::empty(),
        };
        if let Some(file) = file {
            for root in CertificateDer::pem_file_iter(file).map_err(|e| format!("sslrootcert {file}: {e}"))? {
                roots.add(root.map_err(|e| format!("sslrootcert {file}: {e}"))?)?;
            }
        }
        if roots.is_empty() {
            return Err("sslmode=verify-full, but there is no authority to check by: name one with sslrootcert".into());
        }
        Ok(Some(crate::tls::believing(roots)?))
    }
}

/// Takes what a URL says of TLS out of it, as the driver knows less of it than libpq.
fn part(url: &str) -> Result<(String, Tls), Failed> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for word in query.split('&').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("sslmode", said)) => mode = Some(said),
            Some(("sslrootcert", file)) => {
                let file = percent_encoding::percent_decode_str(file).decode_utf8()?;
                roots = Some(file.into_owned());
            }
            _ => rest.push(word),
        }
    }
    let tls = match (mode, roots) {
        (Some("disable"), None) => Tls::Never,
        (None | Some("prefer"), None) => Tls::Anybody(false),
        (Some("require"), None) => Tls::Anybody(true),
        (Some("verify-full"), roots) => Tls::Checked(roots),
        (Some("disable" | "prefer" | "require") | None, Some(_)) => {
            return Err("sslrootcert is for sslmode=verify-full".into());
        }
        (Some(other), _) => {
            return Err(format!("sslmode={other} is not known: it is disable, prefer, require or verify-full").into());
        }
    };
    let url = match rest.as_slice() {
        [] => place.to_owned(),
        rest => format!("{place}?{}", rest.join("&")),
    };
    Ok((url, tls))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn what_a_url_says_of_tls_is_in_the_words_of_libpq() {
        let of = |query: &str| part(&format!("postgres://u:p@h/d{query}")).map_err(|e| e.to_string());
        let plain = || "postgres://u:p@h/d".to_owned();
        assert_eq!(of(""), Ok((plain(), Tls::Anybody(false))));
        assert_eq!(of("?sslmode=disable"), Ok((plain(), Tls::Never)));
        assert_eq!(of("?sslmode=require"), Ok((plain(), Tls::Anybody(true))));
        assert_eq!(
            of("?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem"),
            Ok((
                "postgres://u:p@h/d?connect_timeout=3".to_owned(),
                Tls::Checked(Some("/etc/ca.pem".to_owned()))
            ))
        );
        for refused in ["?sslmode=verify-ca", "?sslmode=allow", "?sslmode=require&sslrootcert=a"] {
            assert!(of(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for url in [
            "postgres://u:pa55@h/d",
            "postgres://u@h/d?password=pa55",
            "postgres:u:pa55",
            "postgres://u:pa55@[",
        ] {
            let url = PostgresUrl(url.to_owned());
            let shown = format!("{url} {url:?}");
            assert!(!shown.contains("pa55"), "{shown}");
        }
    }
}
