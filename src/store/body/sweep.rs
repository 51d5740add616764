//! Keeping the database bounded.

use diesel::prelude::*;

use super::resource::rows as resource;
use super::{SweepLimits, Swept, Tx, failed};
use crate::model::Result;
use crate::store::tables::{change_event, credential, process_instance};

impl Tx {
    pub fn sweep(&mut self, limits: &SweepLimits) -> Result<Swept> {
        let failed = failed("sweeping");
        let now = self.now();
        let full = |n: usize| i64::try_from(n).unwrap_or(i64::MAX) >= limits.chunk;
        let processes: Vec<i64> = process_instance::table
            .filter(process_instance::ended_ms.lt(limits.processes_before.0))
            .limit(limits.chunk)
            .select(process_instance::id)
            .load(self.line.conn())
            .map_err(failed)?;
        diesel::delete(process_instance::table.filter(process_instance::id.eq_any(&processes)))
            .execute(self.line.conn())
            .map_err(failed)?;
        let newest: Option<i64> = change_event::table
            .select(diesel::dsl::max(change_event::id))
            .first(self.line.conn())
            .map_err(failed)?;
        // The oldest alone are looked at: where they may stay, so may all that came after them.
        let oldest: Vec<(i64, i64)> = change_event::table
            .order(change_event::id)
            .limit(limits.chunk)
            .select((change_event::id, change_event::created_ms))
            .load(self.line.conn())
            .map_err(failed)?;
        let last = newest.unwrap_or(0).saturating_sub(limits.events_kept);
        let is_old = |(id, created): &(i64, i64)| *created < limits.events_before.0 || *id <= last;
        let events: Vec<i64> = oldest.iter().filter(|event| is_old(event)).map(|(id, _)| *id).collect();
        diesel::delete(change_event::table.filter(change_event::id.eq_any(&events)))
            .execute(self.line.conn())
            .map_err(failed)?;
        let mut rows: Vec<i64> = resource::all()
            .filter(resource::purge_after_ms.le(now.0))
            .limit(limits.chunk)
            .select(resource::id)
            .load(self.line.conn())
            .map_err(failed)?;
        let logs: Vec<(i64, i64)> = resource::all()
            .filter(resource::root.eq("serviceLog"))
            .filter(resource::removed_ms.is_null())
            .order(resource::id)
            .limit(limits.chunk)
            .select((resource::id, resource::created_ms))
            .load(self.line.conn())
            .map_err(failed)?;
        let is_old = |(_, created): &&(i64, i64)| *created < limits.logs_before.0;
        rows.extend(logs.iter().filter(is_old).map(|(id, _)| *id));
        diesel::delete(credential::table.filter(credential::resource_id.eq_any(&rows)))
            .execute(self.line.conn())
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
