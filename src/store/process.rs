//! Processes: durable intent, one open row per resource and process.

use std::collections::BTreeMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::dialect::OneOf;
use super::numbers::Sequence;
use super::query::comparison;
use super::resource::rows as resource;
use super::started::{ProcessNote, just_asked};
use super::statement::{Bound, fixed, known};
use super::tables::process_instance;
use super::{Scalar, Store, Tx, Wake, dialect};
use crate::model::{Error, Resource, ResourceId, Result, Timestamp};

/// A row of `process_instance`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Process {
    /// The row's number.
    pub id: i64,
    /// What it is done to.
    pub resource_id: i64,
    /// `service.upgrade`
    pub process: String,
    /// How often it failed.
    pub attempts: i32,
    /// Not before.
    pub run_after_ms: i64,
    /// The server that runs it.
    pub claimed_by: String,
    /// That server's start at which it was claimed.
    pub epoch: i64,
    /// The request's own data, JSON.
    pub data: String,
    /// The last thing it said.
    pub message: String,
    /// When it was asked for.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// How it ended: one of [`exit`]; empty while it is open.
    pub exit_reason: String,
}

impl Process {
    /// What it is done to.
    pub fn resource(&self) -> ResourceId {
        ResourceId(self.resource_id)
    }

    /// Not before.
    pub fn run_after(&self) -> Timestamp {
        Timestamp(self.run_after_ms)
    }
}

/// How processes end, in the words of the wire (cattle: `ExitReason`).
pub mod exit {
    /// It did what it was to do.
    pub const DONE: &str = "DONE";
    /// It did, and another process went on from there.
    pub const CHAIN: &str = "CHAIN";
    /// Its row went on without it, or is gone.
    pub const STATE_CHANGED: &str = "STATE_CHANGED";
    /// Its row ended in `error`.
    pub const ERROR: &str = "ERROR";
}

/// A process to be asked for.
#[derive(Debug, Clone)]
pub struct NewProcess<'a> {
    /// On what.
    pub resource: &'a Resource,
    /// `service.upgrade`
    pub process: &'a str,
    /// The request's own data, JSON text; `{}` for none.
    pub data: &'a str,
}

/// What a list of processes is to contain.
#[derive(Debug, Clone, Default)]
pub struct ProcessSpec {
    /// Only those on resources of this account; none is all.
    pub account: Option<ResourceId>,
    /// All must hold.
    pub conditions: Vec<ProcessCondition>,
    /// Newest first.
    pub descending: bool,
    /// Only those behind this one in the order.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// One condition on a process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessCondition {
    /// What is looked at.
    pub field: ProcessField,
    /// One of the wire's modifiers.
    pub modifier: String,
    /// With what it is compared; `null` and `notnull` need none.
    pub value: Option<Scalar>,
}

/// What conditions on processes can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the columns")]
pub enum ProcessField {
    Id,
    Process,
    ResourceId,
    ResourceRoot,
    AccountId,
    Attempts,
    StartedMs,
    RunAfterMs,
    EndedMs,
    ExitReason,
    Message,
    Phase,
    Result,
    Priority,
    StartServer,
    RunningServer,
}

impl ProcessField {
    fn sql(self) -> &'static str {
        match self {
            Self::Id => "process_instance.id",
            Self::Process => "process_instance.process",
            Self::ResourceId => "process_instance.resource_id",
            Self::ResourceRoot => "resource.root",
            Self::AccountId => "resource.account_id",
            Self::Attempts => "process_instance.attempts + (process_instance.ended_ms IS NOT NULL)",
            Self::StartedMs => "process_instance.started_ms",
            Self::RunAfterMs => "process_instance.run_after_ms",
            Self::EndedMs => "process_instance.ended_ms",
            Self::ExitReason => "nullif(process_instance.exit_reason, '')",
            Self::Message => "nullif(process_instance.message, '')",
            Self::Phase => "CASE WHEN process_instance.ended_ms IS NULL THEN 'STARTED' ELSE 'DONE' END",
            Self::Result => "CASE WHEN process_instance.exit_reason IN ('DONE', 'CHAIN') THEN 'SUCCESS' END",
            Self::Priority => "0",
            Self::StartServer => "process_instance.claimed_by",
            Self::RunningServer => "CASE WHEN process_instance.ended_ms IS NULL THEN process_instance.claimed_by END",
        }
    }
}

/// A process and what its list shows of the resource it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessOn {
    /// The process.
    pub process: Process,
    /// The root of the resource's type.
    pub root: String,
    /// The resource's type.
    pub kind: String,
    /// The resource's account.
    pub account_id: Option<ResourceId>,
}

fn failed(what: &'static str) -> impl Fn(diesel::result::Error) -> Error {
    move |source| Error::internal(what, source)
}

/// In the place of an account's number.
const NOBODY: i64 = 0;

fn or_nobody(rows: Vec<(i64, Option<i64>)>) -> Vec<(i64, i64)> {
    rows.into_iter()
        .map(|(id, account)| (id, account.unwrap_or(NOBODY)))
        .collect()
}

impl Store {
    /// Every open process: what there is to do after a start.
    pub fn open_processes(&self) -> Result<Vec<Process>> {
        process_instance::table
            .filter(process_instance::ended_ms.is_null())
            .order(process_instance::id)
            .load(&mut *self.reader()?)
            .map_err(failed("reading open processes"))
    }

    /// The open processes by their names: how many may run now, and how many may not yet.
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

    /// The names of those among these that are open.
    pub fn names_of_open_processes(&self, ids: &[i64]) -> Result<Vec<String>> {
        process_instance::table
            .filter(OneOf::numbers(process_instance::id, ids.iter().copied()))
            .filter(process_instance::ended_ms.is_null())
            .select(process_instance::process)
            .load(&mut *self.reader()?)
            .map_err(failed("reading the names of processes"))
    }

    /// A process by its number.
    pub fn find_process(&self, id: i64) -> Result<Option<Process>> {
        process_instance::table
            .find(id)
            .get_result(&mut *self.reader()?)
            .optional()
            .map_err(failed("reading a process"))
    }

    /// The same for whoever is to run it: one that was asked for just now is not read.
    pub fn process_to_run(&self, id: i64) -> Result<Option<Process>> {
        match self.started.take(id) {
            Some(process) => Ok(Some(process)),
            None => self.find_process(id),
        }
    }

    /// The open processes of a resource.
    pub fn open_processes_of(&self, resource: ResourceId) -> Result<Vec<Process>> {
        process_instance::table
            .filter(process_instance::resource_id.eq(resource.0))
            .filter(process_instance::ended_ms.is_null())
            .order(process_instance::id)
            .load(&mut *self.reader()?)
            .map_err(failed("reading a resource's processes"))
    }

    /// Whose these processes are: each with the account of what it is done to, nobody's with 0.
    pub fn accounts_of_processes(&self, ids: &[i64]) -> Result<Vec<(i64, i64)>> {
        let rows: Vec<(i64, Option<i64>)> = resource::with_processes()
            .filter(OneOf::numbers(process_instance::id, ids.iter().copied()))
            .select((process_instance::id, resource::account_id))
            .load(&mut *self.reader()?)
            .map_err(failed("reading whose processes are"))?;
        Ok(or_nobody(rows))
    }

    /// The same for resources.
    pub fn accounts_of_rows(&self, ids: &[ResourceId]) -> Result<Vec<(i64, i64)>> {
        let rows: Vec<(i64, Option<i64>)> = resource::all()
            .filter(OneOf::new(resource::id, ids))
            .select((resource::id, resource::account_id))
            .load(&mut *self.reader()?)
            .map_err(failed("reading whose resources are"))?;
        Ok(or_nobody(rows))
    }

    /// Processes, ended ones too, with the resources they are done to.
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
            let expression = condition.field.sql();
            let compared = condition
                .value
                .as_ref()
                .and_then(|value| comparison(expression, &condition.modifier, value));
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

impl Tx<'_> {
    /// Asks for a process, to run at once. If it is open already its number is returned and it is woken.
    pub fn start_process(&mut self, new: &NewProcess<'_>) -> Result<i64> {
        let now = self.now();
        let open: Option<i64> = process_instance::table
            .filter(process_instance::resource_id.eq(new.resource.id.0))
            .filter(process_instance::process.eq(new.process))
            .filter(process_instance::ended_ms.is_null())
            .select(process_instance::id)
            .get_result(self.conn)
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

    /// The same for a row that has none, as it was made just now.
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
            Bound::Text(self.server_uuid),
            Bound::Int(self.epoch),
            Bound::Text(new.data),
            Bound::Int(now.0),
        ];
        fixed(Start, values).execute(self.conn).map_err(failed)?;
        let asked = just_asked(id, new, now, (self.server_uuid, self.epoch));
        self.note_process(ProcessNote::Asked(asked));
        self.count_row();
        self.wake_process(new.resource, id, now);
        Ok(id)
    }

    /// Has the open processes of a resource run.
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

    /// Whether this process is still open: the fence of every write of a handler.
    pub fn is_open(&mut self, id: i64) -> Result<bool> {
        let ended: Option<Option<i64>> = process_instance::table
            .find(id)
            .select(process_instance::ended_ms)
            .get_result(self.conn)
            .optional()
            .map_err(failed("reading a process"))?;
        Ok(ended == Some(None))
    }

    /// The version of what a process is done to, if the process is still open and its resource is there.
    pub fn version_under(&mut self, id: i64) -> Result<Option<i64>> {
        known!(
            Version = "SELECT version FROM process_instance JOIN resource_state USING (resource_id) WHERE id = ? AND ended_ms IS NULL"
        );
        fixed(Version, [Bound::Int(id)])
            .get_result(self.conn)
            .optional()
            .map_err(failed("reading what a process is done to"))
    }

    /// The open processes of a resource.
    pub fn open_processes_of(&mut self, resource: ResourceId) -> Result<Vec<Process>> {
        process_instance::table
            .filter(process_instance::resource_id.eq(resource.0))
            .filter(process_instance::ended_ms.is_null())
            .order(process_instance::id)
            .load(self.conn)
            .map_err(failed("reading a resource's processes"))
    }

    /// A process that has not ended.
    pub fn open_process(&mut self, id: i64) -> Result<Option<Process>> {
        process_instance::table
            .find(id)
            .filter(process_instance::ended_ms.is_null())
            .get_result(self.conn)
            .optional()
            .map_err(failed("reading a process"))
    }

    /// Ends a process.
    pub fn end_process(&mut self, id: i64, reason: &str) -> Result<()> {
        known!(End = "UPDATE process_instance SET ended_ms = ?, exit_reason = ? WHERE id = ?");
        let values = [Bound::Int(self.now().0), Bound::Text(reason), Bound::Int(id)];
        fixed(End, values)
            .execute(self.conn)
            .map_err(failed("ending a process"))?;
        self.note_process(ProcessNote::Changed(id));
        Ok(())
    }

    /// Ends every open process of a resource: something else takes over.
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
        fixed(PreEmpt, values)
            .execute(self.conn)
            .map_err(failed("ending processes"))?;
        self.note_process(ProcessNote::EndedOf(resource));
        Ok(())
    }

    /// Lets a process wait: the next run is not before `at`.
    pub fn defer_process(&mut self, id: i64, at: Timestamp, attempts: i32, message: &str) -> Result<()> {
        known!(Defer = "UPDATE process_instance SET run_after_ms = ?, attempts = ?, message = ? WHERE id = ?");
        let values = [
            Bound::Int(at.0),
            Bound::Int(attempts.into()),
            Bound::Text(message),
            Bound::Int(id),
        ];
        fixed(Defer, values)
            .execute(self.conn)
            .map_err(failed("deferring a process"))?;
        self.note_process(ProcessNote::Changed(id));
        self.wake(Wake::Process { id, at, account: None });
        Ok(())
    }

    /// Changes a process's own data.
    pub fn set_process_data(&mut self, id: i64, data: &str) -> Result<()> {
        diesel::update(process_instance::table.find(id))
            .set(process_instance::data.eq(data))
            .execute(self.conn)
            .map_err(failed("writing a process's data"))?;
        self.note_process(ProcessNote::Changed(id));
        Ok(())
    }

    /// Takes over every open process after a start: claims of an earlier epoch are void.
    pub fn adopt_processes(&mut self) -> Result<usize> {
        diesel::update(process_instance::table.filter(process_instance::ended_ms.is_null()))
            .set((
                process_instance::claimed_by.eq(self.server_uuid),
                process_instance::epoch.eq(self.epoch),
            ))
            .execute(self.conn)
            .map_err(failed("taking over processes"))
    }
}
