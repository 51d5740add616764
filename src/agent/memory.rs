//! What an agent remembers: a text of its own, chosen before anything is asked for, so that one that died on the way is known
//! again; then the server that it is of, and its key. In one file, which only its user can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::session::Login;
use crate::failure::Failure;
use crate::model::id::random_uuid;
use crate::tunnel::Welcome;

const FILE: &str = "agent.json";

/// See the head of this file.
pub struct Memory {
    folder: PathBuf,
    kept: Kept,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    key: String,
    base: Option<String>,
    server: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
}

/// Makes a folder for this user only; one that is there stays as it is.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Memory {
    /// What was kept, or a new beginning.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let file = folder.join(FILE);
        let broken = |why: String| Failure::config(format!("{} cannot be read: {why}", file.display()));
        let kept: Kept = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(broken(error.to_string())),
        };
        let mut memory = Self {
            folder: folder.to_owned(),
            kept,
        };
        if memory.kept.key.is_empty() {
            memory.kept.key = format!("{}{}", random_uuid().simple(), random_uuid().simple());
            memory.save()?;
        }
        Ok(memory)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text by which the server knows an agent that has no key yet.
    pub fn key(&self) -> &str {
        &self.kept.key
    }

    /// Which server it is of, once it is of one.
    pub fn server_uuid(&self) -> Option<&str> {
        self.kept.server.as_deref()
    }

    /// The server to dial: the one that it is of, else the one that was given. It is of one only: its key is shown to no other.
    pub fn server(&self, given: Option<Place>) -> Result<Place, Failure> {
        match (given, &self.kept.base) {
            (Some(given), Some(base)) if given.base != *base => Err(Failure::config(format!(
                "this agent is of the server at {base}: to join the one at {}, remove its host there, stop it, and remove {}",
                given.base,
                self.folder.display()
            ))),
            (Some(given), _) => Ok(given),
            (None, Some(base)) => Ok(Place {
                base: base.clone(),
                token: None,
            }),
            (None, None) => Err(Failure::config(
                "this agent has not joined yet: give it the registrationUrl of a registration token",
            )),
        }
    }

    /// What the agent shows of itself.
    pub fn login(&self, place: &Place) -> Result<Login, Failure> {
        match (&self.kept.access_key, &self.kept.secret_key, &place.token) {
            (Some(access), Some(secret), _) => Ok(Login::Key {
                access: access.clone(),
                secret: secret.clone(),
            }),
            (_, _, Some(token)) => Ok(Login::Token(token.clone())),
            _ => Err(Failure::config("this agent has no key: give it a registrationUrl")),
        }
    }

    /// Keeps the key that the server gave.
    pub fn keep(&mut self, place: &Place, welcome: Welcome) -> Result<(), Failure> {
        self.kept.base = Some(place.base.clone());
        self.kept.server = Some(welcome.server);
        self.kept.access_key = welcome.access_key;
        self.kept.secret_key = welcome.secret_key;
        self.save()
    }

    fn save(&self) -> Result<(), Failure> {
        self.write().map_err(|e| Failure::not_writable(&self.folder, &e))
    }

    /// All of it or nothing, also if the machine dies.
    fn write(&self) -> io::Result<()> {
        let (file, beside) = (self.folder.join(FILE), self.folder.join("agent.new"));
        let _ = std::fs::remove_file(&beside);
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        new.write_all(&serde_json::to_vec(&self.kept)?)?;
        new.sync_all()?;
        std::fs::rename(&beside, &file)?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_agent_is_of_one_server_and_keeps_its_key_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let place = |base: &str| Place {
            base: base.into(),
            token: Some("t".into()),
        };
        let mut memory = Memory::open(folder.path()).unwrap();
        assert!(memory.server(None).is_err());
        let first = memory.server(Some(place("http://one"))).unwrap();
        assert!(matches!(memory.login(&first), Ok(Login::Token(token)) if token == "t"));
        let key = memory.key().to_owned();
        // It may die here: the text is the same afterwards.
        let again = Memory::open(folder.path()).unwrap();
        assert_eq!(again.key(), key);
        let welcome = Welcome {
            server: "uuid".into(),
            access_key: Some("a".into()),
            secret_key: Some("s".into()),
        };
        memory.keep(&first, welcome).unwrap();
        let mode = std::fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let joined = Memory::open(folder.path()).unwrap();
        assert!(matches!(joined.login(&joined.server(None).unwrap()), Ok(Login::Key { access, .. }) if access == "a"));
        assert!(joined.server(Some(place("http://one"))).is_ok());
        assert!(joined.server(Some(place("http://two"))).is_err());
        assert_eq!(joined.server_uuid(), Some("uuid"));
    }
}
