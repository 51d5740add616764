//! Keys and passwords of a project: who made them, and how they end with that person's place in it.
//!
//! Whoever holds a project's own key is the project, whatever they were in it before. So only owners make such keys, and a key
//! works no longer than its maker is an owner.

use crate::engine::core::{Core, Proof, Scope, is_project, notes, retire, write_notes};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::Role;
use crate::store::Tx;

/// What the engine notes of a credential.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct KeyNotes {
    /// Who made it for a project; none for keys of before, and for those of people.
    maker: Option<i64>,
}

impl Core {
    /// What is noted of a new key of `account`; 403 for who may not make one.
    pub(super) fn notes_of_new_key(&self, scope: &Scope, account: ResourceId) -> Result<String> {
        let Some(project) = self.store.find(account)?.filter(is_project) else {
            return Ok(String::new());
        };
        if !matches!(self.role_in(scope, &project)?, Some(Role::Owner | Role::Project)) {
            return Err(Error::new(ErrorKind::Forbidden).with_message("only an owner may make keys of a project"));
        }
        // What a project's key makes is its maker's.
        let by = match scope.proof {
            Proof::Key(key) if scope.user.id == project.id => {
                self.store.find(key)?.and_then(|key| notes::<KeyNotes>(&key).maker)
            }
            _ => Some(scope.user.id.0),
        };
        write_notes(&KeyNotes { maker: by })
    }

    /// Whether a key's maker still may hold it.
    pub(super) fn is_held_by_right(&self, key: &Resource, account: &Resource) -> Result<bool> {
        let Some(maker) = notes::<KeyNotes>(key).maker.filter(|_| is_project(account)) else {
            return Ok(true);
        };
        let maker = self
            .store
            .find(ResourceId(maker))?
            .filter(crate::engine::core::is_usable);
        Ok(match maker {
            Some(maker) if matches!(maker.kind.as_str(), "admin" | "superadmin") => true,
            Some(maker) => self.best_membership(maker.id, account.id)? == Some(Role::Owner),
            None => false,
        })
    }
}

/// Removes the keys that `maker`, who is no owner any more, made for a project.
pub(crate) fn end_keys(
    tx: &mut Tx<'_>,
    project: ResourceId,
    maker: ResourceId,
    keep: std::time::Duration,
) -> Result<()> {
    for key in tx.all("credential", Some(project))? {
        if notes::<KeyNotes>(&key).maker == Some(maker.0) {
            tx.delete_credential(key.id)?;
            tx.pre_empt(key.id)?;
            retire(tx, &key, keep)?;
        }
    }
    Ok(())
}
