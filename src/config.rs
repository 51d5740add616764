//! Configuration, checked: from flags to values, with a sentence for everything that does not fit.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cli::{Hidden, Place, Serve};
use crate::failure::Failure;

/// Where the server listens.
pub fn listen_address(serve: &Serve) -> Result<SocketAddr, Failure> {
    let bad = || {
        Failure::config(format!(
            "--listen {:?} is not an address with a port, for example 127.0.0.1:8080",
            serve.listen
        ))
    };
    serve
        .listen
        .to_socket_addrs()
        .map_err(|_| bad())?
        .next()
        .ok_or_else(bad)
}

/// Whether everybody who reaches this address may do everything: where only this machine does, or if that was said.
pub fn may_be_open(serve: &Serve, address: SocketAddr) -> bool {
    address.ip().is_loopback() || serve.open_access
}

/// What to say if it may not and is.
pub fn too_open(address: SocketAddr) -> Failure {
    Failure::config(format!(
        "{address} can be reached from other machines, and access control is off: whoever reaches it controls Docker, which is root. \
         Turn it on with --access-control on and a --bootstrap-key, listen on 127.0.0.1, or say --open-access if everybody there may do \
         everything."
    ))
}

/// A key that is to be there.
#[derive(Clone, PartialEq, Eq)]
pub struct BootstrapKey {
    /// `superadmin`, `admin` or a project's id.
    pub account: String,
    /// The public half.
    pub access: String,
    /// The other one.
    pub secret: String,
}

impl std::fmt::Debug for BootstrapKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BootstrapKey({} {})", self.account, self.access)
    }
}

/// The shortest secret of a key: it is not slowed down as passwords are.
const SHORTEST_SECRET: usize = 16;

/// The longest half of a key.
const LONGEST_HALF: usize = 255;

/// The keys that flags, the environment and files say. What does not fit is named by its place, never quoted.
pub fn bootstrap_keys(serve: &Serve) -> Result<Vec<BootstrapKey>, Failure> {
    let mut keys: Vec<BootstrapKey> = Vec::new();
    for (nth, Hidden(text)) in serve
        .bootstrap_keys
        .iter()
        .enumerate()
        .filter(|(_, Hidden(text))| !text.trim().is_empty())
    {
        let place = format!("--bootstrap-key number {}", nth + 1);
        match text.trim().strip_prefix('@') {
            None => keys.push(bootstrap_key(text.trim(), &place)?),
            Some(file) => {
                let text = read_private(file)
                    .map_err(|why| Failure::config(format!("{place}: {file} cannot be read: {why}")))?;
                for (nth, line) in text.lines().enumerate() {
                    if !line.trim().is_empty() && !line.starts_with('#') {
                        keys.push(bootstrap_key(line.trim(), &format!("line {} of {file}", nth + 1))?);
                    }
                }
            }
        }
    }
    Ok(keys)
}

/// The text of a file that not everybody on the machine can read.
pub fn read_private(path: impl AsRef<Path>) -> Result<String, String> {
    let mut file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mode = file.metadata().map_err(|e| e.to_string())?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err("everybody on this machine can read or change it: chmod 600".to_owned());
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

fn bootstrap_key(text: &str, place: &str) -> Result<BootstrapKey, Failure> {
    let parts = text
        .split_once('=')
        .and_then(|(account, key)| Some((account, key.split_once(':')?)));
    let is_half = |half: &str| {
        !half.is_empty() && half.len() <= LONGEST_HALF && !half.contains(|c: char| c.is_control() || c.is_whitespace())
    };
    match parts {
        Some((account, (access, secret))) if !account.is_empty() && is_half(access) && is_half(secret) => {
            if secret.len() < SHORTEST_SECRET {
                return Err(Failure::config(format!(
                    "{place}: the secret has fewer than {SHORTEST_SECRET} characters: choose a long random one"
                )));
            }
            Ok(BootstrapKey {
                account: account.trim().to_owned(),
                access: access.to_owned(),
                secret: secret.to_owned(),
            })
        }
        _ => Err(Failure::config(format!(
            "{place} is no key: write ACCOUNT=ACCESS:SECRET, for example admin=KEY:SECRET"
        ))),
    }
}

/// An engine as `--docker` names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedEngine {
    /// Its host's name, where there are several.
    pub name: Option<String>,
    /// `unix://` or `tcp://`
    pub url: String,
    /// Further managers of the swarm, where it is one.
    pub managers: Vec<String>,
    /// The project that it runs containers for, by id, uuid or name.
    pub project: Option<String>,
    /// The folder of its `ca.pem`, `cert.pem` and `key.pem`.
    pub cert_path: Option<PathBuf>,
    /// Labels for its host.
    pub labels: BTreeMap<String, String>,
}

impl NamedEngine {
    /// The one at this address, with nothing else said of it.
    pub fn at(url: String) -> Self {
        Self { url, ..Self::default() }
    }

    /// Whether it stands for all nodes of the swarm whose managers it names.
    pub fn is_swarm(&self) -> bool {
        self.name.as_deref() == Some(SWARM)
    }
}

/// The name that stands for a swarm, and for no engine.
const SWARM: &str = "swarm";

/// The engines that flags and environment name: `None` if nobody did, no engine at all for the word `none`.
pub fn named_engines(serve: &Serve) -> Result<Option<Vec<NamedEngine>>, Failure> {
    let given = serve.docker.iter().map(|text| text.trim());
    let texts: Vec<_> = given.filter(|text| !text.is_empty()).collect();
    match texts.as_slice() {
        [] => return Ok(None),
        ["none"] => return Ok(Some(Vec::new())),
        _ => {}
    }
    let mut engines: Vec<NamedEngine> = Vec::new();
    for text in texts {
        let engine = named_engine(text, serve.docker_cert_path.as_deref())
            .map_err(|why| Failure::config(format!("--docker {text:?}: {why}")))?;
        let is_same = |other: &&NamedEngine| other.name == engine.name || other.url == engine.url;
        if let Some(other) = engines.iter().find(is_same) {
            return Err(Failure::config(format!(
                "--docker {:?} and {:?}: each of several engines needs a name and an address of its own, NAME=URL",
                other.url, engine.url
            )));
        }
        engines.push(engine);
    }
    Ok(Some(engines))
}

/// `[NAME=]URL[,project=PROJECT][,cert-path=DIR][,label.KEY=VALUE]…`, and where the name is `swarm` more addresses: `swarm=URL[,URL]…`
fn named_engine(text: &str, cert_path: Option<&Path>) -> Result<NamedEngine, String> {
    let mut parts = text.split(',').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let (name, url) = match first.split_once('=') {
        Some((name, url)) if is_name(name) => (Some(name.to_owned()), url),
        Some((name, _)) if !name.contains('/') => {
            return Err(format!("{name:?} is no name: letters, digits, and - _ . after them"));
        }
        _ => (None, first),
    };
    if let Some(rest) = url.strip_prefix("http://") {
        return Err(format!("write tcp://{rest}: engines speak HTTP by themselves"));
    }
    let mut engine = NamedEngine {
        name,
        cert_path: cert_path.map(Path::to_owned),
        ..NamedEngine::at(url.to_owned())
    };
    for part in parts {
        if engine.is_swarm() && part.contains("://") && !part.contains('=') {
            engine.managers.push(part.to_owned());
            continue;
        }
        let label = |key: &str| key.strip_prefix("label.").filter(|l| !l.is_empty()).map(str::to_owned);
        match part.split_once('=') {
            Some(("project", project)) if !project.is_empty() => engine.project = Some(project.to_owned()),
            Some(("cert-path", folder)) if !folder.is_empty() => engine.cert_path = Some(folder.into()),
            Some((key, value)) => {
                let Some(label) = label(key) else {
                    return Err(format!("{key}= is none of project=, cert-path= and label.KEY="));
                };
                engine.labels.insert(label, value.to_owned());
            }
            None => return Err(format!("{part:?} is none of project=, cert-path= and label.KEY=")),
        }
    }
    Ok(engine)
}

/// The labels that an agent has for its host: `KEY=VALUE`, joined by `&`, percent-encoded where they have to be.
pub fn host_labels(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for (key, value) in url::form_urlencoded::parse(text.trim().as_bytes()) {
        if key.is_empty() {
            return Err(Failure::config(format!(
                "--labels {text:?}: a label needs a name, KEY=VALUE"
            )));
        }
        labels.insert(key.into_owned(), value.into_owned());
    }
    Ok(labels)
}

/// The filter of `--log`.
pub fn log_filter(serve: &Serve) -> Result<(), Failure> {
    let parsed = env_filter::Builder::new().try_parse(&serve.log).map(drop);
    parsed.map_err(|e| {
        Failure::config(format!(
            "--log {:?}: {e}; say for example info, or drover=debug,warn",
            serve.log
        ))
    })
}

/// The folder of `--ui-dir`; an empty value is none.
pub fn ui_dir(serve: &Serve) -> Option<&Path> {
    serve.ui_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
}

/// The URL of the database, if it is one of PostgreSQL.
pub fn postgres_url(place: &Place) -> Option<&str> {
    let url = place.database.as_deref()?;
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
        .then_some(url)
}

/// Where the database file is, or is going to be. With a database elsewhere it names what the server keeps here all the same:
/// beside it are the server's key and what else belongs to it.
pub fn database_path(place: &Place) -> Result<PathBuf, Failure> {
    match place.database.as_deref() {
        Some(url) if postgres_url(place).is_none() => sqlite_path(url),
        Some(_) if !cfg!(feature = "postgres") => Err(Failure::config(
            "--database: this build has no PostgreSQL (cargo feature `postgres`); give the path of a SQLite file",
        )),
        _ => Ok(data_dir(place)?.join("drover.db")),
    }
}

/// The database file, in a folder that exists and can be written.
pub fn database_file(place: &Place) -> Result<PathBuf, Failure> {
    let file = database_path(place)?;
    let folder = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // For the owner alone; a folder that is there stays as it is.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| Failure::not_writable(folder, &e))?;
    Ok(file)
}

fn sqlite_path(url: &str) -> Result<PathBuf, Failure> {
    match url.split_once(':') {
        Some(("sqlite", rest)) => Ok(PathBuf::from(rest.trim_start_matches("//"))),
        Some((scheme, rest)) if rest.starts_with("//") => Err(Failure::config(format!(
            "--database: {scheme}: is no database that is known; give the path of a SQLite file, or a postgres:// URL"
        ))),
        _ => Ok(PathBuf::from(url)),
    }
}

fn data_dir(place: &Place) -> Result<PathBuf, Failure> {
    if let Some(dir) = &place.data_dir {
        return Ok(dir.clone());
    }
    let home = |name: &str, tail: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(|v| PathBuf::from(v).join(tail))
    };
    home("XDG_DATA_HOME", "drover")
        .or_else(|| home("HOME", ".local/share/drover"))
        .ok_or_else(|| Failure::config("there is no home directory: say where to keep the database with --data-dir"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn serve(arguments: &[&str]) -> Serve {
        let cli = Cli::parse_from(["drover", "serve"].iter().chain(arguments));
        match cli.command {
            Command::Serve(serve) => *serve,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn engines_are_named_with_what_is_to_be_known_of_them() {
        let named = |arguments: &[&str]| named_engines(&serve(arguments)).map_err(|e| e.to_string());
        assert_eq!(named(&["--docker", "none"]), Ok(Some(Vec::new())));
        let url = "tcp://10.0.0.2:2376";
        let alone = NamedEngine {
            cert_path: Some("/certs".into()),
            ..NamedEngine::at(url.into())
        };
        let flags = ["--docker", url, "--docker-cert-path", "/certs"];
        assert_eq!(named(&flags), Ok(Some(vec![alone])));
        let first = NamedEngine {
            name: Some("a".into()),
            ..NamedEngine::at("unix:///run/a.sock".into())
        };
        let second = NamedEngine {
            name: Some("b-2".into()),
            project: Some("1a7".into()),
            cert_path: Some("/b".into()),
            labels: [("disk".into(), "ssd".into()), ("io.x".into(), "a=b".into())].into(),
            ..NamedEngine::at(url.into())
        };
        let text = format!("b-2={url},project=1a7, cert-path=/b,label.disk=ssd,label.io.x=a=b");
        let flags = ["--docker", "a=unix:///run/a.sock", "--docker", &text];
        assert_eq!(named(&flags), Ok(Some(vec![first, second])));
        for (texts, why) in [
            (&["unix:///a", "unix:///b"][..], "needs a name"),
            (&["a=unix:///a", "b=unix:///a"], "an address of its own"),
            (&["a=unix:///a", "a=unix:///b"], "needs a name"),
            (&["a b=unix:///a"], "is no name"),
            (&["a=unix:///a,projects=1a7"], "none of project="),
            (&["a=unix:///a,label.=x"], "none of project="),
            (&["a=unix:///a,ssd"], "none of project="),
            (&["a=http://10.0.0.2:2375"], "write tcp://10.0.0.2:2375"),
            (&["a=tcp://10.0.0.2:2375,tcp://10.0.0.3:2375"], "none of project="),
            (&["swarm=tcp://10.0.0.2:2375,10.0.0.3:2375"], "none of project="),
        ] {
            let flags: Vec<_> = texts.iter().flat_map(|text| ["--docker", text]).collect();
            let refused = named(&flags);
            assert!(
                refused.as_ref().is_err_and(|words| words.contains(why)),
                "{texts:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_swarm_is_named_by_its_managers() {
        let given = serve(&[
            "--docker",
            "swarm=tcp://10.0.0.1:2376,tcp://10.0.0.2:2376,project=1a7,cert-path=/c",
        ]);
        let named = named_engines(&given).ok().flatten().unwrap_or_default();
        let [swarm] = named.as_slice() else { panic!("{named:?}") };
        assert!(swarm.is_swarm());
        assert_eq!(
            (swarm.url.as_str(), swarm.managers.as_slice()),
            ("tcp://10.0.0.1:2376", &["tcp://10.0.0.2:2376".to_owned()][..])
        );
        assert_eq!(
            (swarm.project.as_deref(), swarm.cert_path.as_deref()),
            (Some("1a7"), Some(Path::new("/c")))
        );
    }

    #[test]
    fn labels_of_a_host_are_read_as_those_of_an_address() {
        let labels = |text: &str| host_labels(text).ok().map(|all| all.into_iter().collect::<Vec<_>>());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(labels(""), Some(Vec::new()));
        assert_eq!(
            labels("disk=ssd&io.x=a%26b&empty"),
            Some(vec![pair("disk", "ssd"), pair("empty", ""), pair("io.x", "a&b")])
        );
        assert_eq!(labels("=x"), None);
    }

    #[test]
    fn other_machines_are_let_in_only_when_told() {
        let open = |arguments: &[&str]| {
            let serve = serve(arguments);
            listen_address(&serve).map(|address| may_be_open(&serve, address)).ok()
        };
        assert_eq!(open(&["--listen", "127.0.0.1:0"]), Some(true));
        assert_eq!(open(&["--listen", "[::1]:0"]), Some(true));
        assert_eq!(open(&["--listen", "0.0.0.0:0"]), Some(false));
        assert_eq!(open(&["--listen", "0.0.0.0:0", "--open-access"]), Some(true));
        assert_eq!(open(&["--listen", "nowhere"]), None);
    }

    #[test]
    fn keys_come_from_flags_and_files_and_are_never_quoted() {
        let key = |account: &str, access: &str, secret: &str| BootstrapKey {
            account: account.to_owned(),
            access: access.to_owned(),
            secret: secret.to_owned(),
        };
        let file = std::env::temp_dir().join(format!("drover-keys-{}", std::process::id()));
        let _ = std::fs::write(&file, "# for the machine\n1a5=c:d:e-of-sixteen-letters\n\n");
        let chmod = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
        assert!(chmod(0o640).is_ok());
        let at_file = format!("@{}", file.display());
        let serve_it = serve(&[
            "--bootstrap-key",
            "admin=a:b-of-sixteen-letters",
            "--bootstrap-key",
            &at_file,
        ]);
        assert!(!format!("{serve_it:?}").contains("a:b"));
        assert_eq!(
            bootstrap_keys(&serve_it).ok(),
            Some(vec![
                key("admin", "a", "b-of-sixteen-letters"),
                key("1a5", "c", "d:e-of-sixteen-letters")
            ])
        );
        assert!(chmod(0o604).is_ok());
        let open = bootstrap_keys(&serve_it)
            .err()
            .map(|f| f.to_string())
            .unwrap_or_default();
        assert!(open.contains("chmod 600") && !open.contains("letters"), "{open}");
        let _ = std::fs::remove_file(&file);
        for bad in [
            "topsecret",
            "admin=topsecret",
            "admin=:topsecret",
            "=a:topsecret",
            "admin=a:top secret",
            "admin=topsecret:",
            "admin=a:topsecretof15ch",
        ] {
            let failure = bootstrap_keys(&serve(&["--bootstrap-key", bad]))
                .err()
                .map(|f| f.to_string())
                .unwrap_or_default();
            assert!(failure.contains("number 1") && !failure.contains("top"), "{failure}");
        }
    }

    #[test]
    fn databases_are_paths_or_sqlite_urls() {
        assert_eq!(sqlite_path("sqlite:///tmp/a.db").ok(), Some(PathBuf::from("/tmp/a.db")));
        assert_eq!(sqlite_path("a.db").ok(), Some(PathBuf::from("a.db")));
        assert!(sqlite_path("mysql://h/d").is_err_and(|f| f.to_string().contains("mysql")));
    }
}
