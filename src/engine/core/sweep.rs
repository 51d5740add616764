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
