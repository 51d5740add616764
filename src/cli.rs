//! The command line: each flag with its environment variable, and the file that says what flags can say.

mod file;
mod tls;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::VERSION;
pub use file::{ConfigFile, parse, read};
pub use tls::Tls;

/// The Rancher 1.x resource API over Docker, in one binary.
#[derive(Debug, Parser)]
#[command(name = "drover", version = VERSION, about, max_term_width = 100)]
pub struct Cli {
    /// A TOML file that says what the flags of serve can say: listen = "127.0.0.1:8080". Flags and variables are stronger.
    // An empty one is none, which clap's own parser of paths refuses.
    #[arg(long, global = true, env = "DROVER_CONFIG", value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API and run services.
    Serve(Box<Serve>),
    /// Say what would keep the server from working here: engines, permissions, ports, networks, disk, clock, key. Takes what serve takes.
    Doctor(Box<Serve>),
    /// Look at a file of --config.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Check or print the schemas.
    Schema {
        /// What to do with them.
        #[command(subcommand)]
        command: SchemaCommand,
    },
    /// Bring the database up to date and stop.
    Migrate(Place),
    /// Write all that is in one database to another, empty one, and compare both: from SQLite to PostgreSQL, or back.
    MigrateDatabase {
        /// The database to be read, as --database names it. No server may use it meanwhile.
        #[arg(value_name = "FROM")]
        from: String,
        /// The one to be written to.
        #[arg(value_name = "TO")]
        to: String,
    },
    /// Write a consistent copy of the database to a new file; the server may go on serving.
    Backup {
        /// Which database.
        #[command(flatten)]
        place: Place,
        /// The file to write; must not exist.
        file: PathBuf,
    },
    /// Check a copy that `backup` wrote, and its key, and put both where the server finds them; the server must be stopped.
    Restore {
        /// Where the database is to be.
        #[command(flatten)]
        place: Place,
        /// The copy.
        file: PathBuf,
    },
    /// Make a new key for the first admin and print it once, for when all others are lost; the server must be stopped.
    ResetAdmin(Place),
    /// Join the Docker Engine of this machine to a server that cannot reach it: dials the server, and keeps a tunnel open.
    Agent(Box<Agent>),
    /// Print what a shell needs to complete what is typed.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write a manual page for the program and each of its commands.
    Man {
        /// The folder to write them to.
        folder: PathBuf,
    },
    /// Answer names and metadata to the containers of a project, from a container among them; the server runs it by itself.
    #[command(hide = true, args_conflicts_with_subcommands = true)]
    Netd(Box<Netd>),
    /// Keep the HAProxy of a balancer as it is to be, from inside of its container; the server runs it by itself.
    #[command(hide = true)]
    Balancer {
        /// What to do.
        #[command(subcommand)]
        command: BalancerCommand,
    },
}

/// What runs in containers.
#[derive(Debug, Parser)]
#[command(name = "drover-netd", version = VERSION)]
struct Inside {
    /// What to do.
    #[command(subcommand)]
    command: InsideCommand,
}

/// What the arguments of `drover-netd` say. What clap refuses, it says itself, and ends the program.
pub fn inside() -> InsideCommand {
    Inside::parse().command
}

/// What is done in containers.
#[derive(Debug, Subcommand)]
pub enum InsideCommand {
    /// Answer names and metadata to the containers of a project, from a container among them.
    #[command(args_conflicts_with_subcommands = true)]
    Netd(Box<Netd>),
    /// Keep the HAProxy of a balancer as it is to be, from inside of its container.
    Balancer {
        /// What to do.
        #[command(subcommand)]
        command: BalancerCommand,
    },
}

/// What to do with a file of `--config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what does not fit; exit status 0 if everything does.
    Check {
        /// The file. [default: that of --config]
        file: Option<PathBuf>,
    },
}

/// What `balancer` does.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum BalancerCommand {
    /// Take lines from the standard input, have HAProxy go by them, and answer on the standard output.
    Feed,
}

/// What `agent` is told.
#[derive(Debug, Clone, Args)]
pub struct Agent {
    /// The registrationUrl of a registration token; needed until the agent has joined.
    #[arg(value_name = "URL")]
    pub registration: Option<String>,
    /// The same.
    #[arg(
        long,
        env = "DROVER_REGISTRATION_URL",
        hide_env_values = true,
        value_name = "URL",
        conflicts_with = "registration"
    )]
    pub url: Option<String>,
    /// The engine: the one socket that the server is led to.
    #[arg(
        long,
        env = "DOCKER_HOST",
        default_value = "unix:///var/run/docker.sock",
        value_name = "SOCKET"
    )]
    pub docker: String,
    /// The folder for the agent's key.
    #[arg(
        long,
        env = "DROVER_AGENT_STATE_DIR",
        default_value = "/var/lib/rancher/drover-agent",
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
    /// The address by which others reach this machine. [default: the one from which it dials]
    #[arg(long = "ip", env = "CATTLE_AGENT_IP", value_name = "IP")]
    pub address: Option<IpAddr>,
    /// What the host is called while it joins. [default: the machine's name]
    #[arg(long, env = "DROVER_AGENT_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// The file (PEM) with the one authority that is believed about the server. [default: /var/lib/rancher/etc/ssl/ca.crt if it is there, else the system's]
    #[arg(long, env = "DROVER_AGENT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The fingerprint (SHA-1 or SHA-256) of the certificate of the one authority that is believed; where no file has it, the server is asked for it, at /v1/scripts/ca.crt.
    #[arg(long, env = "CA_FINGERPRINT", value_name = "HEX")]
    pub ca_fingerprint: Option<String>,
    /// The same by the SHA-256 of the file that has the certificate.
    #[arg(long, env = "CA_CHECKSUM", value_name = "HEX")]
    pub ca_checksum: Option<String>,
    /// Labels for the host, as KEY=VALUE, joined by &.
    #[arg(long, env = "CATTLE_HOST_LABELS", value_name = "LABELS")]
    pub labels: Option<String>,
}

/// What `netd` is told.
#[derive(Debug, Clone, Args)]
pub struct Netd {
    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<NetdCommand>,
    /// Where the table that is answered from is kept.
    #[arg(long, default_value = "/data/table.json", value_name = "FILE")]
    pub table: PathBuf,
    /// The socket by which the table is changed.
    #[arg(long, default_value = "/data/feed.sock", value_name = "FILE")]
    pub feed: PathBuf,
    /// Where names are asked, over UDP and TCP.
    #[arg(long, default_value = "0.0.0.0:53", value_name = "ADDRESS")]
    pub dns: SocketAddr,
    /// Where metadata is asked.
    #[arg(long, default_value = "0.0.0.0:80", value_name = "ADDRESS")]
    pub http: SocketAddr,
    /// A name server for all other names, with its port if that is not 53; may be repeated.
    #[arg(long = "upstream", default_value = "127.0.0.11", value_parser = parse_upstream, value_name = "ADDRESS")]
    pub upstreams: Vec<SocketAddr>,
    /// The address that is told for `rancher-metadata`. [default: the one at which it was asked]
    #[arg(long, value_name = "IP")]
    pub address: Option<Ipv4Addr>,
}

/// What else `netd` does.
#[derive(Debug, Clone, Subcommand)]
pub enum NetdCommand {
    /// Copy lines from the standard input to the socket, and the answers to the standard output.
    Feed {
        /// The socket.
        #[arg(long, default_value = "/data/feed.sock", value_name = "FILE")]
        feed: PathBuf,
    },
    /// Do nothing until it is told to stop: a volume that is memory is there as long as something that mounts it runs.
    Hold,
}

/// What to do with the schemas.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Say what does not fit; exit status 0 if everything does.
    Check {
        /// A folder laid over the built-in types.
        #[arg(long, env = "DROVER_SCHEMAS", value_name = "DIR")]
        schemas: Option<PathBuf>,
    },
    /// Print the schemas as the API serves them, one JSON object per line.
    Print {
        /// A folder laid over the built-in types.
        #[arg(long, env = "DROVER_SCHEMAS", value_name = "DIR")]
        schemas: Option<PathBuf>,
        /// `v1` or `v2-beta`.
        #[arg(long, default_value = "v2-beta")]
        version: String,
        /// Only this type.
        name: Option<String>,
    },
}

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The folder for the database. [default: drover in the user's data directory]
    #[arg(long, env = "DROVER_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The SQLite file, as a path or sqlite: URL, or a PostgreSQL database, as a postgres:// URL. [default: drover.db in the data directory]
    #[arg(long, env = "DROVER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database: Option<String>,
}

/// What `serve` is told.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where to listen.
    #[arg(
        long,
        env = "DROVER_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: String,
    /// Listen on an address that is not loopback although everybody who reaches it may do everything.
    #[arg(long, env = "DROVER_OPEN_ACCESS", value_parser = parse_switch)]
    pub open_access: bool,
    /// Whether callers have to prove who they are. [default: what was said last]
    #[arg(long, env = "DROVER_ACCESS_CONTROL", value_enum, value_name = "ON_OR_OFF")]
    pub access_control: Option<Switch>,
    /// A key to be there, as ACCOUNT=ACCESS:SECRET (the account is superadmin, admin or a project's id) or @FILE with one on each line; may be repeated.
    #[arg(
        long = "bootstrap-key",
        env = "DROVER_BOOTSTRAP_KEYS",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "KEY"
    )]
    pub bootstrap_keys: Vec<Hidden>,
    /// A host name that requests may name beside the loopback ones; may be repeated.
    #[arg(
        long = "allowed-host",
        env = "DROVER_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub allowed_hosts: Vec<String>,
    /// A proxy's address, whose X-Forwarded-For is believed; may be repeated.
    #[arg(
        long = "trusted-proxy",
        env = "DROVER_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_name = "IP"
    )]
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// Where the database is.
    #[command(flatten)]
    pub place: Place,
    /// The address by which other servers on the same PostgreSQL database reach this one, [http[s]://]HOST[:PORT]; it makes this
    /// one of several, of which one leads. [default port: that of --listen]
    #[arg(long, env = "DROVER_ADVERTISE_ADDRESS", value_name = "ADDRESS")]
    pub advertise_address: Option<String>,
    /// A Docker Engine: unix:// or tcp:// (with TLS from DOCKER_CERT_PATH), or none; repeated with names for several:
    /// [NAME=]URL[,project=PROJECT][,cert-path=DIR][,label.KEY=VALUE]...; all nodes of a swarm by its managers:
    /// swarm=URL[,URL]... [default: the local socket]
    #[arg(long, env = "DOCKER_HOST", value_name = "ENGINE")]
    pub docker: Vec<String>,
    /// The folder of ca.pem, cert.pem and key.pem for a tcp:// engine with TLS.
    #[arg(long, env = "DOCKER_CERT_PATH", value_name = "DIR")]
    pub docker_cert_path: Option<PathBuf>,
    /// The address by which others reach this machine, where containers publish ports. [default: that of the route to the world]
    #[arg(long, env = "DROVER_HOST_ADDRESS", value_name = "IP")]
    pub host_address: Option<std::net::IpAddr>,
    /// Run a simulated host for sim: images, too; on by itself without a Docker Engine.
    #[arg(long, env = "DROVER_SIMULATOR", value_parser = parse_switch)]
    pub simulator: bool,
    /// The IPv4 network that the projects' subnets are taken from.
    #[arg(
        long,
        env = "DROVER_NETWORK_POOL",
        default_value = "10.42.0.0/16",
        value_name = "CIDR"
    )]
    pub network_pool: String,
    /// An IPv4 address, or a network of them (CIDR), that projects can be given to be reached at, by Hyper's interface; may be repeated.
    #[arg(
        long = "floating-pool",
        env = "DROVER_FLOATING_POOL",
        value_delimiter = ',',
        value_name = "ADDRESSES"
    )]
    pub floating_pool: Vec<String>,
    /// A folder with types/ and processes/ laid over the built-in ones.
    #[arg(long, env = "DROVER_SCHEMAS", value_name = "DIR")]
    pub schemas: Option<PathBuf>,
    /// A folder with a single-page application, Rancher's UI for one, to serve at / instead of our own page.
    #[arg(long, env = "DROVER_UI_DIR", value_name = "DIR")]
    pub ui_dir: Option<PathBuf>,
    /// Interfaces of other servers beside Rancher's, each under its name: docker, hyper, medstack, bridgeport, or none.
    #[arg(
        long,
        env = "DROVER_DIALECTS",
        value_enum,
        value_delimiter = ',',
        default_value = "docker,hyper,medstack,bridgeport",
        value_name = "NAMES"
    )]
    pub dialects: Vec<Dialect>,
    /// A Unix socket for Docker's interface alone, for DOCKER_HOST=unix://PATH; its owner and its group may use it.
    #[arg(long, env = "DROVER_DOCKER_API_SOCKET", value_name = "PATH")]
    pub docker_api_socket: Option<PathBuf>,
    /// The group of that socket, by its name or number. [default: the one that the server runs as]
    #[arg(long, env = "DROVER_DOCKER_API_SOCKET_GROUP", value_name = "GROUP")]
    pub docker_api_socket_group: Option<String>,
    /// Where TLS is spoken.
    #[command(flatten)]
    pub tls: Tls,
    /// What to log, as in RUST_LOG.
    #[arg(
        long,
        env = "RUST_LOG",
        default_value = "info,actix_server=warn",
        value_name = "FILTER"
    )]
    pub log: String,
    /// How log lines look.
    #[arg(long, env = "DROVER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// The interface of another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// The Docker Engine's services, at /docker.
    Docker,
    /// BRIDGEPORT's templates of services, at /bridgeport.
    Bridgeport,
    /// Hyper.sh's services and floating addresses, at /hyper and at /v1.23.
    Hyper,
    /// MedStack Control's, at /medstack/v1.
    #[value(name = "medstack")]
    MedStack,
    /// No other than Rancher's.
    None,
}

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A switch that comes from the environment: the words people use, and empty for off.
fn parse_switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("say true or false".to_owned()),
    }
}

/// An address, with a port if that is not the usual one.
fn parse_upstream(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse().ok();
    with_port
        .or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53)))
        .ok_or_else(|| "say an address, with or without a port".to_owned())
}

/// What a shell needs to complete what is typed.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "drover", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes `drover.1` and a page for each command, `drover-serve.1` and so on.
///
/// # Errors
/// The folder cannot be written.
pub fn manual(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_in_the_environment_take_the_usual_words() {
        for (text, expected) in [
            ("1", Ok(true)),
            ("True", Ok(true)),
            ("on", Ok(true)),
            ("", Ok(false)),
            ("0", Ok(false)),
            ("no", Ok(false)),
            ("maybe", Err(())),
        ] {
            assert_eq!(parse_switch(text).map_err(drop), expected, "{text:?}");
        }
    }

    #[test]
    fn a_switch_on_the_command_line_takes_no_value() {
        let Command::Serve(serve) = Cli::parse_from(["drover", "serve", "--simulator", "--docker", "none"]).command
        else {
            unreachable!("serve was asked for")
        };
        assert!(serve.simulator && !serve.open_access);
    }
}
