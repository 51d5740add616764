//! Migrations, embedded and run at start.

use diesel::migration::MigrationSource;
use diesel_migrations::MigrationHarness as _;

use super::dialect::{Conn, Db, MIGRATIONS};
use super::{MigrateError, SchemaState};

/// Applies what is missing.
pub(in crate::store) fn migrate(conn: &mut Conn) -> Result<SchemaState, MigrateError> {
    check_known(conn)?;
    let ran = conn.run_pending_migrations(MIGRATIONS).map_err(MigrateError::Failed)?;
    Ok(if ran.is_empty() {
        SchemaState::Current
    } else {
        SchemaState::Migrated(ran.len())
    })
}

/// Makes sure that no newer version has been here.
pub(in crate::store) fn check_known(conn: &mut Conn) -> Result<(), MigrateError> {
    let known: Vec<String> = MigrationSource::<Db>::migrations(&MIGRATIONS)
        .map_err(MigrateError::Failed)?
        .iter()
        .map(|m| m.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(MigrateError::Failed)?;
    let unknown = applied.iter().map(ToString::to_string).find(|v| !known.contains(v));
    unknown.map_or(Ok(()), |version| Err(MigrateError::Newer(version)))
}
