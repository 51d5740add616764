//! Migrations, embedded and run at start.

use diesel::migration::MigrationSource;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::dialect::{Conn, Db};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// How a database stands to this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Up to date.
    Current,
    /// So many migrations were applied.
    Migrated(usize),
}

/// Why migrating failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database has migrations that this binary does not know.
    #[error("the database was written by a newer drover (it has migration {0}); use that version, or restore a backup")]
    Newer(String),
    /// A migration failed.
    #[error("migrating the database failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Applies what is missing.
pub(super) fn migrate(conn: &mut Conn) -> Result<SchemaState, MigrateError> {
    let known: Vec<String> = MigrationSource::<Db>::migrations(&MIGRATIONS)
        .map_err(MigrateError::Failed)?
        .iter()
        .map(|m| m.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(MigrateError::Failed)?;
    if let Some(unknown) = applied.iter().map(ToString::to_string).find(|v| !known.contains(v)) {
        return Err(MigrateError::Newer(unknown));
    }
    let ran = conn.run_pending_migrations(MIGRATIONS).map_err(MigrateError::Failed)?;
    Ok(if ran.is_empty() {
        SchemaState::Current
    } else {
        SchemaState::Migrated(ran.len())
    })
}
