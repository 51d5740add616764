//! Making a stack of its files: `stack.create`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::compose::{Volume, Warning};
use crate::engine::core::{Core, Outcome, fenced, new_row, note_service, request};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::store::{Changes, NewResource, Process, Tx, Within};

use super::super::links::{LinkNotes, LinkTypes, insert_link, links_of, retire_link};
use super::super::names::Neighbours;
use super::super::new_service::NewService;
use super::wanted::{Wanted, WantedService, is_refusal, sentence, target_of};
use super::{balancing, environment_of, texts_of};

/// Services wake their stack; the time is only a safety net.
const SAFETY_WAIT: Duration = Duration::from_secs(15);

/// What goes with the process that makes a stack.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct CreateData {
    /// The services of its files, once all of them are there.
    made: Option<Vec<i64>>,
}

/// What goes with the process that leads a stack to `error`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct FailData {
    message: String,
}

impl Core {
    /// Makes what the files of a new stack ask for, and starts it if that was asked for. A file with an error makes nothing.
    pub(crate) async fn create_stack(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let fields = Fields::parse(&row.fields)?;
        let Some(texts) = texts_of(&fields) else {
            return Ok(Outcome::done());
        };
        let data: CreateData = serde_json::from_str(&process.data).unwrap_or_default();
        if let Some(made) = data.made {
            return self.start_made(process, row, &made).await;
        }
        let wanted = match self.wanted(row, &texts, &environment_of(&fields)?) {
            Ok(wanted) => wanted,
            Err(error) if is_refusal(&error) => {
                return self.fail_stack(process, row, error.external.unwrap_or_default()).await;
            }
            Err(error) => return Err(error),
        };
        for warning in &wanted.warnings {
            log::warn!("stack {}: {warning}", row.name);
        }
        match self.make(process, row, &wanted, false).await {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => {
                return self.fail_stack(process, row, error.external.unwrap_or_default()).await;
            }
            Err(error) => return Err(error),
        }
        if !fields.read::<bool>("startOnCreate")?.unwrap_or(false) {
            return Ok(Outcome::done());
        }
        let made = self.note_made(process, row, &wanted.services).await?;
        self.start_made(process, row, &made).await
    }

    /// Notes what was made: the files need not be read again each time that one of the services is further.
    async fn note_made(&self, process: &Process, stack: &Resource, wanted: &[WantedService]) -> Result<Vec<i64>> {
        let names: Vec<String> = wanted.iter().map(|service| service.name.clone()).collect();
        let (id, process) = (stack.id, process.id);
        self.write(move |tx| {
            if fenced(tx, process, id)?.is_none() {
                return Ok(Vec::new());
            }
            let beside = Neighbours::read(tx, id, None)?;
            let made: Vec<i64> = names
                .iter()
                .filter_map(|name| beside.service(name).map(|id| id.0))
                .collect();
            let data = CreateData {
                made: Some(made.clone()),
            };
            let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing what was made", e))?;
            tx.set_process_data(process, &data)?;
            Ok(made)
        })
        .await
    }

    /// Leads a stack to `error`, with the reason.
    async fn fail_stack(&self, process: &Process, row: &Resource, message: String) -> Result<Outcome> {
        let machine = self.machine_of_row(row)?.clone();
        let (process, id) = (process.id, row.id);
        let data = FailData { message };
        self.write(move |tx| {
            let Some(row) = fenced(tx, process, id)? else {
                return Ok(());
            };
            let text = serde_json::to_string(&data).map_err(|e| Error::internal("writing why a stack failed", e))?;
            let changes = Changes {
                message: Some(data.message),
                ..Changes::default()
            };
            request(tx, &machine, &row, "error", &text, changes).map(drop)
        })
        .await?;
        Ok(Outcome::Left)
    }

    /// Makes what of a stack's files is not there yet: volumes, services, links. With `starts`, what is made starts by itself.
    pub(super) async fn make(&self, process: &Process, stack: &Resource, wanted: &Wanted, starts: bool) -> Result<()> {
        self.make_volumes(process, stack, wanted.volumes.clone()).await?;
        let of_service = |name: &str| -> Vec<Warning> {
            let of = |warning: &&Warning| warning.service.as_deref() == Some(name);
            wanted.warnings.iter().filter(of).cloned().collect()
        };
        // What is about no service stands with the first one: a stack has no log of its own.
        let mut left_over: Vec<Warning> = wanted
            .warnings
            .iter()
            .filter(|w| w.service.is_none())
            .cloned()
            .collect();
        let mut services = Vec::new();
        for service in &wanted.services {
            let mut warnings = std::mem::take(&mut left_over);
            warnings.extend(of_service(&service.name));
            for sidekick in super::super::configs::sidekick_names(&service.input) {
                warnings.extend(of_service(&sidekick));
            }
            let mut service = service.clone();
            if starts {
                service.input.insert("startOnCreate".into(), json!(true));
            }
            services.push((service, warnings));
        }
        let types = self.link_types()?;
        let (id, process, keep) = (stack.id, process.id, self.keep_removed());
        let prefix = self.type_of("service")?.prefix.clone();
        self.write_portions(services, move |tx, services| {
            let Some(stack) = fenced(tx, process, id)? else {
                return Ok(());
            };
            let mut beside = Neighbours::read(tx, id, None)?;
            for (service, warnings) in services {
                make_service(tx, (&stack, &mut beside), &types, &prefix, service, &warnings)?;
                if tx.is_full() {
                    break;
                }
            }
            Ok(())
        })
        .await?;
        // Once more for links that go in circles: all are there now.
        let types = self.link_types()?;
        self.write_portions(wanted.services.clone(), move |tx, services| {
            let Some(stack) = fenced(tx, process, id)? else {
                return Ok(());
            };
            let beside = Neighbours::read(tx, id, None)?;
            for service in services {
                if let Some(row) = beside.service(&service.name) {
                    link(tx, (&stack, &beside), &types, row, &service, Some(keep))?;
                }
                if tx.is_full() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    /// The volumes that a stack's services share are templates: each host has its own.
    async fn make_volumes(&self, process: &Process, stack: &Resource, volumes: Vec<Volume>) -> Result<()> {
        let ty = self.type_of("volumeTemplate")?.clone();
        let (id, process) = (stack.id, process.id);
        self.write_each(volumes, move |tx, volume| {
            let Some(stack) = fenced(tx, process, id)? else {
                return Ok(());
            };
            if !tx.named("volumeTemplate", Within::Parent(id), &volume.name)?.is_empty() {
                return Ok(());
            }
            let mut fields = Fields::default();
            fields.set("driver", &volume.driver)?;
            fields.set("driverOpts", &volume.options)?;
            fields.set("external", &volume.external)?;
            fields.set("perContainer", &volume.per_container)?;
            tx.insert(NewResource {
                name: volume.name,
                parent_id: Some(id),
                state: State::ACTIVE,
                ..new_row(&ty, stack.account_id, fields)
            })?;
            Ok(())
        })
        .await
    }

    /// Activates those of the services that were made and are inactive, once none of them is on its way to be.
    async fn start_made(&self, process: &Process, stack: &Resource, made: &[i64]) -> Result<Outcome> {
        let made: Vec<ResourceId> = made.iter().copied().map(ResourceId).collect();
        if self.store.any_is(&made, State::REGISTERING)? {
            return Ok(Outcome::Again(SAFETY_WAIT, "Creating stack".into()));
        }
        let mut services = self.store.many(&made)?;
        services.retain(|service| service.removed.is_none());
        self.activate_in_order(Some((process.id, stack.id)), services).await?;
        Ok(Outcome::done())
    }
}

/// `stack.error`: the reason stays.
pub(in crate::engine::services) fn failed(process: &Process) -> Outcome {
    let data: FailData = serde_json::from_str(&process.data).unwrap_or_default();
    Outcome::Done(Box::new(Changes {
        message: Some(data.message),
        ..Changes::default()
    }))
}

/// Makes a service with its links, unless one of its name is there.
fn make_service(
    tx: &mut Tx<'_>,
    (stack, beside): (&Resource, &mut Neighbours),
    types: &LinkTypes,
    prefix: &str,
    mut service: WantedService,
    warnings: &[Warning],
) -> Result<()> {
    if beside.service(&service.name).is_some() {
        return Ok(());
    }
    let name = service.name.clone();
    let mut insert = || -> Result<Resource> {
        let mut input = service.input.clone();
        if let Some(balancing) = &service.balancing {
            balancing::aim(tx, (stack, &*beside), prefix, &mut input, balancing)?;
        }
        NewService::check(&service.def, stack.account_id.unwrap_or(stack.id), stack.id, input)?
            .insert_beside(tx, beside)
    };
    let row = insert().map_err(|error| match is_refusal(&error) {
        true => super::wanted::refused(sentence(&name, &error)),
        false => error,
    })?;
    for warning in warnings {
        note_service(tx, &row, prefix, "stack.import.warn", "warn", &warning.to_string())?;
    }
    service.links.retain(|link| link.service != service.name);
    link(tx, (stack, &*beside), types, row.id, &service, None)
}

/// Links a service as its file says. With `keep`, links that the file does not say go; those that a selector or a rule made stay.
pub(super) fn link(
    tx: &mut Tx<'_>,
    (stack, beside): (&Resource, &Neighbours),
    types: &LinkTypes,
    service: ResourceId,
    wanted: &WantedService,
    keep: Option<Duration>,
) -> Result<()> {
    let mut targets = BTreeMap::new();
    for link in &wanted.links {
        if let Some(target) = target_of(tx, stack, beside, link)? {
            targets.insert((target, link.alias.clone()), ());
        }
    }
    let row = tx.get(service)?;
    let mut is_changed = false;
    for (map, target, alias) in links_of(tx, service)? {
        let is_known = targets.remove(&(target, alias)).is_some();
        let follows = crate::engine::core::notes::<LinkNotes>(&map).follows();
        if let Some(keep) = keep.filter(|_| !is_known && !follows) {
            retire_link(tx, &map, keep)?;
            is_changed = true;
        }
    }
    for (target, alias) in targets.into_keys() {
        insert_link(tx, types, &row, &target, &alias, LinkNotes::default())?;
        is_changed = true;
    }
    if is_changed {
        tx.announce(service, row.account_id)?;
    }
    Ok(())
}
