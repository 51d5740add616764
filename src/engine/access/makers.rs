//! Keys and passwords of a project: who made them, and how they end with that person's place in it.
//!
//! Whoever holds a project's own key is the project, whatever they were in it before. So only owners make such keys, and a key
//! works no longer than its maker is an owner.

use crate::engine::core::{Core, Proof, Scope, is_project, notes, retire_part, write_notes};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::Role;

/// What the engine notes of a credential.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct KeyNotes {
    /// Who made it for a project; none for keys of before, and for those of people.
    maker: Option<i64>,
    /// The configuration says it: it ends when that says it no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bootstrap: bool,
}

/// What is noted of a key that the configuration says.
pub(crate) fn notes_of_bootstrap_key() -> Result<String> {
    write_notes(&KeyNotes {
        bootstrap: true,
        ..KeyNotes::default()
    })
}

/// Whether the configuration said a key.
pub(crate) fn is_of_bootstrap(key: &Resource) -> bool {
    notes::<KeyNotes>(key).bootstrap
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
        write_notes(&KeyNotes {
            maker: by,
            ..KeyNotes::default()
        })
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

    /// Removes the keys that `maker`, who is no owner any more, made for a project. They prove nothing from the moment on that
    /// its place is written: this may come after it, and in portions.
    pub(crate) async fn end_keys(&self, project: ResourceId, maker: ResourceId) -> Result<()> {
        let mut keys = self.store.all("credential", Some(project))?;
        keys.retain(|key| notes::<KeyNotes>(key).maker == Some(maker.0));
        let keep = self.keep_removed();
        self.write_each(keys, move |tx, key| retire_part(tx, key.id, keep))
            .await
    }
}
