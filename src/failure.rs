//! Why the program ends when it was not told to: an exit status of its own, and a sentence about what to do.

use std::fmt;
use std::path::Path;

/// The exit statuses. The numbers are those of `sysexits.h` where one fits; `docs/operating.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A bug, or something that should not be able to happen.
    Internal,
    /// The address cannot be listened on.
    Port,
    /// The data directory cannot be written.
    NotWritable,
    /// The database cannot be opened or read.
    Database,
    /// Another server uses the database.
    InUse,
    /// The database was written by a newer version.
    Newer,
    /// Flags, environment or schemas that do not fit.
    Configuration,
}

impl Status {
    /// All of them, by number.
    pub const ALL: [Self; 7] = [
        Self::Internal,
        Self::Port,
        Self::NotWritable,
        Self::Database,
        Self::InUse,
        Self::Newer,
        Self::Configuration,
    ];

    /// What the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Internal => 70,
            Self::Port => 71,
            Self::NotWritable => 73,
            Self::Database => 74,
            Self::InUse => 75,
            Self::Newer => 76,
            Self::Configuration => 78,
        }
    }
}

/// Why the program ends.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: Status,
    message: String,
}

impl Failure {
    /// A failure in these words.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// Bad configuration.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Status::Configuration, message)
    }

    /// A file that was asked for cannot be written.
    pub fn cannot_write(path: &Path, error: &std::io::Error) -> Self {
        Self::new(Status::NotWritable, format!("cannot write {}: {error}", path.display()))
    }

    /// The data directory cannot be written.
    pub fn not_writable(folder: &Path, error: &std::io::Error) -> Self {
        let message = format!(
            "cannot write to the data directory {}: {error}. Choose another with --data-dir.",
            folder.display()
        );
        Self::new(Status::NotWritable, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl std::error::Error for Failure {}
