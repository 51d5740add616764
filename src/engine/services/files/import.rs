//! Making a stack of its files: `stack.create`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::compose::{Volume, Warning};
use crate::engine::core::{Core, Outcome, fenced, new_row, note_service, request};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::store::{Changes, NewResource, Process, Tx, Within};

use super::super::links::{LinkNotes, LinkTypes, insert_link, links_of, retire_link};
use super::super::new_service::NewService;
use super::wanted::{Wanted, WantedService, is_refusal, sentence, target_of};
use super::{balancing, environment_of, texts_of};

/// Services wake their stack; the time is only a safety net.
const SAFETY_WAIT: Duration = Duration::from_secs(15);

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
        Ok(match self.start_wanted(process, row, &wanted.services).await? {
            true => Outcome::done(),
            false => Outcome::Again(SAFETY_WAIT, "Creating stack".into()),
        })
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
        self.write_each(services, move |tx, (service, warnings)| {
            let Some(stack) = fenced(tx, process, id)? else {
                return Ok(());
            };
            make_service(tx, &stack, &types, &prefix, service, &warnings)
        })
        .await?;
        // Once more for links that go in circles: all are there now.
        let types = self.link_types()?;
        self.write_each(wanted.services.clone(), move |tx, service| {
            let Some(stack) = fenced(tx, process, id)? else {
                return Ok(());
            };
            match tx.named("service", Within::Parent(stack.id), &service.name)?.first() {
                Some(row) => link(tx, &stack, &types, *row, &service, Some(keep)),
                None => Ok(()),
            }
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

    /// Activates those of the wanted services that are inactive; says whether all have been asked, or are past it.
    pub(super) async fn start_wanted(
        &self,
        process: &Process,
        stack: &Resource,
        wanted: &[WantedService],
    ) -> Result<bool> {
        let services = self.store.children(stack.id, "service")?;
        let is_wanted = |row: &&Resource| {
            wanted
                .iter()
                .any(|service| service.name.eq_ignore_ascii_case(&row.name))
        };
        let mine: Vec<Resource> = services.iter().filter(is_wanted).cloned().collect();
        if mine.iter().any(|row| row.state == State::REGISTERING) {
            return Ok(false);
        }
        self.activate_in_order(Some((process.id, stack.id)), mine).await?;
        Ok(true)
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
    stack: &Resource,
    types: &LinkTypes,
    prefix: &str,
    mut service: WantedService,
    warnings: &[Warning],
) -> Result<()> {
    if !tx.named("service", Within::Parent(stack.id), &service.name)?.is_empty() {
        return Ok(());
    }
    let name = service.name.clone();
    let mut insert = || -> Result<Resource> {
        let mut input = service.input.clone();
        if let Some(balancing) = &service.balancing {
            balancing::aim(tx, stack, prefix, &mut input, balancing)?;
        }
        NewService::check(&service.def, stack.account_id.unwrap_or(stack.id), stack.id, input)?.insert(tx)
    };
    let row = insert().map_err(|error| match is_refusal(&error) {
        true => super::wanted::refused(sentence(&name, &error)),
        false => error,
    })?;
    for warning in warnings {
        note_service(tx, &row, prefix, "stack.import.warn", "warn", &warning.to_string())?;
    }
    service.links.retain(|link| link.service != service.name);
    link(tx, stack, types, row.id, &service, None)
}

/// Links a service as its file says. With `keep`, links that the file does not say go; those that a selector or a rule made stay.
pub(super) fn link(
    tx: &mut Tx<'_>,
    stack: &Resource,
    types: &LinkTypes,
    service: ResourceId,
    wanted: &WantedService,
    keep: Option<Duration>,
) -> Result<()> {
    let mut targets = BTreeMap::new();
    for link in &wanted.links {
        if let Some(target) = target_of(tx, stack, link)? {
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
