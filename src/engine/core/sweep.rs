//! Deleting what is no longer needed, in portions.

use crate::model::{Result, Timestamp};
use crate::store::SweepLimits;

use super::settings;
use super::state::Core;

/// Rows deleted in one write of a sweep.
const SWEEP_CHUNK: i64 = 200;

pub(crate) async fn sweep_once(core: &Core) -> Result<usize> {
    let now = core.now();
    let before = |name| {
        let keep = i64::from(core.setting_count(name)?).saturating_mul(1_000);
        Ok::<_, crate::model::Error>(Timestamp(now.0.saturating_sub(keep)))
    };
    let limits = SweepLimits {
        processes_before: before(settings::PROCESS_SECONDS)?,
        events_before: before(settings::EVENT_SECONDS)?,
        events_kept: core.setting_count(settings::EVENT_ROWS)?.into(),
        logs_before: before(settings::SERVICE_LOG_SECONDS)?,
        audit_before: before(settings::AUDIT_SECONDS)?,
        audit_up_to: core
            .store
            .last_audit_beyond(core.setting_count(settings::AUDIT_ROWS)?)?,
        chunk: SWEEP_CHUNK,
    };
    let mut rows = 0;
    loop {
        let swept = core.write(move |tx| tx.sweep(&limits)).await?;
        rows += swept.rows;
        if !swept.has_more {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::time::Duration;

    use super::*;
    use crate::engine::core::testkit;
    use crate::model::{Fields, State};

    #[tokio::test]
    async fn logs_and_events_go_by_their_age_however_many_came_after_them() {
        let (_folder, core, clock) = testkit::with_clock();
        let log = || testkit::insert(&core, "serviceLog", State::ACTIVE, Fields::default());
        let logs_live = Duration::from_secs(core.setting_count(settings::SERVICE_LOG_SECONDS).unwrap().into());
        let events_live = Duration::from_secs(core.setting_count(settings::EVENT_SECONDS).unwrap().into());
        let mut old = Vec::new();
        for _ in 0..2 * SWEEP_CHUNK + 1 {
            old.push(log().await.id);
        }
        clock.advance(logs_live + Duration::from_secs(2));
        let young = log().await.id;
        sweep_once(&core).await.unwrap();
        assert_eq!(core.store.ids_of("serviceLog", None).unwrap(), [young]);
        assert_eq!(core.store.many(&old).unwrap(), [], "they are deleted for good");
        let before = core.store.newest_event();
        assert_eq!(core.store.oldest_event().unwrap(), Some(1), "events live longer");
        clock.advance(events_live - logs_live);
        sweep_once(&core).await.unwrap();
        assert_eq!(
            core.store.oldest_event().unwrap(),
            Some(before),
            "that of the young one"
        );
    }
}
