//! Processes: durable intent, one open row per resource and process.

use std::collections::BTreeMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::numbers::Sequence;
use super::one_of::OneOf;
use super::query::{Nature, comparison};
use super::resource::rows as resource;
use super::statement::{Bound, fixed};
use super::{
    NewProcess, Process, ProcessField, ProcessOn, ProcessSpec, Scalar, Store, Tx, Wake, dialect, exit, failed,
};
use crate::model::{Resource, ResourceId, Result, Timestamp};
use crate::store::known::known;
use crate::store::started::{ProcessNote, just_asked};
use crate::store::tables::process_instance;

/// What that is that a condition on a process looks at.
fn nature(field: ProcessField) -> Nature {
    use ProcessField as F;
    match field {
        F::Id
        | F::ResourceId
        | F::AccountId
        | F::Attempts
        | F::StartedMs
        | F::RunAfterMs
        | F::EndedMs
        | F::Priority => Nature::Number,
        F::Process
        | F::ResourceRoot
        | F::ExitReason
        | F::Message
        | F::Phase
        | F::Result
        | F::StartServer
        | F::RunningServer => Nature::Text,
    }
}

/// The expression that a condition on a process looks at.
fn sql_of(field: ProcessField) -> &'static str {
    use ProcessField as F;
    match field {
        F::Id => "process_instance.id",
        F::Process => "process_instance.process",
        F::ResourceId => "process_instance.resource_id",
        F::ResourceRoot => "resource.root",
        F::AccountId => "resource.account_id",
        F::Attempts => "process_instance.attempts + CASE WHEN process_instance.ended_ms IS NULL THEN 0 ELSE 1 END",
        F::StartedMs => "process_instance.started_ms",
        F::RunAfterMs => "process_instance.run_after_ms",
        F::EndedMs => "process_instance.ended_ms",
        F::ExitReason => "nullif(process_instance.exit_reason, '')",
        F::Message => "nullif(process_instance.message, '')",
        F::Phase => "CASE WHEN process_instance.ended_ms IS NULL THEN 'STARTED' ELSE 'DONE' END",
        F::Result => "CASE WHEN process_instance.exit_reason IN ('DONE', 'CHAIN') THEN 'SUCCESS' END",
        F::Priority => "0",
        F::StartServer => "process_instance.claimed_by",
        F::RunningServer => "CASE WHEN process_instance.ended_ms IS NULL THEN process_instance.claimed_by END",
    }
}

/// In the place of an account's number.
const NOBODY: i64 = 0;

fn or_nobody(rows: Vec<(i64, Option<i64>)>) -> Vec<(i64, i64)> {
    rows.into_iter()
        .map(|(id, account)| (id, account.unwrap_or(NOBODY)))
        .collect()
}

impl Store {
    pub fn open_processes(&self) -> Result<Vec<Process>> {
        process_instance::table
            .filter(process_instance::ended_ms.is_null())
            .order(process_instance::id)
            .load(&mut *self.reader()?)
            .map_err(failed("reading open processes"))
    }

    pub fn count_open_processes(&self, now: Timestamp) -> Result<Vec<(String, i64, i64)>> {
        let mut reader = self.reader()?;
        let open = process_instance::table
            .filter(process_instance::ended_ms.is_null())
            .group_by(process_instance::process)
            .select((process_instance::process, count_star()));
        let due: Vec<(String, i64)> = open
            .filter(process_instance::run_after_ms.le(now.0))
            .load(&mut *reader)
            .map_err(failed("counting what may run"))?;
        let later: Vec<(String, i64)> = open
            .filter(process_instance::run_after_ms.gt(now.0))
            .load(&mut *reader)
            .map_err(failed("counting what may not run yet"))?;
        let mut all: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (name, count) in due {
            all.entry(name).or_default().0 = count;
        }
        for (name, count) in later {
            all.entry(name).or_default().1 = count;
        }
        Ok(all.into_iter().map(|(name, (due, later))| (name, due, later)).collect())
    }

    pub fn names_of_open_processes(&self, ids: &[i64]) -> Result<Vec<String>> {
        process_instance::table
            .filter(OneOf::numbers(process_instance::id, ids.iter().copied()))
            .filter(process_instance::ended_ms.is_null())
            .select(process_instance::process)
            .load(&mut *self.reader()?)
            .map_err(failed("reading the names of processes"))
    }

    pub fn find_process(&self, id: i64) -> Result<Option<Process>> {
        process_instance::table
            .find(id)
            .get_result(&mut *self.reader()?)
            .optional()
            .map_err(failed("reading a process"))
    }

    pub fn process_to_run(&self, id: i64) -> Result<Option<Process>> {
        match self.started.take(id) {
            Some(process) => Ok(Some(process)),
            None => self.find_process(id),
        }
    }

    pub fn open_processes_of(&self, resource: ResourceId) -> Result<Vec<Process>> {
        process_instance::table
            .filter(process_instance::resource_id.eq(resource.0))
            .filter(process_instance::ended_ms.is_null())
            .order(process_instance::id)
            .load(&mut *self.reader()?)
            .map_err(failed("reading a resource's processes"))
    }

    pub fn accounts_of_processes(&self, ids: &[i64]) -> Result<Vec<(i64, i64)>> {
        let rows: Vec<(i64, Option<i64>)> = resource::with_processes()
            .filter(OneOf::numbers(process_instance::id, ids.iter().copied()))
            .select((process_instance::id, resource::account_id))
            .load(&mut *self.reader()?)
            .map_err(failed("reading whose processes are"))?;
        Ok(or_nobody(rows))
    }

    pub fn accounts_of_rows(&self, ids: &[ResourceId]) -> Result<Vec<(i64, i64)>> {
        let rows: Vec<(i64, Option<i64>)> = resource::all()
            .filter(OneOf::new(resource::id, ids))
            .select((resource::id, resource::account_id))
            .load(&mut *self.reader()?)
            .map_err(failed("reading whose resources are"))?;
        Ok(or_nobody(rows))
    }

    pub fn list_processes(&self, spec: &ProcessSpec) -> Result<Vec<ProcessOn>> {
        type Row = (Process, String, String, Option<i64>);
        let mut query = resource::with_processes()
            .select((
                process_instance::all_columns,
                resource::root,
                resource::kind,
                resource::account_id,
            ))
            .limit(spec.limit)
            .into_boxed();
        if let Some(account) = spec.account {
            query = query.filter(resource::account_id.eq(account.0));
        }
        for condition in &spec.conditions {
            let expression = sql_of(condition.field);
            let compared = condition.value.as_ref().and_then(|value| {
                let looked_at = (expression.to_owned(), nature(condition.field));
                comparison(looked_at, &condition.modifier, value)
            });
            query = match (condition.modifier.as_str(), compared) {
                ("null", _) => query.filter(sql::<Bool>(&format!("{expression} IS NULL"))),
                ("notnull", _) => query.filter(sql::<Bool>(&format!("{expression} IS NOT NULL"))),
                (_, Some((begin, Scalar::Int(number), tail))) => {
                    query.filter(sql::<Bool>(&begin).bind::<BigInt, _>(number).sql(tail))
                }
                (_, Some((begin, Scalar::Text(text), tail))) => {
                    query.filter(sql::<Bool>(&begin).bind::<Text, _>(text).sql(tail))
                }
                (_, None) => query.filter(sql::<Bool>(dialect::NEVER)),
            };
        }
        query = match (spec.descending, spec.after) {
            (false, None) => query.order(process_instance::id.asc()),
            (false, Some(after)) => query
                .filter(process_instance::id.gt(after))
                .order(process_instance::id.asc()),
            (true, None) => query.order(process_instance::id.desc()),
            (true, Some(after)) => query
                .filter(process_instance::id.lt(after))
                .order(process_instance::id.desc()),
        };
        let rows: Vec<Row> = query.load(&mut *self.reader()?).map_err(failed("listing processes"))?;
        let process_on = |(process, root, kind, account): Row| ProcessOn {
            process,
            root,
            kind,
            account_id: account.map(ResourceId),
        };
        Ok(rows.into_iter().map(process_on).collect())
    }
}

impl Tx {
    pub fn start_process(&mut self, new: &NewProcess<'_>) -> Result<i64> {
        let now = self.now();
        let open: Option<i64> = process_instance::table
            .filter(process_instance::resource_id.eq(new.resource.id.0))
            .filter(process_instance::process.eq(new.process))
            .filter(process_instance::ended_ms.is_null())
            .select(process_instance::id)
            .get_result(self.line.conn())
            .optional()
            .map_err(failed("looking for an open process"))?;
        match open {
            Some(id) => {
                self.count_row();
                self.wake_process(new.resource, id, now);
                Ok(id)
            }
            None => self.start_first_process(new),
        }
    }

    pub fn start_first_process(&mut self, new: &NewProcess<'_>) -> Result<i64> {
        let now = self.now();
        known!(
            Start = "INSERT INTO process_instance (id, resource_id, process, run_after_ms, claimed_by, epoch, data, started_ms, \
                attempts, message, exit_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', '')"
        );
        let failed = failed("asking for a process");
        let id = self.next_number(Sequence::Process).map_err(&failed)?;
        let values = [
            Bound::Int(id),
            Bound::Int(new.resource.id.0),
            Bound::Text(new.process),
            Bound::Int(now.0),
            Bound::Text(&self.server_uuid),
            Bound::Int(self.epoch),
            Bound::Text(new.data),
            Bound::Int(now.0),
        ];
        self.line.put(fixed(Start, values)).map_err(failed)?;
        let asked = just_asked(id, new, now, (&self.server_uuid, self.epoch));
        self.note_process(ProcessNote::Asked(asked));
        self.count_row();
        self.wake_process(new.resource, id, now);
        Ok(id)
    }

    pub fn wake_processes_of(&mut self, resource: &Resource) -> Result<()> {
        let now = self.now();
        for open in self.open_processes_of(resource.id)? {
            self.wake_process(resource, open.id, now);
        }
        Ok(())
    }

    fn wake_process(&mut self, resource: &Resource, id: i64, at: Timestamp) {
        let account = Some(resource.account_id.map_or(NOBODY, |account| account.0));
        self.wake(Wake::Process { id, at, account });
    }

    pub fn is_open(&mut self, id: i64) -> Result<bool> {
        let ended: Option<Option<i64>> = process_instance::table
            .find(id)
            .select(process_instance::ended_ms)
            .get_result(self.line.conn())
            .optional()
            .map_err(failed("reading a process"))?;
        Ok(ended == Some(None))
    }

    pub fn version_under(&mut self, id: i64) -> Result<Option<i64>> {
        known!(
            Version = "SELECT version FROM process_instance JOIN resource_state USING (resource_id) WHERE id = ? AND ended_ms IS NULL"
        );
        fixed(Version, [Bound::Int(id)])
            .get_result(self.line.conn())
            .optional()
            .map_err(failed("reading what a process is done to"))
    }

    pub fn open_processes_of(&mut self, resource: ResourceId) -> Result<Vec<Process>> {
        process_instance::table
            .filter(process_instance::resource_id.eq(resource.0))
            .filter(process_instance::ended_ms.is_null())
            .order(process_instance::id)
            .load(self.line.conn())
            .map_err(failed("reading a resource's processes"))
    }

    pub fn open_process(&mut self, id: i64) -> Result<Option<Process>> {
        process_instance::table
            .find(id)
            .filter(process_instance::ended_ms.is_null())
            .get_result(self.line.conn())
            .optional()
            .map_err(failed("reading a process"))
    }

    pub fn end_process(&mut self, id: i64, reason: &str) -> Result<()> {
        known!(End = "UPDATE process_instance SET ended_ms = ?, exit_reason = ? WHERE id = ?");
        let values = [Bound::Int(self.now().0), Bound::Text(reason), Bound::Int(id)];
        self.line.put(fixed(End, values)).map_err(failed("ending a process"))?;
        self.note_process(ProcessNote::Changed(id));
        Ok(())
    }

    pub fn pre_empt(&mut self, resource: ResourceId) -> Result<()> {
        known!(
            PreEmpt =
                "UPDATE process_instance SET ended_ms = ?, exit_reason = ? WHERE resource_id = ? AND ended_ms IS NULL"
        );
        let values = [
            Bound::Int(self.now().0),
            Bound::Text(exit::STATE_CHANGED),
            Bound::Int(resource.0),
        ];
        self.line
            .put(fixed(PreEmpt, values))
            .map_err(failed("ending processes"))?;
        self.note_process(ProcessNote::EndedOf(resource));
        Ok(())
    }

    pub fn defer_process(&mut self, id: i64, at: Timestamp, attempts: i32, message: &str) -> Result<()> {
        known!(Defer = "UPDATE process_instance SET run_after_ms = ?, attempts = ?, message = ? WHERE id = ?");
        let values = [
            Bound::Int(at.0),
            Bound::Int(attempts.into()),
            Bound::Text(message),
            Bound::Int(id),
        ];
        self.line
            .put(fixed(Defer, values))
            .map_err(failed("deferring a process"))?;
        self.note_process(ProcessNote::Changed(id));
        self.wake(Wake::Process { id, at, account: None });
        Ok(())
    }

    pub fn set_process_data(&mut self, id: i64, data: &str) -> Result<()> {
        diesel::update(process_instance::table.find(id))
            .set(process_instance::data.eq(data))
            .execute(self.line.conn())
            .map_err(failed("writing a process's data"))?;
        self.note_process(ProcessNote::Changed(id));
        Ok(())
    }

    pub fn adopt_processes(&mut self) -> Result<usize> {
        diesel::update(process_instance::table.filter(process_instance::ended_ms.is_null()))
            .set((
                process_instance::claimed_by.eq(&self.server_uuid),
                process_instance::epoch.eq(self.epoch),
            ))
            .execute(self.line.conn())
            .map_err(failed("taking over processes"))
    }
}
