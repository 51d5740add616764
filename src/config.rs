//! Configuration, checked: from flags to values, with a sentence for everything that does not fit.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use crate::cli::{Place, Serve};
use crate::failure::Failure;

/// Where the server listens; not loopback only if that was said.
pub fn listen_address(serve: &Serve) -> Result<SocketAddr, Failure> {
    let bad = || Failure::config(format!("--listen {:?} is not an address with a port, for example 127.0.0.1:8080", serve.listen));
    let address = serve.listen.to_socket_addrs().map_err(|_| bad())?.next().ok_or_else(bad)?;
    if !address.ip().is_loopback() && !serve.open_access {
        return Err(Failure::config(format!(
            "{address} can be reached from other machines, and there is no access control yet: whoever reaches it controls Docker, \
             which is root. Listen on 127.0.0.1, or say --open-access if everybody there may do everything."
        )));
    }
    Ok(address)
}

/// The database file, in a folder that exists and can be written.
pub fn database_file(place: &Place) -> Result<PathBuf, Failure> {
    let file = match place.database.as_deref() {
        Some(url) => sqlite_path(url)?,
        None => data_dir(place)?.join("drover.db"),
    };
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Failure::not_writable(folder, &e))?;
    Ok(file)
}

fn sqlite_path(url: &str) -> Result<PathBuf, Failure> {
    match url.split_once(':') {
        Some(("sqlite", rest)) => Ok(PathBuf::from(rest.trim_start_matches("//"))),
        Some((scheme, rest)) if rest.starts_with("//") => {
            Err(Failure::config(format!("--database: {scheme}: databases are not supported by this build; give the path of a SQLite file")))
        }
        _ => Ok(PathBuf::from(url)),
    }
}

fn data_dir(place: &Place) -> Result<PathBuf, Failure> {
    if let Some(dir) = &place.data_dir {
        return Ok(dir.clone());
    }
    let home = |name: &str, tail: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(|v| PathBuf::from(v).join(tail));
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
        assert!(listen_address(&serve(&["--listen", "127.0.0.1:0"])).is_ok());
        assert!(listen_address(&serve(&["--listen", "[::1]:0"])).is_ok());
        assert!(listen_address(&serve(&["--listen", "0.0.0.0:0"])).is_err_and(|f| f.to_string().contains("--open-access")));
        assert!(listen_address(&serve(&["--listen", "0.0.0.0:0", "--open-access"])).is_ok());
        assert!(listen_address(&serve(&["--listen", "nowhere"])).is_err());
    }

    #[test]
    fn databases_are_paths_or_sqlite_urls() {
        assert_eq!(sqlite_path("sqlite:///tmp/a.db").ok(), Some(PathBuf::from("/tmp/a.db")));
        assert_eq!(sqlite_path("a.db").ok(), Some(PathBuf::from("a.db")));
        assert!(sqlite_path("postgres://h/d").is_err_and(|f| f.to_string().contains("postgres")));
    }
}
