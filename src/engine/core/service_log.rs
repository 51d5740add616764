//! The service log: what the engine did to a service, for its users.
//!
//! It is a tree: each process of a service has a row, from its start to its end, and what was done on the way stands in
//! rows of the same transaction below it.

use crate::model::{Fields, Resource, ResourceId, Result};
use crate::store::{Changes, NewResource, Process, Tx};

use super::ids::stable_uuid;
use super::process::short_name;
use super::state::Core;

/// What a process of a service is called in its log, and the sentence for it; `None` for those that leave no row
/// (cattle: making a service, and cancelling an upgrade, log nothing).
fn title(process: &str) -> Option<(&'static str, &'static str)> {
    Some(match process {
        "activate" => ("service.activate", "Activating service"),
        "update" => ("service.update", "Updating service"),
        "upgrade" | "continueupgrade" => ("service.upgrade", "Upgrading service"),
        "finishupgrade" => ("service.finishupgrade", "Finishing upgrade"),
        "rollback" => ("service.rollback", "Rolling back service"),
        "restart" => ("service.restart", "Restarting service"),
        "deactivate" => ("service.deactivate", "Deactivating service"),
        "remove" => ("service.remove", "Removing service"),
        _ => return None,
    })
}

/// Whether the containers of a service are brought to what is wanted by this process.
fn reconciles(process: &str) -> bool {
    matches!(
        process,
        "activate" | "update" | "upgrade" | "continueupgrade" | "finishupgrade" | "rollback" | "restart"
    )
}

/// The uuid that the rows of a process have in common. It follows from the process, so that a run which is repeated
/// finds what it wrote before.
fn transaction(service: &Resource, process: i64) -> String {
    let bytes = service.uuid.bytes().chain(*b"log").chain(process.to_be_bytes());
    stable_uuid(bytes)
}

/// A process of a service, as its log writes of it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceLog {
    process: i64,
    short: String,
    service: String,
    container: String,
}

impl Core {
    /// The log of a process of a service.
    pub(crate) fn service_log(&self, service: ResourceId, process: &Process) -> Result<ServiceLog> {
        Ok(ServiceLog {
            process: process.id,
            short: short_name(process).to_owned(),
            service: self.wire_id("service", service),
            container: self.type_of("container")?.prefix.clone(),
        })
    }
}

/// One thing that was done.
pub(crate) struct Entry {
    /// What it is called; begun by a point, it is about the process as such.
    pub(crate) event: &'static str,
    /// The sentence.
    pub(crate) sentence: String,
    /// The container it is about.
    pub(crate) about: Option<ResourceId>,
}

impl ServiceLog {
    /// Writes what was done, below the row of the process; that is written first, if it is not there yet.
    pub(crate) fn write(&self, tx: &mut Tx<'_>, service: &Resource, entries: Vec<Entry>) -> Result<()> {
        let Some((process, sentence)) = title(&self.short) else {
            return Ok(());
        };
        let transaction = transaction(service, self.process);
        if tx.find_by_uuid(&transaction)?.is_none() {
            let entry = Entry {
                event: process,
                sentence: sentence.to_owned(),
                about: None,
            };
            self.insert(tx, service, &transaction, process, &entry, false)?;
        }
        for entry in entries {
            self.insert(tx, service, &transaction, process, &entry, true)?;
        }
        Ok(())
    }

    /// Writes that the process has done what it was to do.
    pub(crate) fn finish(&self, tx: &mut Tx<'_>, service: &Resource) -> Result<()> {
        let done = Entry {
            event: ".info",
            sentence: "Service already reconciled".to_owned(),
            about: None,
        };
        let entries = if reconciles(&self.short) {
            vec![done]
        } else {
            Vec::new()
        };
        self.write(tx, service, entries)?;
        end_log(tx, service, self.process)
    }

    fn insert(
        &self,
        tx: &mut Tx<'_>,
        service: &Resource,
        transaction: &str,
        process: &str,
        entry: &Entry,
        is_below: bool,
    ) -> Result<()> {
        let event = match entry.event.starts_with('.') {
            true => format!("{process}{}", entry.event),
            false => entry.event.to_owned(),
        };
        let line = Line {
            event: &event,
            sentence: &entry.sentence,
            service: &self.service,
            transaction,
            is_below,
            has_ended: is_below,
        };
        let mut fields = line.fields(tx)?;
        let about = entry
            .about
            .map(|id| crate::schema::render::wire_id(&self.container, id));
        fields.set("instanceId", &about)?;
        insert(tx, service, (!is_below).then_some(transaction), fields)
    }
}

/// What each row of the log says.
struct Line<'a> {
    event: &'a str,
    sentence: &'a str,
    /// The service, by its id on the wire.
    service: &'a str,
    transaction: &'a str,
    is_below: bool,
    has_ended: bool,
}

impl Line<'_> {
    fn fields(&self, tx: &Tx<'_>) -> Result<Fields> {
        let mut fields = Fields::default();
        fields.set("eventType", self.event)?;
        fields.set("description", self.sentence)?;
        fields.set("level", "info")?;
        fields.set("serviceId", self.service)?;
        fields.set("subLog", &self.is_below)?;
        fields.set("transactionId", self.transaction)?;
        if self.has_ended {
            fields.set("endTime", &tx.now().to_wire())?;
        }
        Ok(fields)
    }
}

/// A row of a service's log; `uuid` is of one that others belong to, or that its end is to find.
fn insert(tx: &mut Tx<'_>, service: &Resource, uuid: Option<&str>, fields: Fields) -> Result<()> {
    tx.insert(NewResource {
        root: "serviceLog".into(),
        kind: "serviceLog".into(),
        account_id: service.account_id,
        parent_id: Some(service.id),
        uuid: uuid.map(str::to_owned),
        fields,
        refs: vec![("serviceId".to_owned(), service.id)],
        ..NewResource::default()
    })
    .map(drop)
}

/// Rows of the log that are part of no process, and go from a start to an end.
#[derive(Debug, Clone)]
pub(crate) struct ServiceLogs {
    prefix: String,
}

impl ServiceLogs {
    /// Of any service.
    pub(crate) fn new(core: &Core) -> Result<Self> {
        Ok(Self {
            prefix: core.type_of("service")?.prefix.clone(),
        })
    }

    /// Writes the start of something, by whose uuid its end will find it; or something that `has_ended` with it.
    pub(crate) fn begin(
        &self,
        tx: &mut Tx<'_>,
        service: &Resource,
        uuid: &str,
        event: &str,
        sentence: &str,
        has_ended: bool,
    ) -> Result<()> {
        let line = Line {
            event,
            sentence,
            service: &crate::schema::render::wire_id(&self.prefix, service.id),
            transaction: uuid,
            is_below: false,
            has_ended,
        };
        let fields = line.fields(tx)?;
        insert(tx, service, Some(uuid), fields)
    }

    /// Writes the end, and how it was.
    pub(crate) fn end(&self, tx: &mut Tx<'_>, uuid: &str, sentence: &str) -> Result<()> {
        let Some(row) = tx.find_by_uuid(uuid)? else {
            return Ok(());
        };
        let mut fields = Fields::parse(&row.fields)?;
        fields.set("description", sentence)?;
        fields.set("endTime", &tx.now().to_wire())?;
        let changes = Changes {
            fields: Some(fields),
            ..Changes::default()
        };
        tx.update_if(&row, &changes).map(drop)
    }
}

/// Writes something about a service that is part of no process of it.
pub(crate) fn note_service(
    tx: &mut Tx<'_>,
    service: &Resource,
    prefix: &str,
    event: &str,
    level: &str,
    sentence: &str,
) -> Result<()> {
    let mut fields = Fields::default();
    fields.set("eventType", event)?;
    fields.set("description", sentence)?;
    fields.set("level", level)?;
    fields.set("serviceId", &crate::schema::render::wire_id(prefix, service.id))?;
    fields.set("subLog", &false)?;
    fields.set("endTime", &tx.now().to_wire())?;
    tx.insert(NewResource {
        root: "serviceLog".into(),
        kind: "serviceLog".into(),
        account_id: service.account_id,
        parent_id: Some(service.id),
        fields,
        refs: vec![("serviceId".to_owned(), service.id)],
        ..NewResource::default()
    })
    .map(drop)
}

/// Writes the end of a process into its row of the log, if it has one that is open.
pub(super) fn end_log(tx: &mut Tx<'_>, service: &Resource, process: i64) -> Result<()> {
    let Some(row) = tx.find_by_uuid(&transaction(service, process))? else {
        return Ok(());
    };
    let mut fields = Fields::parse(&row.fields)?;
    if fields.text("endTime").is_some() {
        return Ok(());
    }
    fields.set("endTime", &tx.now().to_wire())?;
    let changes = Changes {
        fields: Some(fields),
        ..Changes::default()
    };
    tx.update_if(&row, &changes).map(drop)
}
