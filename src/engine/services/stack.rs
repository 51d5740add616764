//! Stacks: creating them, acting on all services in them, and removing them with all in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::engine::core::{
    Answer, Core, Input, Outcome, Scope, check_free_in_account, fenced, insert_and_start, request, retire,
    row_from_input,
};
use crate::engine::drivers;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::{Type, TypeView};
use crate::store::{Changes, NewResource, Process, Tx};

use super::lifecycle::ActivateData;

/// A stack's name does not begin or end with a dash.
pub(crate) fn check_name(input: Input) -> Result<Input> {
    match input.get("name").and_then(Value::as_str) {
        Some(name) if name.starts_with('-') || name.ends_with('-') => Err(Error::invalid("InvalidCharacters", "name")),
        _ => Ok(input),
    }
}

/// A stack that a client makes.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: Input,
) -> Result<Resource> {
    let new = NewStack::check(&ty.def, account, input)?;
    core.write_for(scope, move |tx| new.insert(tx)).await
}

/// A stack that is to be made, and in which nothing is wrong that can be seen without its neighbours.
pub(crate) struct NewStack {
    def: Arc<Type>,
    account: ResourceId,
    row: NewResource,
}

impl NewStack {
    /// Checks what a stack is to be; `input` has passed its schema.
    pub(crate) fn check(def: &Arc<Type>, account: ResourceId, input: Input) -> Result<Self> {
        let input = check_name(input)?;
        let mut row = row_from_input(def, account, &input)?;
        row.health = "healthy".into();
        Ok(Self {
            def: def.clone(),
            account,
            row,
        })
    }

    /// Inserts it, if its name is free, and asks for its create process.
    pub(crate) fn insert(self, tx: &mut Tx<'_>) -> Result<Resource> {
        check_free_in_account(tx, "stack", self.account, &self.row.name, None)?;
        insert_and_start(tx, self.def.machine.as_deref(), self.row)
    }
}

/// Activates every inactive service of the stack, what is linked to first.
pub(crate) async fn activate_services(core: &Core, scope: &Scope, stack: &Resource) -> Result<Answer> {
    let services = core.store.children(stack.id, "service")?;
    core.activate_in_order(None, services).await?;
    asked(core, scope, stack.id).await
}

/// The answer to an action on all services of a stack, once all have been asked; the audit log has it with that.
async fn asked(core: &Core, scope: &Scope, stack: ResourceId) -> Result<Answer> {
    let row = core.write_for(scope, move |tx| tx.get(stack)).await?;
    Ok(Answer::Done(Box::new(row)))
}

/// Deactivates every service; one that cannot be deactivated now refuses it all.
pub(crate) async fn deactivate_services(core: &Core, scope: &Scope, stack: &Resource) -> Result<Answer> {
    let machine = core.machine_of("service")?.clone();
    let (id, users) = (stack.id, core.driver_users()?);
    let asking = machine.clone();
    let services = core
        .write(move |tx| {
            let stack = tx.get(id)?;
            drivers::check_unused(tx, &users, &stack)?;
            let mut services = tx.children(id, "service")?;
            services.retain(|s| !is_down(s));
            match services.iter().find(|s| asking.start("deactivate", s.state).is_none()) {
                None => Ok(services),
                Some(service) => Err(Error {
                    field: None,
                    ..Error::invalid("InvalidState", "")
                }
                .with_message(format!("service {} is {}", service.name, service.state))),
            }
        })
        .await?;
    core.write_each(services, move |tx, service| {
        match tx
            .find(service.id)?
            .filter(|s| machine.start("deactivate", s.state).is_some())
        {
            Some(service) => request(tx, &machine, &service, "deactivate", "{}", Changes::default()).map(drop),
            // It moved on meanwhile.
            None => Ok(()),
        }
    })
    .await?;
    asked(core, scope, id).await
}

/// Whether there is nothing left to deactivate.
fn is_down(service: &Resource) -> bool {
    matches!(
        service.state,
        State::INACTIVE | State::DEACTIVATING | State::REMOVING | State::REMOVED
    )
}

/// Merges outputs; the state does not change.
pub(crate) async fn add_outputs(core: &Core, scope: &Scope, stack: &Resource, input: &Input) -> Result<Answer> {
    let added: BTreeMap<String, Value> = input
        .get("outputs")
        .and_then(Value::as_object)
        .map(|o| o.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        .unwrap_or_default();
    let id = stack.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        let mut fields = Fields::parse(&row.fields)?;
        let mut outputs: BTreeMap<String, Value> = fields.read("outputs")?.unwrap_or_default();
        outputs.extend(added);
        fields.set("outputs", &outputs)?;
        tx.update_if(
            &row,
            &Changes {
                fields: Some(fields),
                ..Changes::default()
            },
        )
    })
    .await
    .map(|row| Answer::Done(Box::new(row)))
}

impl Core {
    /// Activates those of some services that are inactive: each waits for what it is linked to among them. A process that asks
    /// for it is the fence, with its row.
    pub(super) async fn activate_in_order(
        &self,
        fence: Option<(i64, ResourceId)>,
        services: Vec<Resource>,
    ) -> Result<()> {
        let here: BTreeSet<ResourceId> = services.iter().map(|s| s.id).collect();
        let mut waits: BTreeMap<ResourceId, Vec<i64>> = BTreeMap::new();
        for service in &services {
            for map in self.store.children(service.id, "serviceConsumeMap")? {
                let target = self.linked_service(&map)?.map(|target| target.id);
                if let Some(target) = target.filter(|t| here.contains(t) && *t != service.id) {
                    waits.entry(service.id).or_default().push(target.0);
                }
            }
        }
        let machine = self.machine_of("service")?.clone();
        self.write_each(services, move |tx, service| {
            if let Some((process, row)) = fence
                && fenced(tx, process, row)?.is_none()
            {
                return Ok(());
            }
            let Some(service) = tx.find(service.id)?.filter(|s| s.state == State::INACTIVE) else {
                return Ok(());
            };
            let data = ActivateData {
                wait_for: waits.remove(&service.id).unwrap_or_default(),
                ..ActivateData::default()
            };
            let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing an activation", e))?;
            request(tx, &machine, &service, "activate", &data, Changes::default()).map(drop)
        })
        .await
    }

    pub(crate) async fn remove_stack(&self, _process: &Process, row: &Resource) -> Result<Outcome> {
        let services = self.store.children(row.id, "service")?;
        if services.is_empty() {
            return self.remove_stack_rest(row).await;
        }
        let machine = self.machine_of("service")?.clone();
        self.write_each(services, move |tx, service| {
            match tx
                .find(service.id)?
                .filter(|s| machine.start("remove", s.state).is_some())
            {
                Some(service) => request(tx, &machine, &service, "remove", "{}", Changes::default()).map(drop),
                None => Ok(()),
            }
        })
        .await?;
        // Each service that is gone wakes its stack; the time is only a safety net.
        Ok(Outcome::Again(Duration::from_secs(15), "Removing services".into()))
    }

    /// What lives in the stack beside services: templates of volumes.
    async fn remove_stack_rest(&self, row: &Resource) -> Result<Outcome> {
        let keep = self.keep_removed();
        let templates = self.store.children(row.id, "volumeTemplate")?;
        self.write_each(templates, move |tx, template| {
            match tx.find(template.id)?.filter(|t| t.removed.is_none()) {
                Some(template) => retire(tx, &template, keep).map(drop),
                None => Ok(()),
            }
        })
        .await?;
        Ok(Outcome::done())
    }
}
