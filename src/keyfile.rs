//! The server's own key: from the environment, or from a file beside the database that only its owner can read.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::failure::Failure;
use crate::secret::{self, KEY_BYTES};

/// The variable that holds the key in place of the file. No flag: arguments can be read by everybody on the machine.
pub const VARIABLE: &str = "DROVER_SECRET_KEY";
/// The file's name.
pub const NAME: &str = "secret.key";
/// More than this is no key.
const LONGEST: u64 = 1024;

/// A key, and whether it still has to be kept.
pub struct ServerKey {
    /// The key.
    pub bytes: [u8; KEY_BYTES],
    /// The file to write it to, if it is new.
    new_file: Option<PathBuf>,
}

/// The key that `from_environment` says, or the one in the folder of the database, or a new one that is not kept yet.
pub fn find(folder: &Path, from_environment: Option<&str>) -> Result<ServerKey, Failure> {
    if let Some(text) = from_environment.map(str::trim).filter(|t| !t.is_empty()) {
        let bytes = parse(text).ok_or_else(|| {
            Failure::config(format!(
                "{VARIABLE} is no key: give 32 bytes as base64 or hexadecimal digits."
            ))
        })?;
        return Ok(ServerKey { bytes, new_file: None });
    }
    let path = folder.join(NAME);
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::config(format!("the server's key {} cannot be read: {why}", path.display()))
    };
    match File::open(&path) {
        Ok(file) => {
            let mode = file.metadata().map_err(|e| unreadable(&e))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(unreadable(&"others may read it, too; run chmod 600 on it"));
            }
            let mut text = String::new();
            file.take(LONGEST)
                .read_to_string(&mut text)
                .map_err(|e| unreadable(&e))?;
            let bytes = parse(text.trim())
                .ok_or_else(|| unreadable(&"it does not hold 32 bytes as base64 or hexadecimal digits"))?;
            Ok(ServerKey { bytes, new_file: None })
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let bytes = secret::random_bytes().map_err(|e| unreadable(&e))?;
            Ok(ServerKey {
                bytes,
                new_file: Some(path),
            })
        }
        Err(e) => Err(unreadable(&e)),
    }
}

impl ServerKey {
    /// Whether there was none.
    pub fn is_new(&self) -> bool {
        self.new_file.is_some()
    }

    /// Keeps a new key: whole or not at all, and on the disk before anything is sealed with it.
    pub fn keep(&self) -> Result<(), Failure> {
        let Some(path) = &self.new_file else { return Ok(()) };
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let write = || {
            let unfinished = path.with_extension("key.new");
            // What an earlier start left unfinished.
            match std::fs::remove_file(&unfinished) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&unfinished)?;
            writeln!(file, "{}", STANDARD.encode(self.bytes))?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|e: std::io::Error| Failure::not_writable(folder, &e))
    }
}

fn parse(text: &str) -> Option<[u8; KEY_BYTES]> {
    if text.len() == KEY_BYTES * 2 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let mut bytes = [0; KEY_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        return Some(bytes);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = find(dir.path(), None).unwrap();
        assert!(
            !dir.path().join(NAME).exists(),
            "nothing is kept before it is known to be needed"
        );
        made.keep().unwrap();
        let mode = std::fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = find(dir.path(), None).unwrap();
        assert!(again.bytes == made.bytes && again.new_file.is_none());
        std::fs::set_permissions(dir.path().join(NAME), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(find(dir.path(), None).is_err_and(|f| f.to_string().contains("chmod 600")));
    }

    #[test]
    fn keys_are_base64_or_hexadecimal() {
        let dir = tempfile::tempdir().unwrap();
        let from = |text: &str| find(dir.path(), Some(text)).map(|k| k.bytes);
        assert_eq!(from(&"0a".repeat(32)).ok(), Some([10; 32]));
        assert_eq!(from(&STANDARD.encode([10; 32])).ok(), Some([10; 32]));
        for bad in ["short", "zz", &"0a".repeat(31), &STANDARD.encode([1; 33])] {
            let failure = from(bad).unwrap_err().to_string();
            assert!(failure.contains(VARIABLE) && !failure.contains(bad), "{failure}");
        }
    }
}
