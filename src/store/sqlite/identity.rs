//! Whether the database is still the one that was opened.
//!
//! A file that is removed or replaced under a running server leaves open connections with the old one, and gives new ones
//! the new one; one that is written over is neither. Then nothing that is read can be trusted, least of all that there is
//! no such row.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use diesel::prelude::*;
use diesel::r2d2::Pool;

use super::dialect::{self, Conn, Manager, Place};
use crate::model::{Error, ErrorKind, Result};
use crate::store::tables::server;

/// By what a database is known again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    /// Device and inode.
    file: (u64, u64),
    /// Whether the file itself says which start of which server this is, not only its log.
    is_in_file: bool,
}

fn file_id(file: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(file).map(|found| (found.dev(), found.ino()))
}

impl Identity {
    /// Notes what the database is, once its epoch is written.
    pub(super) fn note(
        place: &Place,
        conn: &mut Conn,
        uuid: &str,
        epoch: i64,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        dialect::fold_log_now(conn)?;
        let file = place.file();
        Ok(Self {
            file: file_id(file)?,
            is_in_file: said_by_file(file).is_ok_and(|said| said == (uuid.to_owned(), epoch)),
        })
    }

    /// Makes sure that the file is there, is the one that was opened, and says what it said then.
    pub(super) fn check(&self, place: &Place, _: &Pool<Manager>, (server_uuid, epoch): (&str, i64)) -> Result<()> {
        let file = place.file();
        let lost = |why: &str| {
            log::error!("the database {} {why}", file.display());
            Err(Error::new(ErrorKind::Unavailable).with_message("the database is gone"))
        };
        match file_id(file) {
            Ok(found) if found == self.file => {}
            Ok(_) => return lost("was replaced by another file"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return lost("is not there any more"),
            Err(error) => return Err(Error::internal("looking at the database file", error)),
        }
        if !self.is_in_file {
            return Ok(());
        }
        match said_by_file(file) {
            Ok(said) if said == (server_uuid.to_owned(), epoch) => Ok(()),
            Ok(_) => lost("was written over with another one"),
            // It may be in the middle of being written.
            Err(error) => {
                log::debug!("reading which database it is: {error}");
                Ok(())
            }
        }
    }
}

/// Which server's database the file is, and at which start, as it says by itself.
fn said_by_file(file: &Path) -> Result<(String, i64), Box<dyn std::error::Error + Send + Sync>> {
    let mut conn = dialect::connect_to_file_alone(file)?;
    Ok(server::table.select((server::uuid, server::epoch)).first(&mut conn)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use diesel::connection::SimpleConnection;

    #[test]
    fn the_file_says_which_database_it_is_whatever_its_name_and_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a?b%41#ü.db");
        let mut conn = dialect::connect(&Place::of(&file), 64).unwrap();
        conn.batch_execute(
            "CREATE TABLE server (uuid TEXT PRIMARY KEY, epoch BIGINT); INSERT INTO server VALUES ('u', 1)",
        )
        .unwrap();
        assert!(Identity::note(&Place::of(&file), &mut conn, "u", 1).unwrap().is_in_file);
        conn.batch_execute("UPDATE server SET epoch = 2").unwrap();
        assert_eq!(
            said_by_file(&file).unwrap(),
            ("u".to_owned(), 1),
            "the rest is in the log"
        );
        assert!(said_by_file(&folder.path().join("absent.db")).is_err());
        assert!(!folder.path().join("absent.db").exists());
    }
}
