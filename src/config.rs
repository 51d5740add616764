//! Configuration, checked: from flags to values, with a sentence for everything that does not fit.

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
fn read_private(path: &str) -> Result<String, String> {
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

/// The folder of `--ui-dir`; an empty value is none.
pub fn ui_dir(serve: &Serve) -> Option<&Path> {
    serve.ui_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
}

/// The database file, in a folder that exists and can be written.
pub fn database_file(place: &Place) -> Result<PathBuf, Failure> {
    let file = match place.database.as_deref() {
        Some(url) => sqlite_path(url)?,
        None => data_dir(place)?.join("drover.db"),
    };
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
            "--database: {scheme}: databases are not supported by this build; give the path of a SQLite file"
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
        assert!(sqlite_path("postgres://h/d").is_err_and(|f| f.to_string().contains("postgres")));
    }
}
