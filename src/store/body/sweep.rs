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
        let events: Vec<i64> = change_event::table
            .filter(
                change_event::created_ms
                    .lt(limits.events_before.0)
                    .or(change_event::id.le(newest.unwrap_or(0).saturating_sub(limits.events_kept))),
            )
            .order(change_event::id)
            .limit(limits.chunk)
            .select(change_event::id)
            .load(self.line.conn())
            .map_err(failed)?;
        diesel::delete(change_event::table.filter(change_event::id.eq_any(&events)))
            .execute(self.line.conn())
            .map_err(failed)?;
        let mut rows: Vec<i64> = resource::all()
            .filter(resource::purge_after_ms.le(now.0))
            .limit(limits.chunk)
            .select(resource::id)
            .load(self.line.conn())
            .map_err(failed)?;
        let logs: Vec<i64> = resource::all()
            .filter(resource::root.eq("serviceLog"))
            .filter(resource::removed_ms.is_null())
            .filter(resource::created_ms.lt(limits.logs_before.0))
            .order(resource::id)
            .limit(limits.chunk)
            .select(resource::id)
            .load(self.line.conn())
            .map_err(failed)?;
        rows.extend(logs);
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
