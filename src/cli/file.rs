//! The file of `--config`: what flags can say, written down. A flag, and after it its variable, is stronger than the file; the
//! file is stronger than what is there by itself.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::builder::{OsStr, Resettable};
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _};

use super::{Cli, Command};

/// What only its owner, or a group, may read.
const SECRET: &str = "bootstrap-key";

/// A file that was read: the flags that it sets, and to what.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    path: PathBuf,
    entries: Vec<(String, Vec<String>)>,
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ConfigFile({} {:?})",
            self.path.display(),
            self.keys().collect::<Vec<_>>()
        )
    }
}

/// What the arguments of the program, its variables and the file of `--config` say together. What clap refuses, it says itself,
/// and ends the program.
///
/// # Errors
/// A sentence about what does not fit in the file.
pub fn parse() -> Result<Cli, String> {
    let first = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&first).unwrap_or_else(|error| error.exit());
    // One that is to be checked needs no other that holds.
    let path = cli.config.filter(|path| !path.as_os_str().is_empty());
    let Some(path) = path.filter(|_| !matches!(cli.command, Command::Config { .. })) else {
        return Ok(Cli::from_arg_matches(&first).unwrap_or_else(|error| error.exit()));
    };
    let matches = read(&path)?.under(Cli::command()).get_matches();
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// Reads a file, and says what does not fit.
///
/// # Errors
/// The sentence.
pub fn read(path: &Path) -> Result<ConfigFile, String> {
    let of_file = |why: &dyn std::fmt::Display| format!("--config {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| of_file(&e))?;
    // What toml says quotes the line that it stopped at, which may be a secret.
    let table: toml::Table = toml::from_str(&text).map_err(|e| of_file(&without_quotes(&e, &text)))?;
    let mut entries = Vec::new();
    for (key, value) in table {
        let values = values(&value).ok_or_else(|| {
            of_file(&format_args!(
                "{key}: say a text, a number, true or false, or a list of such"
            ))
        })?;
        entries.push((key, values));
    }
    let file = ConfigFile {
        path: path.to_owned(),
        entries,
    };
    let mode = std::fs::metadata(path).map_err(|e| of_file(&e))?.permissions().mode();
    if mode & 0o007 != 0 && file.keys().any(|key| key == SECRET) {
        return Err(of_file(&format_args!(
            "it has {SECRET}, and everybody on this machine can read or change it: chmod 600"
        )));
    }
    file.check().map_err(|why| of_file(&why))?;
    Ok(file)
}

fn without_quotes(error: &toml::de::Error, text: &str) -> String {
    let begin = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(begin).filter(|byte| *byte == b'\n').count();
    format!("line {line}: {}", error.message())
}

fn values(value: &toml::Value) -> Option<Vec<String>> {
    let one = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(is_on) => Some(is_on.to_string()),
        _ => None,
    };
    match value {
        toml::Value::Array(all) => all.iter().map(one).collect(),
        value => Some(vec![one(value)?]),
    }
}

impl ConfigFile {
    /// What it sets, by the names of the flags.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// What `serve` would be told by it and by nothing else but variables.
    ///
    /// # Errors
    /// A sentence about what does not fit.
    pub fn alone(&self) -> Result<Cli, String> {
        let matches = self
            .clone()
            .under(Cli::command())
            .try_get_matches_from(["drover", "serve"]);
        let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
        cli.map_err(|error| in_short(&error))
    }

    /// Each value is one that the flag itself would take. clap trusts defaults, and must be able to.
    fn check(&self) -> Result<(), String> {
        let command = Cli::command();
        let serve = command.find_subcommand("serve");
        for (key, values) in &self.entries {
            let flag = serve.and_then(|serve| serve.get_arguments().find(|arg| arg.get_long() == Some(key.as_str())));
            let flag = flag.ok_or_else(|| format!("{key}: there is no flag --{key} of drover serve"))?;
            if values.len() != 1 && !takes_many(flag) {
                return Err(format!("{key}: say one value, and no list"));
            }
            for value in values {
                fits(flag, key, value)?;
            }
        }
        Ok(())
    }

    /// The program's arguments, with what the file says in place of what is there by itself, in every command that takes it.
    fn under(self, mut command: clap::Command) -> clap::Command {
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in names {
            command = command.mut_subcommand(name, |sub| {
                let flag = |arg: Arg| match self
                    .entries
                    .iter()
                    .find(|(key, _)| arg.get_long() == Some(key.as_str()))
                {
                    Some((_, values)) => {
                        let takes_values = arg.get_action().takes_values();
                        arg.default_values(values.iter().map(|value| OsStr::from(value.clone())))
                            .hide_default_value(takes_values)
                    }
                    None => arg,
                };
                sub.mut_args(flag)
            });
        }
        command
    }
}

fn takes_many(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Append)
}

fn fits(flag: &Arg, key: &str, value: &str) -> Result<(), String> {
    let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
    if is_switch {
        return match value {
            "true" | "false" => Ok(()),
            _ => Err(format!("{key}: say true or false")),
        };
    }
    let alone = clap::Command::new("drover").arg(flag.clone().env(Resettable::<OsStr>::Reset));
    let taken = alone.try_get_matches_from(["drover".to_owned(), format!("--{key}={value}")]);
    taken.map(drop).map_err(|error| match key {
        SECRET => format!("{key}: it does not fit"),
        _ => in_short(&error),
    })
}

/// The first line of what clap says.
fn in_short(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, Result<ConfigFile, String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drover.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let file = read(&path);
        (folder, file)
    }

    fn under(text: &str, arguments: &[&str]) -> Command {
        let file = written(text, 0o600).1.unwrap();
        let all = ["drover"].iter().chain(arguments);
        let matches = file.under(Cli::command()).try_get_matches_from(all).unwrap();
        Cli::from_arg_matches(&matches).unwrap().command
    }

    #[test]
    fn flags_are_stronger_than_the_file_and_the_file_than_defaults() {
        let text = r#"
            listen = "127.0.0.1:9000"
            simulator = true
            log-format = "json"
            network-pool = "10.50.0.0/16"
            docker = ["a=unix:///a.sock", "b=unix:///b.sock,label.disk=ssd"]
            trusted-proxy = ["10.0.0.1", "10.0.0.2"]
            bootstrap-key = "admin=a:b-of-sixteen-letters"
            data-dir = "/srv/drover"
        "#;
        let Command::Serve(serve) = under(text, &["serve", "--network-pool", "10.60.0.0/16"]) else {
            unreachable!("serve was asked for")
        };
        assert_eq!(serve.listen, "127.0.0.1:9000");
        assert!(serve.simulator && !serve.open_access);
        assert_eq!(serve.network_pool, "10.60.0.0/16");
        assert_eq!(serve.docker, ["a=unix:///a.sock", "b=unix:///b.sock,label.disk=ssd"]);
        assert_eq!(serve.trusted_proxies.len(), 2);
        assert_eq!(serve.bootstrap_keys.len(), 1);
        assert_eq!(serve.place.data_dir, Some("/srv/drover".into()));
        // Whoever looks after the database needs to say no more than the server.
        let Command::Migrate(place) = under(text, &["migrate"]) else {
            unreachable!("migrate was asked for")
        };
        assert_eq!(place.data_dir, Some("/srv/drover".into()));
    }

    #[test]
    fn what_does_not_fit_is_said_by_its_key() {
        for (text, mode, why) in [
            ("lisen = \"x\"", 0o600, "lisen: there is no flag --lisen"),
            ("listen = 1.5", 0o600, "listen: say a text"),
            ("listen = [\"a\", \"b\"]", 0o600, "listen: say one value"),
            ("simulator = \"maybe\"", 0o600, "simulator: say true or false"),
            ("log-format = \"xml\"", 0o600, "'xml' for '--log-format"),
            ("host-address = \"nowhere\"", 0o600, "'nowhere' for '--host-address"),
            ("[serve]\nlisten = \"x\"", 0o600, "serve: say a text"),
            ("listen = \"x\"\nbootstrap-key = \"topsecret", 0o600, "line 2: "),
            ("bootstrap-key = \"admin=a:topsecret\"", 0o604, "chmod 600"),
        ] {
            let refused = written(text, mode).1.unwrap_err();
            assert!(
                refused.contains(why) && refused.contains("drover.toml"),
                "{text}: {refused}"
            );
            assert!(!refused.contains("topsecret"), "{refused}");
        }
        assert!(
            written("listen = \"127.0.0.1:1\"", 0o604).1.is_ok(),
            "there is no secret in it"
        );
        assert!(
            read(Path::new("/nowhere/drover.toml"))
                .unwrap_err()
                .contains("/nowhere/drover.toml")
        );
    }
}
