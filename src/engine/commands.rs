//! What a request does to rows: create, update, remove and act, for every type alike.
//!
//! A request is checked completely before anything is written, and written in one transaction; what needs time is a
//! process that the transaction asks for.

use std::sync::Arc;

use serde_json::Value;

use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, WireId};
use crate::schema::{Column, Machine, Source, Type, TypeView};
use crate::store::{Changes, NewProcess, NewResource, Tx, Within};

use super::core::{Core, DEFAULT_PROJECT, new_row};
use super::door::{Answer, Input, Scope};
use super::handlers::StopData;
use super::process::{qualified, request};
use super::{
    accounts, agents, containers, credentials, drivers, links, preferences, projects, registration, services, stacks, storage, upgrade,
};

impl Core {
    /// Whether `kind` is `base` or comes from it.
    pub(crate) fn derives(&self, kind: &str, base: &str) -> bool {
        let mut current = Some(kind.to_owned());
        while let Some(name) = current {
            if name == base {
                return true;
            }
            current = self.registry.find_type(&name).and_then(|t| t.parent.clone());
        }
        false
    }

    pub(crate) async fn create(&self, scope: &Scope, ty: &TypeView, input: Input) -> Result<Vec<Resource>> {
        let given = input.get("accountId").and_then(Value::as_str).and_then(WireId::parse).map(|w| w.id);
        let account = given.or(scope.owner()).unwrap_or(DEFAULT_PROJECT);
        match ty.def.root.as_str() {
            "account" if ty.def.id == "project" => projects::create(self, scope, ty, input).await.map(|r| vec![r]),
            "account" => accounts::create(self, scope, ty, input).await.map(|r| vec![r]),
            "userPreference" => preferences::create(self, scope, ty, given.unwrap_or(scope.user.id), input).await.map(|r| vec![r]),
            // Whoever asks gets the key: an account its own, a project its own.
            "credential" if ty.def.id == "registryCredential" => {
                credentials::create(self, scope, ty, account, input).await.map(|r| vec![r])
            }
            "credential" if ty.def.id != "registrationToken" => {
                credentials::create(self, scope, ty, given.unwrap_or(scope.effective.id), input).await.map(|r| vec![r])
            }
            "secret" => credentials::create_secret(self, scope, ty, account, input).await.map(|r| vec![r]),
            "storagePool" if ty.def.id == "registry" => {
                credentials::create_registry(self, scope, ty, account, input).await.map(|r| vec![r])
            }
            // A person's own; public ones are there from the start.
            "projectTemplate" => self.create_plain(scope, ty, given.unwrap_or(scope.user.id), input).await.map(|r| vec![r]),
            "service" => services::create(self, scope, ty, account, input).await.map(|r| vec![r]),
            "volume" => storage::create(self, scope, ty, account, &input).await.map(|r| vec![r]),
            "stack" => stacks::create(self, scope, ty, account, input).await.map(|r| vec![r]),
            "instance" => containers::create(self, scope, ty, account, input).await,
            "agent" => agents::create(self, scope, ty, &input).await.map(|r| vec![r]),
            _ if ty.def.id == "registrationToken" => registration::create_token(self, scope, ty, account, &input).await.map(|r| vec![r]),
            _ if ty.def.id == "register" => registration::register(self, scope, ty, account, &input).await.map(|r| vec![r]),
            _ => self.create_plain(scope, ty, account, input).await.map(|r| vec![r]),
        }
    }

    /// A row of a type without behaviour of its own: its machine's first process is asked for, nothing else happens.
    async fn create_plain(&self, scope: &Scope, ty: &TypeView, account: ResourceId, input: Input) -> Result<Resource> {
        let new = row_from_input(&ty.def, account, &input)?;
        let machine = ty.def.machine.clone();
        self.write_for(scope, move |tx| insert_and_start(tx, machine.as_deref(), new)).await
    }

    pub(crate) async fn update(&self, scope: &Scope, ty: &TypeView, id: ResourceId, input: Input) -> Result<Resource> {
        let row = self.visible(scope, ty, id)?;
        self.require(scope, &row, "update")?;
        let input = match ty.def.root.as_str() {
            "credential" => return credentials::update(self, scope, ty, &row, input).await,
            "service" => services::check_update(&row, input)?,
            "stack" => stacks::check_name(input)?,
            _ => input,
        };
        if row.root == "port" && input.get("publicPort").is_some_and(|p| !p.is_null()) && self.is_on_docker(&row)? {
            return Err(Error::not_implemented("moving a published port needs a new container in this build").with_field("publicPort"));
        }
        if row.root == "agent" {
            agents::check_update(&row, &input)?;
        }
        if row.root == "volume" {
            storage::check_update(&row, &input)?;
        }
        let space = input.get("localStorageMb").filter(|v| row.root == "host" && !v.is_null());
        if space.is_some() && space != Fields::parse(&row.fields)?.read::<Value>("localStorageMb")?.as_ref() {
            return Err(Error::not_implemented("storage cannot be reserved in this build").with_field("localStorageMb"));
        }
        let (ty_view, def) = (ty.input_fields(), ty.def.clone());
        let scheduled: Vec<String> = ty_view.iter().filter(|(_, f)| f.schedule_update).map(|(n, _)| n.clone()).collect();
        let machine = ty.def.machine.clone();
        let label = self.type_of("label")?.clone();
        let written = self
            .write_for(scope, move |tx| {
                let row = tx.get(id)?;
                if row.removed.is_some() {
                    return Err(Error::conflict("the resource is removed"));
                }
                let kind = if row.root == "account" { accounts::new_kind(tx, &row, &input)? } else { None };
                let mut row = apply_update(tx, &def, machine.as_deref(), &row, input, &scheduled)?;
                if kind.is_some() {
                    row = tx.update_if(&row, &Changes { kind, ..Changes::default() })?;
                }
                if row.root == "host" {
                    super::labels::tie_host(tx, &label, &row)?;
                }
                Ok(row)
            })
            .await?;
        if written.root == "host" {
            self.look_at_all(written.account_id)?;
        }
        Ok(written)
    }

    pub(crate) async fn delete(&self, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
        let row = self.visible(scope, ty, id)?;
        let is_project = projects::is_project(&row);
        self.require(scope, &row, "remove")?;
        let machine = ty.def.machine.clone();
        let keep = self.keep_removed();
        let is_container = row.root == "instance";
        let users = self.driver_users()?;
        self.write_for(scope, move |tx| {
            let row = tx.get(id)?;
            accounts::check_leaving(tx, &row, "delete")?;
            drivers::check_unused(tx, &users, &row)?;
            let not_now = || Error::new(ErrorKind::MethodNotAllowed);
            let Some(machine) = machine.filter(|m| m.has_process("remove")) else {
                if row.removed.is_some() {
                    return Err(not_now());
                }
                return super::handlers::retire(tx, &row, keep);
            };
            if is_project {
                return projects::remove(tx, &machine, &row);
            }
            if is_container {
                if machine.start("remove", &row.state).is_none() && machine.start("stop", &row.state).is_none() {
                    return Err(not_now());
                }
                return remove_container(tx, &machine, &row);
            }
            if machine.start("remove", &row.state).is_none() {
                return Err(not_now());
            }
            request(tx, &machine, &row, "remove", "{}", Changes::default())
        })
        .await
    }

    pub(crate) async fn act(&self, scope: &Scope, ty: &TypeView, id: ResourceId, action: &str, input: Input) -> Result<Answer> {
        let row = self.visible(scope, ty, id)?;
        if !self.offers(scope.version, ty, &row, action) {
            return Err(not_available());
        }
        self.require(scope, &row, action)?;
        match (ty.def.root.as_str(), action) {
            ("account", "setmembers") => projects::set_members(self, scope, &row, &input).await,
            ("account", "delete") => self.delete(scope, ty, id).await.map(|row| Answer::Accepted(Box::new(row))),
            ("credential", "changesecret") => credentials::change_secret(self, scope, &row, &input).await,
            ("service", "upgrade") => upgrade::accept(self, scope, &row, input).await,
            ("service", "rollback") => upgrade::roll_back(self, scope, &row).await,
            ("service", "restart") => services::restart(self, scope, &row, input).await,
            ("service", "addservicelink") => links::add(self, scope, &row, &input).await,
            ("service", "removeservicelink") => links::remove(self, scope, &row, &input).await,
            ("service", "setservicelinks") => links::set(self, scope, &row, &input).await,
            ("stack", "activateservices") => stacks::activate_services(self, scope, &row).await,
            ("stack", "deactivateservices") => stacks::deactivate_services(self, scope, &row).await,
            ("stack", "addoutputs") => stacks::add_outputs(self, scope, &row, &input).await,
            ("task", "execute") => super::tasks::execute(self, &row).await,
            ("instance", "stop") => self.start_action(scope, &row, action, stop_data(&input)?).await,
            ("instance", "remove") => {
                let machine = self.machine_of(&row.kind)?.clone();
                let written = self.write_for(scope, move |tx| {
                    let row = tx.get(id)?;
                    remove_container(tx, &machine, &row)
                });
                written.await.map(|row| Answer::Accepted(Box::new(row)))
            }
            _ => self.start_action(scope, &row, action, "{}".to_owned()).await,
        }
    }

    /// An action that is a process: asked for if the state still allows it.
    pub(crate) async fn start_action(&self, scope: &Scope, row: &Resource, action: &str, data: String) -> Result<Answer> {
        let machine = self.machine_of_row(row)?.clone();
        let (id, action) = (row.id, action.to_owned());
        let users = self.driver_users()?;
        self.write_for(scope, move |tx| {
            let row = tx.get(id)?;
            accounts::check_leaving(tx, &row, &action)?;
            if matches!(action.as_str(), "remove" | "deactivate") {
                drivers::check_unused(tx, &users, &row)?;
            }
            if machine.start(&action, &row.state).is_none() {
                return Err(not_available());
            }
            request(tx, &machine, &row, &action, &data, Changes::default())
        })
        .await
        .map(|row| Answer::Accepted(Box::new(row)))
    }

    /// A row the caller may see, of the type that the path names.
    pub(crate) fn visible(&self, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
        let row = self.store.find(id)?.ok_or_else(Error::not_found)?;
        if !ty.has(&row) || !self.sees(scope, &row)? {
            return Err(Error::not_found());
        }
        Ok(row)
    }

    /// Whether a row is about something on a real engine.
    fn is_on_docker(&self, row: &Resource) -> Result<bool> {
        let host = row.host_id.map(|h| self.store.find(h)).transpose()?.flatten();
        Ok(host.is_some_and(|h| !super::hosts::is_sim(&h)))
    }

    /// Looks at every service of a project: something they all depend on changed.
    pub(crate) fn look_at_all(&self, account: Option<ResourceId>) -> Result<()> {
        for service in self.store.all("service", account)? {
            self.look(service.id);
        }
        Ok(())
    }
}

/// 422 `ActionNotAvailable`.
pub(crate) fn not_available() -> Error {
    Error::invalid("ActionNotAvailable", "action")
}

/// A row as a validated body describes it.
pub(crate) fn row_from_input(ty: &Type, account: ResourceId, input: &Input) -> Result<NewResource> {
    let mut fields = Fields::default();
    let mut new = NewResource::default();
    let reference = |value: &Value| value.as_str().and_then(WireId::parse).map(|w| w.id);
    for (name, value) in input {
        let Some(field) = ty.fields.get(name) else { continue };
        match field.source {
            Source::Fields => fields.set(name, value)?,
            Source::Column(Column::Name) => new.name = value.as_str().unwrap_or_default().to_owned(),
            Source::Column(Column::Uuid) => new.uuid = value.as_str().map(str::to_owned),
            Source::Column(Column::ParentId) => new.parent_id = reference(value),
            Source::Column(Column::HostId) => new.host_id = reference(value),
            Source::Column(_) | Source::Computed => {}
        }
    }
    let base = new_row(ty, Some(account), fields);
    Ok(NewResource { name: new.name, uuid: new.uuid, parent_id: new.parent_id, host_id: new.host_id, ..base })
}

/// Inserts a row in the first state of its machine and asks for its create process.
pub(crate) fn insert_and_start(tx: &mut Tx<'_>, machine: Option<&Machine>, mut new: NewResource) -> Result<Resource> {
    let first = machine.and_then(|m| m.start("create", "requested"));
    if let Some(edge) = first {
        new.state.clone_from(&edge.via);
    }
    let row = tx.insert(new)?;
    if first.is_some() {
        tx.start_process(&NewProcess { resource: row.id, process: &qualified(&row, "create"), data: "{}" })?;
    }
    Ok(row)
}

/// Writes the changed fields of a PUT; a change of a scheduled field starts the update process.
pub(crate) fn apply_update(
    tx: &mut Tx<'_>,
    ty: &Type,
    machine: Option<&Machine>,
    row: &Resource,
    input: Input,
    scheduled: &[String],
) -> Result<Resource> {
    let mut fields = Fields::parse(&row.fields)?;
    let mut changes = Changes::default();
    let mut changed = Vec::new();
    for (name, value) in &input {
        let Some(field) = ty.fields.get(name) else { continue };
        match field.source {
            Source::Column(Column::Name) => {
                let new = value.as_str().unwrap_or_default();
                if new != row.name {
                    services::check_name_free(tx, row, new)?;
                    changes.name = Some(new.to_owned());
                    changed.push(name);
                }
            }
            Source::Fields => {
                let old: Option<Value> = fields.read(name)?;
                if old.as_ref().unwrap_or(&Value::Null) != value {
                    fields.set(name, value)?;
                    changed.push(name);
                }
            }
            Source::Column(Column::HostId) if row.root == "volume" => {
                let host = value.as_str().and_then(WireId::parse).map(|w| w.id);
                if host != row.host_id {
                    changes.host_id = Some(host);
                    changed.push(name);
                }
            }
            Source::Column(_) | Source::Computed => {}
        }
    }
    if changed.is_empty() {
        // Whoever asked for it is told all the same (cattle: every successful PUT is announced).
        tx.announce(row.id, row.account_id)?;
        return Ok(row.clone());
    }
    let starts = changed.iter().any(|n| scheduled.contains(n));
    changes.fields = Some(fields);
    match machine.filter(|m| starts && m.has_process("update")) {
        Some(machine) => request(tx, machine, row, "update", "{}", changes),
        None => tx.update_if(row, &changes),
    }
}

/// Removes a container: at once where that is legal, else by stopping it first.
pub(crate) fn remove_container(tx: &mut Tx<'_>, machine: &Arc<Machine>, row: &Resource) -> Result<Resource> {
    if machine.start("remove", &row.state).is_some() {
        return request(tx, machine, row, "remove", "{}", Changes::default());
    }
    let data = serde_json::to_string(&StopData { remove: true, ..StopData::default() })
        .map_err(|e| Error::internal("writing a stop request", e))?;
    if machine.start("stop", &row.state).is_some() {
        return request(tx, machine, row, "stop", &data, Changes::default());
    }
    if row.state == "stopping" {
        for open in tx.open_processes_of(row.id)? {
            tx.set_process_data(open.id, &data)?;
        }
    }
    Ok(row.clone())
}

/// Whether a container is being removed, or stopped in order to be removed.
pub(crate) fn is_leaving(tx: &mut Tx<'_>, row: &Resource) -> Result<bool> {
    let removes = |data: &str| serde_json::from_str::<StopData>(data).is_ok_and(|d| d.remove);
    Ok(match row.state.as_str() {
        "removing" => true,
        "stopping" => tx.open_processes_of(row.id)?.iter().any(|p| removes(&p.data)),
        _ => false,
    })
}

fn stop_data(input: &Input) -> Result<String> {
    let data = StopData {
        remove: input.get("remove").and_then(Value::as_bool).unwrap_or(false),
        timeout: input.get("timeout").and_then(Value::as_u64),
        ..StopData::default()
    };
    serde_json::to_string(&data).map_err(|e| Error::internal("writing a stop request", e))
}

/// Whether a name is free in an account.
pub(crate) fn check_free_in_account(
    tx: &mut Tx<'_>,
    root: &str,
    account: ResourceId,
    name: &str,
    except: Option<ResourceId>,
) -> Result<()> {
    match tx.named(root, Within::Account(account), name)?.iter().any(|id| Some(*id) != except) {
        true => Err(Error::invalid("NotUnique", "name")),
        false => Ok(()),
    }
}
