//! Keeping the database bounded.

use diesel::prelude::*;

use super::Tx;
use super::resource::rows as resource;
use super::tables::{change_event, credential, process_instance};
use crate::model::{Error, ResourceId, Result, Timestamp};

/// What may go.
#[derive(Debug, Clone, Copy)]
pub struct SweepLimits {
    /// Ended processes older than this.
    pub processes_before: Timestamp,
    /// Change events older than this.
    pub events_before: Timestamp,
    /// Keep at most so many change events.
    pub events_kept: i64,
    /// Service logs older than this.
    pub logs_before: Timestamp,
    /// Rows of the audit log older than this.
    pub audit_before: Timestamp,
    /// Rows of the audit log up to this one.
    pub audit_up_to: ResourceId,
    /// Rows of each table in one call.
    pub chunk: i64,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows deleted in all.
    pub rows: usize,
    /// Whether a chunk was full: call again.
    pub has_more: bool,
}

impl Tx<'_> {
    /// Deletes a chunk of what is no longer needed.
    pub fn sweep(&mut self, limits: &SweepLimits) -> Result<Swept> {
        let failed = |source| Error::internal("sweeping", source);
        let now = self.now();
        let full = |n: usize| i64::try_from(n).unwrap_or(i64::MAX) >= limits.chunk;
        let processes: Vec<i64> = process_instance::table
            .filter(process_instance::ended_ms.lt(limits.processes_before.0))
            .limit(limits.chunk)
            .select(process_instance::id)
            .load(self.conn)
            .map_err(failed)?;
        diesel::delete(process_instance::table.filter(process_instance::id.eq_any(&processes)))
            .execute(self.conn)
            .map_err(failed)?;
        let newest: Option<i64> = change_event::table
            .select(diesel::dsl::max(change_event::id))
            .first(self.conn)
            .map_err(failed)?;
        // The oldest alone are looked at: where they may stay, so may all that came after them.
        let oldest: Vec<(i64, i64)> = change_event::table
            .order(change_event::id)
            .limit(limits.chunk)
            .select((change_event::id, change_event::created_ms))
            .load(self.conn)
            .map_err(failed)?;
        let last = newest.unwrap_or(0).saturating_sub(limits.events_kept);
        let is_old = |(id, created): &(i64, i64)| *created < limits.events_before.0 || *id <= last;
        let events: Vec<i64> = oldest.iter().filter(|event| is_old(event)).map(|(id, _)| *id).collect();
        diesel::delete(change_event::table.filter(change_event::id.eq_any(&events)))
            .execute(self.conn)
            .map_err(failed)?;
        let mut rows: Vec<i64> = resource::all()
            .filter(resource::purge_after_ms.le(now.0))
            .limit(limits.chunk)
            .select(resource::id)
            .load(self.conn)
            .map_err(failed)?;
        let logs: Vec<(i64, i64)> = resource::all()
            .filter(resource::root.eq("serviceLog"))
            .filter(resource::removed_ms.is_null())
            .order(resource::id)
            .limit(limits.chunk)
            .select((resource::id, resource::created_ms))
            .load(self.conn)
            .map_err(failed)?;
        let is_old = |(_, created): &&(i64, i64)| *created < limits.logs_before.0;
        rows.extend(logs.iter().filter(is_old).map(|(id, _)| *id));
        diesel::delete(credential::table.filter(credential::resource_id.eq_any(&rows)))
            .execute(self.conn)
            .map_err(failed)?;
        self.delete_rows(&rows)?;
        let sessions = self.sweep_sessions(limits.chunk)?;
        let audited = self.sweep_audit(limits.audit_before, limits.audit_up_to, limits.chunk)?;
        Ok(Swept {
            rows: processes.len() + events.len() + rows.len() + sessions + audited,
            has_more: full(processes.len())
                || full(events.len())
                || full(rows.len())
                || full(sessions)
                || full(audited),
        })
    }
}
