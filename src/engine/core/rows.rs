//! Rows: making them from a validated body, changing them by one, and letting them go. No noun is known here: what a noun
//! wants beside that it hands in.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State, WireId};
use crate::schema::{Column, Machine, Source, Type, TypeView};
use crate::store::{Changes, NewProcess, NewResource, Tx, Within};

use super::process::{qualified, request};
use super::request::{Answer, Input, Scope};
use super::state::Core;

/// `(field, row)` for each reference in own fields.
pub(crate) fn references(ty: &Type, fields: &Fields) -> Vec<(String, ResourceId)> {
    use crate::schema::{FieldType, Source};
    let mut found = Vec::new();
    for (name, field) in &ty.fields {
        if field.source != Source::Fields {
            continue;
        }
        let wires: Vec<String> = match &field.ty {
            FieldType::Reference(_) => fields.text(name).into_iter().collect(),
            FieldType::Array(of) if matches!(**of, FieldType::Reference(_)) => {
                fields.read(name).ok().flatten().unwrap_or_default()
            }
            _ => continue,
        };
        found.extend(
            wires
                .iter()
                .filter_map(|w| crate::model::WireId::parse(w))
                .map(|w| (name.clone(), w.id)),
        );
    }
    found
}

/// Rows made by the engine itself: the type's root and references are filled in from the type.
pub(crate) fn new_row(ty: &Type, account: Option<ResourceId>, fields: Fields) -> NewResource {
    let refs = references(ty, &fields);
    NewResource {
        root: ty.root.clone(),
        kind: ty.id.clone(),
        account_id: account,
        fields,
        refs,
        ..NewResource::default()
    }
}

/// Reads the engine's notes of a row.
pub(crate) fn notes<T: serde::de::DeserializeOwned + Default>(row: &Resource) -> T {
    serde_json::from_str(&row.internal).unwrap_or_default()
}

/// Writes the engine's notes of a row.
pub(crate) fn write_notes<T: serde::Serialize>(notes: &T) -> Result<String> {
    serde_json::to_string(notes).map_err(|e| Error::internal("writing notes", e))
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
            Source::Fields => fields.set_value(name, value)?,
            Source::Column(Column::Name) => new.name = value.as_str().unwrap_or_default().to_owned(),
            // What a generic object is called is its maker's affair.
            Source::Column(Column::Kind) if ty.id == "genericObject" => {
                // A registration is made in its own way only.
                new.kind = value
                    .as_str()
                    .filter(|kind| *kind != "register")
                    .unwrap_or_default()
                    .to_owned();
            }
            Source::Column(Column::Uuid) => new.uuid = value.as_str().map(str::to_owned),
            Source::Column(Column::ParentId) => new.parent_id = reference(value),
            Source::Column(Column::HostId) => new.host_id = reference(value),
            Source::Column(_) | Source::Computed => {}
        }
    }
    let base = new_row(ty, Some(account), fields);
    let kind = if new.kind.is_empty() { base.kind } else { new.kind };
    Ok(NewResource {
        kind,
        name: new.name,
        uuid: new.uuid,
        parent_id: new.parent_id,
        host_id: new.host_id,
        ..base
    })
}

/// Inserts a row in the first state of its machine and asks for its create process.
pub(crate) fn insert_and_start(tx: &mut Tx<'_>, machine: Option<&Machine>, mut new: NewResource) -> Result<Resource> {
    let first = machine.and_then(|m| m.start("create", State::REQUESTED));
    if let Some(edge) = first {
        new.state = edge.via;
    }
    let row = tx.insert(new)?;
    if first.is_some() {
        tx.start_first_process(&NewProcess {
            resource: &row,
            process: &qualified(&row, "create"),
            data: "{}",
        })?;
    }
    Ok(row)
}

/// What a PUT is applied with: the type, and what its noun has to say about it.
pub(crate) struct Update {
    def: Arc<Type>,
    machine: Option<Arc<Machine>>,
    /// Fields whose change starts the process `update`.
    scheduled: Vec<String>,
    /// Refuses a new name that is not free.
    check_name: NameRule,
    /// Whether the row may be given to another host.
    moves: bool,
}

/// The fields whose change starts the process `update`.
fn scheduled_of(ty: &TypeView) -> Vec<String> {
    let fields = ty.input_fields().iter();
    fields
        .filter(|(_, f)| f.schedule_update)
        .map(|(n, _)| n.clone())
        .collect()
}

/// Refuses a new name of a row.
pub(crate) type NameRule = fn(&mut Tx<'_>, &Resource, &str) -> Result<()>;

impl Update {
    /// As the type has it: any name is free.
    pub(crate) fn of(ty: &TypeView) -> Self {
        Self {
            scheduled: scheduled_of(ty),
            ..Self::plain(&ty.def)
        }
    }

    /// Fields as such: no process follows.
    pub(crate) fn plain(def: &Arc<Type>) -> Self {
        Self {
            def: def.clone(),
            machine: def.machine.clone(),
            scheduled: Vec::new(),
            check_name: |_, _, _| Ok(()),
            moves: false,
        }
    }

    /// The same that starts no process.
    pub(crate) fn at_once(self) -> Self {
        Self {
            scheduled: Vec::new(),
            ..self
        }
    }

    /// The same with a rule for names.
    pub(crate) fn named_by(self, check_name: NameRule) -> Self {
        Self { check_name, ..self }
    }

    /// The same of what may change its host.
    pub(crate) fn moving(self) -> Self {
        Self { moves: true, ..self }
    }
}

/// A row that is not removed. 409 for one that is.
pub(crate) fn live(tx: &mut Tx<'_>, id: ResourceId) -> Result<Resource> {
    let row = tx.get(id)?;
    match row.removed {
        Some(_) => Err(Error::new(ErrorKind::Conflict)),
        None => Ok(row),
    }
}

/// Writes the changed fields of a PUT; a change of a scheduled field starts the update process.
pub(crate) fn apply_update(tx: &mut Tx<'_>, update: &Update, row: &Resource, input: &Input) -> Result<Resource> {
    let mut fields = Fields::parse(&row.fields)?;
    let mut changes = Changes::default();
    let mut changed = Vec::new();
    for (name, value) in input {
        let Some(field) = update.def.fields.get(name) else {
            continue;
        };
        match field.source {
            Source::Column(Column::Name) => {
                let new = value.as_str().unwrap_or_default();
                if new != row.name {
                    (update.check_name)(tx, row, new)?;
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
            Source::Column(Column::HostId) if update.moves => {
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
    let starts = changed.iter().any(|n| update.scheduled.contains(n));
    changes.fields = Some(fields);
    // What is upgraded keeps what is written until the upgrade is finished or rolled back: no process runs between.
    let starts = starts && row.state != State::UPGRADED;
    match update.machine.as_deref().filter(|m| starts && m.has_process("update")) {
        Some(machine) => request(tx, machine, row, "update", "{}", changes),
        None => tx.update_if(row, &changes),
    }
}

/// Whether a name is free in an account.
pub(crate) fn check_free_in_account(
    tx: &mut Tx<'_>,
    root: &str,
    account: ResourceId,
    name: &str,
    except: Option<ResourceId>,
) -> Result<()> {
    match tx
        .named(root, Within::Account(account), name)?
        .iter()
        .any(|id| Some(*id) != except)
    {
        true => Err(Error::invalid("NotUnique", "name")),
        false => Ok(()),
    }
}

impl Core {
    /// A row of a type without behaviour of its own: its machine's first process is asked for, nothing else happens.
    pub(crate) async fn create_plain(
        &self,
        scope: &Scope,
        def: &Arc<Type>,
        account: ResourceId,
        input: Input,
    ) -> Result<Resource> {
        let new = row_from_input(def, account, &input)?;
        let machine = def.machine.clone();
        self.write_for(scope, move |tx| insert_and_start(tx, machine.as_deref(), new))
            .await
    }

    /// A PUT that is nothing but changed fields.
    pub(crate) async fn update_row(
        &self,
        scope: &Scope,
        id: ResourceId,
        input: Input,
        update: Update,
    ) -> Result<Resource> {
        self.write_for(scope, move |tx| {
            let row = live(tx, id)?;
            apply_update(tx, &update, &row, &input)
        })
        .await
    }

    /// An action that is a process: asked for if the state still allows it, and `check` does.
    pub(crate) async fn start_action<F>(
        &self,
        scope: &Scope,
        row: &Resource,
        action: &str,
        data: String,
        check: F,
    ) -> Result<Answer>
    where
        F: FnOnce(&mut Tx<'_>, &Resource) -> Result<()> + Send + 'static,
    {
        let machine = self.machine_of_row(row)?.clone();
        let (id, action) = (row.id, action.to_owned());
        self.write_for(scope, move |tx| {
            let row = tx.get(id)?;
            check(tx, &row)?;
            if machine.start(&action, row.state).is_none() {
                return Err(not_available());
            }
            request(tx, &machine, &row, &action, &data, Changes::default())
        })
        .await
        .map(|row| Answer::Accepted(Box::new(row)))
    }

    /// DELETE: the process `remove` is asked for, if `check` allows it. What has no such process goes at once.
    pub(crate) async fn remove_row<F>(
        &self,
        scope: &Scope,
        def: &Arc<Type>,
        id: ResourceId,
        check: F,
    ) -> Result<Resource>
    where
        F: FnOnce(&mut Tx<'_>, &Resource) -> Result<()> + Send + 'static,
    {
        let (machine, keep) = (def.machine.clone(), self.keep_removed());
        self.write_for(scope, move |tx| {
            let row = tx.get(id)?;
            check(tx, &row)?;
            match machine.filter(|m| m.has_process("remove")) {
                // What goes or is gone is not asked to go again, and no fault of whoever asks (cattle: `ALREADY_DONE`).
                _ if row.removed.is_some() && row.state == State::PURGED => Err(not_now()),
                _ if row.removed.is_some() => Ok(row),
                None => retire(tx, &row, keep),
                Some(machine) if machine.running("remove", row.state).is_some() => Ok(row),
                Some(machine) if machine.start("remove", row.state).is_none() => Err(not_now()),
                Some(machine) => request(tx, &machine, &row, "remove", "{}", Changes::default()),
            }
        })
        .await
    }
}

/// A check that refuses nothing.
pub(crate) fn unchecked(_: &mut Tx<'_>, _: &Resource) -> Result<()> {
    Ok(())
}

/// 405 for what cannot be removed as it is.
pub(crate) fn not_now() -> Error {
    Error::new(ErrorKind::MethodNotAllowed)
}

/// A part of something that goes: removed at once, readable for a while.
pub(crate) fn retire(tx: &mut Tx<'_>, part: &Resource, keep: Duration) -> Result<Resource> {
    let now = tx.now();
    let changes = Changes {
        state: Some(State::REMOVED),
        removed: Some(now),
        purge_after: Some(now.plus(keep)),
        ..Changes::default()
    };
    tx.update_if(part, &changes)
}

/// Removes a part of an account at once, whatever it was doing.
pub(crate) fn retire_part(tx: &mut Tx<'_>, id: ResourceId, keep: std::time::Duration) -> Result<()> {
    let Some(part) = tx.find(id)?.filter(|part| part.removed.is_none()) else {
        return Ok(());
    };
    tx.delete_credential(id)?;
    tx.pre_empt(id)?;
    retire(tx, &part, keep)?;
    Ok(())
}
