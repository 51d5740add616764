//! Watching over the database's file while the server runs.

#![expect(clippy::disallowed_methods, reason = "watching is waiting")]

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::model::ErrorKind;

/// Between two looks. In between nothing is removed from an engine for want of a row without a look of its own.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Returns when the database is not the one that was opened any more.
pub(super) async fn lost(engine: &Arc<Engine>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looking = engine.clone();
        match tokio::task::spawn_blocking(move || looking.check_database()).await {
            Ok(Err(error)) if error.kind == ErrorKind::Unavailable => return,
            Ok(Err(error)) => log::warn!("looking after the database: {}", error.chain()),
            Ok(Ok(())) | Err(_) => {}
        }
    }
}
