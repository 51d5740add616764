//! Accounts of people and programs: under which names others know them, and what goes with them.

use serde_json::Value;

use crate::engine::access::{BEARER, MEMBER};
use crate::engine::core::{Core, DEFAULT_PROJECT, Input, Scope, insert_and_start, retire_part, row_from_input};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::schema::TypeView;
use crate::store::{Direction, Tx};

/// The only sort of identity there is without another directory.
pub(crate) const RANCHER_ID: &str = "rancher_id";

/// Accounts below this number are there from the start, and stay.
const FIRST_OWN: i64 = 1_000;

/// Kinds of accounts that can be made by hand.
const KINDS: [&str; 10] = [
    "user",
    "admin",
    "readAdmin",
    "service",
    "superadmin",
    "agent",
    "agentRegister",
    "readonly",
    "projectadmin",
    "environment",
];

/// Somebody, as members and lists of identities show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: ResourceId,
    /// `1a7`
    pub external_id: String,
    /// The login, if the account has a password.
    pub login: Option<String>,
    /// The name of the account.
    pub name: String,
    /// Whether it is the caller.
    pub is_user: bool,
}

impl Core {
    /// An account as an identity.
    pub(crate) fn identity(&self, scope: &Scope, row: &Resource) -> Result<Identity> {
        let login = self
            .store
            .all("credential", Some(row.id))?
            .into_iter()
            .find(|c| c.kind == "password");
        let login = login
            .map(|c| Fields::parse(&c.fields))
            .transpose()?
            .and_then(|f| f.text("publicValue"));
        let external_id = self.wire_id("account", row.id);
        Ok(Identity {
            account: row.id,
            external_id,
            login,
            name: row.name.clone(),
            is_user: row.id == scope.user.id,
        })
    }

    /// The accounts of people that are called so (`exact`), or partly so; without a name the caller's own.
    pub(crate) fn identities(&self, scope: &Scope, name: Option<&str>, is_exact: bool) -> Result<Vec<Identity>> {
        let Some(name) = name.map(str::to_lowercase) else {
            let own = self.store.find(scope.user.id)?;
            return own.iter().map(|row| self.identity(scope, row)).collect();
        };
        let mut found = Vec::new();
        for row in self.store.all("account", None)?.into_iter().filter(is_person) {
            let identity = self.identity(scope, &row)?;
            let fits = |text: &str| {
                if is_exact {
                    text.to_lowercase() == name
                } else {
                    text.to_lowercase().contains(&name)
                }
            };
            if fits(&identity.name) || identity.login.as_deref().is_some_and(fits) {
                found.push(identity);
            }
        }
        Ok(found)
    }

    /// The account behind a number that names a person.
    pub(crate) fn find_identity(&self, scope: &Scope, id: ResourceId) -> Result<Option<Identity>> {
        let row = self
            .store
            .find(id)?
            .filter(|row| row.root == "account" && is_person(row));
        row.map(|row| self.identity(scope, &row)).transpose()
    }

    /// What goes with a membership: the keys that an owner made for the project.
    pub(crate) async fn end_membership(&self, member: &Resource) -> Result<()> {
        let account = self.store.references(MEMBER, &[member.id], Direction::From)?;
        let (Some((_, account)), Some(project)) = (account.first().copied(), member.account_id) else {
            return Ok(());
        };
        self.end_keys(project, account).await
    }

    /// What goes with an account that is no project: its keys, its preferences, its memberships.
    pub(crate) async fn remove_account(&self, row: &Resource) -> Result<()> {
        let mut parts = Vec::new();
        for root in ["credential", "userPreference", BEARER] {
            parts.extend(self.store.all(root, Some(row.id))?.into_iter().map(|part| part.id));
        }
        parts.extend(
            self.store
                .references(MEMBER, &[row.id], Direction::To)?
                .into_iter()
                .map(|(member, _)| member),
        );
        let (id, keep) = (row.id, self.keep_removed());
        for (project, _) in self.memberships(id)? {
            self.end_keys(project, id).await?;
        }
        self.write(move |tx| tx.delete_sessions(id, None)).await?;
        self.write_each(parts, move |tx, id| retire_part(tx, id, keep)).await
    }
}

fn is_person(row: &Resource) -> bool {
    row.removed.is_none() && matches!(row.kind.as_str(), "admin" | "user" | "readAdmin")
}

/// A new account.
pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, input: Input) -> Result<Resource> {
    if input.get("kind").is_some_and(Value::is_null) {
        return Err(Error::new(ErrorKind::Conflict));
    }
    let kind = input.get("kind").and_then(Value::as_str).unwrap_or("user").to_owned();
    if !KINDS.contains(&kind.as_str()) {
        return Err(Error::invalid("InvalidOption", "kind"));
    }
    let mut new = row_from_input(&ty.def, DEFAULT_PROJECT, &input)?;
    // An account belongs to nobody.
    (new.account_id, new.kind) = (None, kind);
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| insert_and_start(tx, machine.as_deref(), new))
        .await
}

/// 405 for what would leave the server without one who runs it, or without what it is made of.
pub(crate) fn check_leaving(tx: &mut Tx<'_>, row: &Resource, operation: &str) -> Result<()> {
    if row.root != "account" || !matches!(operation, "deactivate" | "remove" | "purge" | "delete") {
        return Ok(());
    }
    if row.kind == "admin" {
        return check_last_admin(tx, row);
    }
    if row.id == DEFAULT_PROJECT && operation == "deactivate" {
        return Ok(());
    }
    match row.id.0 < FIRST_OWN {
        true => Err(Error::new(ErrorKind::MethodNotAllowed).with_message("the server itself needs this account")),
        false => Ok(()),
    }
}

/// 405 `LastAdminAccount` if there is no other active admin.
pub(crate) fn check_last_admin(tx: &mut Tx<'_>, row: &Resource) -> Result<()> {
    let has_other = tx
        .all("account", None)?
        .iter()
        .any(|a| a.id != row.id && a.kind == "admin" && a.state == State::ACTIVE);
    match has_other || row.state == State::INACTIVE {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::MethodNotAllowed).with_code("LastAdminAccount")),
    }
}

/// What of a PUT is about accounts only: the kind. 422 for one that cannot be given, 405 for the last admin.
pub(crate) fn new_kind(tx: &mut Tx<'_>, row: &Resource, input: &Input) -> Result<Option<String>> {
    let Some(kind) = input
        .get("kind")
        .and_then(Value::as_str)
        .filter(|kind| *kind != row.kind)
    else {
        return Ok(None);
    };
    if row.kind == "project" || !KINDS.contains(&kind) {
        return Err(Error::invalid("InvalidOption", "kind"));
    }
    if row.kind == "admin" {
        check_last_admin(tx, row)?;
    }
    Ok(Some(kind.to_owned()))
}
