//! Secrets of a launch configuration: which are to be files in the container, and who may read them there.

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// One of `launchConfig.secrets`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretReference {
    /// Wire id of the secret.
    pub secret_id: Option<String>,
    /// The file's path, below the folder of secrets or from the root on; none is the secret's name.
    pub name: Option<String>,
    /// The number of the user that owns it; none is 0.
    pub uid: Option<String>,
    /// The number of its group; none is 0.
    pub gid: Option<String>,
    /// Who may do what, in octal; none is 0444.
    pub mode: Option<String>,
}

/// Who owns a secret's file, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileAccess {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// As `chmod` has it.
    pub mode: u32,
}

/// What everybody may: to read.
const READABLE: u32 = 0o444;
const ALL_BITS: u32 = 0o7777;
/// Where secrets are in containers, unless they say otherwise.
pub const FOLDER: &str = "/run/secrets";
/// The longest path below it: it is a part of an archive.
const LONGEST_BELOW: usize = 90;
/// The longest path from the root on.
const LONGEST_PATH: usize = 512;

impl SecretReference {
    /// Checks what a client sent.
    ///
    /// # Errors
    /// 422 with the field's name.
    pub fn check(&self) -> Result<()> {
        if self.secret_id.as_deref().is_none_or(str::is_empty) {
            return Err(Error::invalid("MissingRequired", "secretId"));
        }
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            place_of(name).ok_or_else(no_file)?;
        }
        self.access().map(drop)
    }

    /// Who owns the file, and who may do what with it.
    ///
    /// # Errors
    /// 422 with the field that is no such number.
    pub fn access(&self) -> Result<FileAccess> {
        let owner = |text: &Option<String>, field: &str| match text.as_deref().map(str::trim) {
            None | Some("") => Ok(0),
            Some(text) => text.parse().map_err(|_| Error::invalid("InvalidFormat", field)),
        };
        let mode = match self.mode.as_deref().map(str::trim) {
            None | Some("") => READABLE,
            Some(text) => u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= ALL_BITS)
                .ok_or_else(|| Error::invalid("InvalidFormat", "mode"))?,
        };
        Ok(FileAccess {
            uid: owner(&self.uid, "uid")?,
            gid: owner(&self.gid, "gid")?,
            mode,
        })
    }

    /// The file's place, as [`place_of`] has it.
    ///
    /// # Errors
    /// 422 if neither the reference nor the secret says one that a file can have.
    pub fn place(&self, of_secret: &str) -> Result<String> {
        let place = match self.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => place_of(name),
            None => place_of(of_secret).filter(|place| !place.contains('/')),
        };
        place.ok_or_else(no_file)
    }
}

/// Where a file is that is to be at this path: below the folder of secrets, where the path leads there or does not begin with a
/// slash; else the whole path. None if no file can be there.
pub fn place_of(path: &str) -> Option<String> {
    let below = path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/'));
    let place = below.unwrap_or(path);
    let longest = if place.starts_with('/') {
        LONGEST_PATH
    } else {
        LONGEST_BELOW
    };
    let mut parts = place.strip_prefix('/').unwrap_or(place).split('/');
    let is_plain = place.len() <= longest
        && place != FOLDER
        && parts.all(|part| !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control()));
    // A name that the place of other files begins with is for the runtime.
    (is_plain && !place.starts_with(PLACED)).then(|| place.to_owned())
}

/// Below the folder of secrets, what is for files at other places.
pub const PLACED: &str = ".placed";

fn no_file() -> Error {
    let why = "a secret's name is the path of a file, below /run/secrets or from the root on";
    Error::invalid("InvalidFormat", "name").with_message(why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn reference(json: serde_json::Value) -> SecretReference {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_reference_says_who_may_read_which_file() {
        let plain = reference(serde_json::json!({"secretId": "1se1"}));
        assert!(plain.check().is_ok());
        assert_eq!(plain.place("key").unwrap(), "key");
        assert_eq!(
            plain.access().unwrap(),
            FileAccess {
                uid: 0,
                gid: 0,
                mode: 0o444
            }
        );
        let given = serde_json::json!({"secretId": "1se1", "name": "k", "uid": "12", "gid": "13", "mode": "0400"});
        let given = reference(given);
        assert_eq!(given.place("key").unwrap(), "k");
        assert_eq!(
            given.access().unwrap(),
            FileAccess {
                uid: 12,
                gid: 13,
                mode: 0o400
            }
        );
        assert!(plain.place("a/b").is_err() && plain.place("/b").is_err());
    }

    #[test]
    fn a_file_is_below_the_folder_or_anywhere() {
        for (path, place) in [
            ("a", Some("a")),
            ("a/b", Some("a/b")),
            ("/run/secrets/a/b", Some("a/b")),
            ("/run/secretsx", Some("/run/secretsx")),
            ("/etc/a b.conf", Some("/etc/a b.conf")),
            ("/run/secrets", None),
            ("/run/secrets/", None),
            (".placed/0", None),
            ("/", None),
            ("", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("a\n", None),
        ] {
            assert_eq!(place_of(path).as_deref(), place, "{path}");
        }
        assert_eq!(place_of(&"x".repeat(91)), None);
    }

    #[test]
    fn what_no_file_can_be_is_refused_by_its_field() {
        for (bad, field) in [
            (serde_json::json!({}), "secretId"),
            (serde_json::json!({"secretId": "1se1", "name": "../x"}), "name"),
            (serde_json::json!({"secretId": "1se1", "name": ".."}), "name"),
            (serde_json::json!({"secretId": "1se1", "uid": "root"}), "uid"),
            (serde_json::json!({"secretId": "1se1", "gid": "-1"}), "gid"),
            (serde_json::json!({"secretId": "1se1", "mode": "999"}), "mode"),
            (serde_json::json!({"secretId": "1se1", "mode": "77777"}), "mode"),
        ] {
            let refused = reference(bad.clone()).check().unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(field), "{bad}");
        }
    }
}
