//! Secrets of a launch configuration: which are to be files in the container, and who may read them there.

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// One of `launchConfig.secrets`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretReference {
    /// Wire id of the secret.
    pub secret_id: Option<String>,
    /// The file's name; none is the secret's.
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
/// The longest name of a file that file systems have.
const MAX_NAME: usize = 90;

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
            check_name(name)?;
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

    /// The file's name.
    ///
    /// # Errors
    /// 422 if neither the reference nor the secret has one that a file can have.
    pub fn file_name<'n>(&'n self, of_secret: &'n str) -> Result<&'n str> {
        let name = self
            .name
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(of_secret);
        check_name(name).map(|()| name)
    }
}

/// A name of a file in one folder.
fn check_name(name: &str) -> Result<()> {
    let is_plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= MAX_NAME;
    match is_plain {
        true => Ok(()),
        false => {
            Err(Error::invalid("InvalidFormat", "name").with_message("a secret's name is that of a file in one folder"))
        }
    }
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
        assert_eq!(plain.file_name("key").unwrap(), "key");
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
        assert_eq!(given.file_name("key").unwrap(), "k");
        assert_eq!(
            given.access().unwrap(),
            FileAccess {
                uid: 12,
                gid: 13,
                mode: 0o400
            }
        );
        assert!(plain.file_name("a/b").is_err());
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
