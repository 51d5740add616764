//! Drivers of networks and of storage: what a system service of such a kind makes, and takes along.
//!
//! A driver is bookkeeping here: the engine's own networks and volumes carry the containers. Its rows say what there is,
//! what uses it, and that it cannot go before that. Services ask for it, containers are looked at by their rows, and no
//! engine is called.

mod networks;
mod storage;

use crate::engine::core::{Core, Outcome, fenced, new_row, qualified, request};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::Type;
use crate::store::{Changes, NewProcess, NewResource, Process, Tx};
use networks::instances_on;
use serde_json::{Map, Value};
use storage::volumes_of;

pub(crate) use networks::network_of_mode;
pub(crate) use storage::{is_of_driver, join_pools, leave_pools, storage_driver};

/// The kinds of driver; their services are called after them.
pub(crate) const DRIVERS: [&str; 2] = ["networkDriver", "storageDriver"];

type Object = Map<String, Value>;

/// What kind of driver a service brings.
pub(crate) fn driver_of(service: &Resource) -> Option<&'static str> {
    DRIVERS
        .into_iter()
        .find(|driver| service.kind.strip_suffix("Service") == Some(driver))
}

/// How the wire calls what uses a driver.
#[derive(Clone)]
pub(crate) struct Users {
    instance: String,
    volume: String,
}

impl Core {
    pub(crate) fn driver_users(&self) -> Result<Users> {
        Ok(Users {
            instance: self.type_of("container")?.prefix.clone(),
            volume: self.type_of("volume")?.prefix.clone(),
        })
    }
}

/// 409 `DRIVER_IN_USE` if a service, or one of a stack, brings a driver that others use (cattle: `ServiceStackNetworkDriverFilter`,
/// `ServiceStackStorageDriverFilter`).
pub(crate) fn check_unused(tx: &mut Tx<'_>, users: &Users, row: &Resource) -> Result<()> {
    let services = match row.root.as_str() {
        "service" => vec![row.clone()],
        "stack" => tx.children(row.id, "service")?,
        _ => Vec::new(),
    };
    for service in services.iter().filter(|service| driver_of(service).is_some()) {
        let refuse = |what: &str, prefix: &str, ids: Vec<ResourceId>| match ids.is_empty() {
            true => Ok(()),
            false => {
                let ids: Vec<String> = ids.iter().map(|id| format!("{prefix}{id}")).collect();
                let error = Error::conflict(format!("the driver of {} is in use by {what}", service.name))
                    .with_code("DRIVER_IN_USE");
                Err(Error {
                    detail: Some(ids.join(",")),
                    ..error
                })
            }
        };
        refuse("containers", &users.instance, instances_on(tx, service)?)?;
        refuse("volumes", &users.volume, volumes_of(tx, service)?)?;
    }
    Ok(())
}

impl Core {
    /// Before a service is created, updated or activated: its driver is there and on its way up. Outside system stacks there is none
    /// (cattle: `DriverServiceActivate`).
    pub(crate) async fn ensure_driver(&self, process: &Process, row: &Resource) -> Result<()> {
        let Some(kind) = driver_of(row) else { return Ok(()) };
        let (ty, machine) = (self.type_of(kind)?.clone(), self.machine_of(kind)?.clone());
        let service = self.wire_id("service", row.id);
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let stack = row.parent_id.map(|id| tx.find(id)).transpose()?.flatten();
            let is_system = stack
                .map(|s| Fields::parse(&s.fields)?.read::<bool>("system"))
                .transpose()?
                .flatten();
            if is_system != Some(true) {
                return Ok(());
            }
            if let Some(known) = tx.children(row.id, kind)?.into_iter().next() {
                if machine.start("activate", known.state).is_some() {
                    request(tx, &machine, &known, "activate", "{}", Changes::default())?;
                }
                return Ok(());
            }
            let wanted: Object = Fields::parse(&row.fields)?.read(kind)?.unwrap_or_default();
            let mut fields = stored(&ty, &wanted)?;
            fields.set("serviceId", &service)?;
            let name = wanted
                .get("name")
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .unwrap_or(&row.name)
                .to_owned();
            let new = NewResource {
                parent_id: Some(row.id),
                name,
                ..new_row(&ty, row.account_id, fields)
            };
            insert_activating(tx, new).map(drop)
        })
        .await
    }

    /// The drivers of a service that goes: asked to go as well. False while one is on its way.
    pub(crate) async fn remove_drivers(&self, process: &Process, row: &Resource) -> Result<bool> {
        let Some(kind) = driver_of(row) else { return Ok(true) };
        let machine = self.machine_of(kind)?.clone();
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(true);
            };
            let mut is_done = true;
            for driver in tx.children(row.id, kind)? {
                if machine.start("remove", driver.state).is_some() {
                    request(tx, &machine, &driver, "remove", "{}", Changes::default())?;
                } else if driver.state != State::REMOVING {
                    is_done = false;
                }
            }
            Ok(is_done)
        })
        .await
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "networkDriver.activate" => core.activate_network_driver(process, row).await,
        "networkDriver.remove" => core.remove_network_driver(process, row).await,
        "network.create" => core.create_network(process, row).await,
        "storageDriver.activate" => core.activate_storage_driver(process, row).await,
        "storageDriver.remove" => core.remove_storage_driver(process, row).await,
        _ => Ok(Outcome::done()),
    }
}

/// What of an object a row of this type stores as its own.
fn stored(ty: &Type, object: &Object) -> Result<Fields> {
    let mut fields = Fields::default();
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        if ty
            .fields
            .get(name)
            .is_some_and(|field| field.source == crate::schema::Source::Fields)
        {
            fields.set(name, value)?;
        }
    }
    Ok(fields)
}

/// Makes a row that is active as soon as its process ran.
fn insert_activating(tx: &mut Tx<'_>, new: NewResource) -> Result<Resource> {
    let row = tx.insert(NewResource {
        state: State::ACTIVATING,
        ..new
    })?;
    tx.start_process(&NewProcess {
        resource: &row,
        process: &qualified(&row, "activate"),
        data: "{}",
    })?;
    Ok(row)
}
