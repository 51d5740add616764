//! Labels by which a container gets configs as files: `io.drover.config.PATH: "NAME uid=1 gid=1 mode=0440"`.

use std::collections::BTreeMap;

use super::bad;
use crate::model::secret_reference::{FileAccess, SecretReference, place_of};
use crate::model::{Error, Result};

/// What the labels begin with; the path in the container follows.
pub const CONFIG: &str = "io.drover.config.";
/// The most configs of a container.
const MOST: usize = 100;

/// A config that is a file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// The config's name.
    pub config: String,
    /// Where it is: below the folder of secrets, or anywhere where it begins with a slash.
    pub place: String,
    /// Who owns it, and who may do what with it.
    pub access: FileAccess,
}

/// Whether labels ask for any.
pub fn wants_configs(labels: &BTreeMap<String, String>) -> bool {
    labels.keys().any(|key| key.starts_with(CONFIG))
}

/// The configs that labels ask for, by their paths.
///
/// # Errors
/// 422 that names the label if one says nothing that can be done.
pub fn config_files(labels: &BTreeMap<String, String>) -> Result<Vec<ConfigFile>> {
    let asked = labels
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(CONFIG)?, value)));
    let files = asked
        .map(|(path, value)| config_file(path, value))
        .collect::<Result<Vec<_>>>()?;
    match files.get(MOST) {
        None => Ok(files),
        Some(one) => Err(bad(&format!("{CONFIG}{}", one.place), "is one of more than 100")),
    }
}

fn config_file(path: &str, value: &str) -> Result<ConfigFile> {
    let label = format!("{CONFIG}{path}");
    let wrong = |why: &str| bad(&label, why);
    let place = Some(path)
        .filter(|path| path.starts_with('/'))
        .and_then(place_of)
        .ok_or_else(|| wrong("is followed by the path of a file, from the root on"))?;
    let mut words = value.split_whitespace();
    let config = words.next().ok_or_else(|| wrong("names a config"))?.to_owned();
    let mut owned = SecretReference::default();
    for word in words {
        let field = match word.split_once('=') {
            Some(("uid", given)) => (&mut owned.uid, given),
            Some(("gid", given)) => (&mut owned.gid, given),
            Some(("mode", given)) => (&mut owned.mode, given),
            _ => return Err(wrong("is the name of a config, and uid=, gid= and mode= behind it")),
        };
        *field.0 = Some(field.1.to_owned());
    }
    let access = owned.access().map_err(|error: Error| {
        let field = error.field.unwrap_or_default();
        wrong(&format!("has no {field} that a file can have"))
    })?;
    Ok(ConfigFile { config, place, access })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn files(path: &str, value: &str) -> Result<Vec<ConfigFile>> {
        config_files(&BTreeMap::from([(format!("{CONFIG}{path}"), value.to_owned())]))
    }

    #[test]
    fn a_label_says_which_config_is_which_file() {
        let access = |uid, gid, mode| FileAccess { uid, gid, mode };
        for (path, value, place, expected) in [
            ("/etc/site.conf", "site", "/etc/site.conf", access(0, 0, 0o444)),
            ("/e/a b", " site  uid=3 mode=0400 gid=4", "/e/a b", access(3, 4, 0o400)),
            ("/run/secrets/x/y", "site", "x/y", access(0, 0, 0o444)),
        ] {
            let config = "site".to_owned();
            let place = place.to_owned();
            assert_eq!(
                files(path, value).unwrap(),
                [ConfigFile {
                    config,
                    place,
                    access: expected
                }]
            );
        }
        assert!(config_files(&BTreeMap::new()).unwrap().is_empty());
    }

    #[test]
    fn what_no_file_can_be_is_refused_with_its_label() {
        for (path, value) in [
            ("etc/x", "site"),
            ("/", "site"),
            ("/etc/../x", "site"),
            ("/etc/", "site"),
            ("/run/secrets", "site"),
            ("/x", " "),
            ("/x", "site owner=1"),
            ("/x", "site uid=root"),
            ("/x", "site mode=9"),
        ] {
            let said = files(path, value).unwrap_err().external.unwrap_or_default();
            assert!(said.contains(&format!("{CONFIG}{path}:")), "{path} {value}: {said}");
        }
        let many = |count: usize| {
            (0..count)
                .map(|n| (format!("{CONFIG}/{n}"), "site".to_owned()))
                .collect()
        };
        assert!(config_files(&many(MOST)).is_ok() && config_files(&many(MOST + 1)).is_err());
    }
}
