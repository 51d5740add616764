//! Objects that only other interfaces than Rancher's know: rows of a hidden type whose field `spec` is a JSON object. They are
//! made, changed and removed in one transaction each, in which it is also seen that what has to be unique is so.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::request::Scope;
use super::rows::{insert_and_start, live, new_row, retire};
use super::state::Core;
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::schema::Type;
use crate::store::{Changes, NewResource, Tx};

/// The field of such rows.
const SPEC: &str = "spec";
/// The code of a refusal because there is such an object already.
pub const TAKEN: &str = "NotUnique";
/// The most objects of one type in a project.
const MOST: usize = 2_000;

/// What an object must not share with another of its type in the project: each group of members, all of it alike. `name` is the
/// row's own; the others are members of `spec`.
pub type Unique = &'static [&'static [&'static str]];

/// What becomes of an object.
pub struct ObjectChange {
    /// A new name.
    pub name: Option<String>,
    /// Members of `spec` that are replaced; the others stay.
    pub spec: Map<String, Value>,
    /// What has to stay unique.
    pub unique: Unique,
}

/// The object that a row is; empty if nothing is kept.
pub fn spec_of(row: &Resource) -> Result<Map<String, Value>> {
    Ok(Fields::parse(&row.fields)?.read(SPEC)?.unwrap_or_default())
}

/// 409 if another object has what must not be shared.
fn check_unique(
    tx: &mut Tx<'_>,
    (root, account, own): (&str, ResourceId, Option<ResourceId>),
    (name, spec): (&str, &Map<String, Value>),
    unique: Unique,
) -> Result<()> {
    let others = tx.all(root, Some(account))?;
    if own.is_none() && others.len() >= MOST {
        return Err(Error::conflict(format!(
            "there are {MOST} of them in this project, and no more may be made"
        )));
    }
    for other in others.iter().filter(|other| Some(other.id) != own) {
        let kept = spec_of(other)?;
        let is_same = |member: &&str| match *member {
            "name" => other.name == name,
            member => kept.get(member).unwrap_or(&Value::Null) == spec.get(member).unwrap_or(&Value::Null),
        };
        if let Some(group) = unique.iter().find(|group| group.iter().all(is_same)) {
            let field = group.last().copied().unwrap_or_default();
            return Err(Error::conflict("there is one already")
                .with_code(TAKEN)
                .with_field(field));
        }
    }
    Ok(())
}

fn fields_with(spec: &Map<String, Value>) -> Result<Fields> {
    let mut fields = Fields::default();
    fields.set(SPEC, spec)?;
    Ok(fields)
}

impl Core {
    /// A new object in an account.
    ///
    /// # Errors
    /// 409 `NotUnique` with the member that another one has, 409 where there are too many.
    pub(crate) async fn add_object(
        &self,
        scope: &Scope,
        def: &Arc<Type>,
        account: ResourceId,
        made: ObjectChange,
    ) -> Result<Resource> {
        let (def, name) = (def.clone(), made.name.unwrap_or_default());
        self.write_for(scope, move |tx| {
            check_unique(tx, (&def.root, account, None), (&name, &made.spec), made.unique)?;
            let new = NewResource {
                name,
                ..new_row(&def, Some(account), fields_with(&made.spec)?)
            };
            insert_and_start(tx, def.machine.as_deref(), new)
        })
        .await
    }

    /// The same object with other members.
    ///
    /// # Errors
    /// As for a new one, and 409 for one that is gone.
    pub(crate) async fn change_object(&self, scope: &Scope, id: ResourceId, change: ObjectChange) -> Result<Resource> {
        self.write_for(scope, move |tx| {
            let row = live(tx, id)?;
            put_object(tx, &row, &change)
        })
        .await
    }

    /// Removes objects at once: the first one, and those that go with it.
    pub(crate) async fn drop_objects(
        &self,
        scope: &Scope,
        first: ResourceId,
        others: Vec<ResourceId>,
    ) -> Result<Resource> {
        let keep = self.keep_removed();
        self.write_for(scope, move |tx| {
            for id in others {
                if let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) {
                    retire(tx, &row, keep)?;
                }
            }
            let row = live(tx, first)?;
            retire(tx, &row, keep)
        })
        .await
    }
}

/// Writes what becomes of an object.
pub(crate) fn put_object(tx: &mut Tx<'_>, row: &Resource, change: &ObjectChange) -> Result<Resource> {
    let mut spec = spec_of(row)?;
    spec.extend(change.spec.clone());
    let name = change.name.clone().unwrap_or_else(|| row.name.clone());
    let account = row.account_id.unwrap_or(ResourceId(0));
    check_unique(tx, (&row.root, account, Some(row.id)), (&name, &spec), change.unique)?;
    let changes = Changes {
        name: Some(name).filter(|name| *name != row.name),
        patch: fields_with(&spec)?,
        ..Changes::default()
    };
    tx.update_if(row, &changes)
}
