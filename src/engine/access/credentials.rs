//! Keys, passwords and other secrets.
//!
//! A row says that a credential is there, whose it is and in what state; what proves it is kept apart (`store::credential`),
//! as a digest, a slow hash or a seal. A secret that was made here is shown once, in the answer to the POST that made it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::Value;

use crate::engine::core::Proof;
use crate::engine::core::{
    Answer, Core, Input, PASSWORD_LENGTH, Scope, TOKEN_KIND, Update, apply_update, insert_and_start, live,
    row_from_input,
};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result};
use crate::schema::{Column, Role, Type, TypeView, layout, limits};
use crate::secret;
use crate::store::{Condition, CredentialSecret, ListSpec, Scalar, Target, Tx};

use super::certificates::reveal_key;
use super::keys::API_KEY_SECRET;
use super::registries::REGISTRY_SECRET;

/// What a secret's value is sealed for.
pub(crate) const SECRET_VALUE: &str = "secret.value";

/// The kind of a registry's credential.
const REGISTRY_KIND: &str = "registryCredential";

/// Kinds whose public half belongs to one credential only.
fn has_own_name(kind: &str) -> bool {
    matches!(
        kind,
        "apiKey" | "agentApiKey" | "password" | "usernamePassword" | "registrationToken"
    )
}

pub(super) fn text<'i>(input: &'i Input, field: &str) -> Option<&'i str> {
    input.get(field).and_then(Value::as_str)
}

impl Core {
    /// 422 for a password that is too short to be one.
    pub(crate) fn check_length(&self, kind: &str, plain: &str, field: &str) -> Result<()> {
        let is_password = matches!(kind, "password" | "usernamePassword");
        let least = usize::try_from(self.setting_count(PASSWORD_LENGTH)?).unwrap_or(usize::MAX);
        match is_password && plain.chars().count() < least {
            true => Err(Error::invalid("MinLengthExceeded", field)
                .with_message(format!("a password has at least {least} characters"))),
            false => Ok(()),
        }
    }

    /// What is kept of a secret. A password takes some ten milliseconds, on a thread of its own.
    async fn kept(&self, kind: &str, plain: &str) -> Result<String> {
        match kind {
            "registryCredential" => self.config.secrets.seal(REGISTRY_SECRET, plain),
            // Requests may be signed with it.
            "apiKey" => self.config.secrets.seal(API_KEY_SECRET, plain),
            "password" | "usernamePassword" => {
                let plain = plain.to_owned();
                let hashed = tokio::task::spawn_blocking(move || secret::hash_password(&plain)).await;
                hashed.map_err(|e| Error::internal("hashing a password", e))?
            }
            _ => Ok(self.config.secrets.digest(plain)),
        }
    }

    /// A row as the answer to its own POST: with the secret in it.
    pub(crate) fn with_secret(ty: &Type, row: Resource, plain: &str) -> Result<Resource> {
        Self::with_shown(ty, row, "secretValue", plain)
    }

    /// The same with the field that the secret is shown in.
    pub(super) fn with_shown(ty: &Type, row: Resource, field: &str, plain: &str) -> Result<Resource> {
        let mut fields = Fields::parse(&row.fields)?;
        fields.set(field, plain)?;
        let (fields, cuts) = layout::pack(ty, &fields);
        Ok(Resource { fields, cuts, ..row })
    }

    /// Shows a sealed secret to those whose view has it for reading; everybody else reads null.
    pub(crate) fn reveal(&self, scope: &Scope, row: Resource) -> Result<Resource> {
        let row = reveal_key(self, scope, row)?;
        let may_read = matches!(scope.role, Role::ProjectAdmin | Role::Service | Role::Superadmin);
        match may_read {
            true => self.with_registry_secret(row),
            false => Ok(row),
        }
    }

    /// The same for a row that others have, too.
    pub(crate) fn reveal_shared(&self, scope: &Scope, row: Arc<Resource>) -> Result<Arc<Resource>> {
        match row.root.as_str() {
            "certificate" | "credential" => self.reveal(scope, Arc::unwrap_or_clone(row)).map(Arc::new),
            _ => Ok(row),
        }
    }

    /// A registry's credential with the secret in it, as its POST and its actions are answered.
    pub(super) fn with_registry_secret(&self, row: Resource) -> Result<Resource> {
        if row.kind != REGISTRY_KIND || row.root != "credential" {
            return Ok(row);
        }
        let kept = self
            .store
            .credential(row.id)?
            .and_then(|kept| self.config.secrets.unseal(REGISTRY_SECRET, &kept.secret));
        match kept {
            Some(plain) => Self::with_secret(self.type_of_row(&row)?, row, &plain),
            None => Ok(row),
        }
    }

    /// The last of a credential: what proved it goes before the row does, and so do the logins that it opened.
    pub(crate) async fn forget_credential(&self, row: &Resource) -> Result<()> {
        let row = row.clone();
        self.write(move |tx| {
            tx.delete_credential(row.id)?;
            end_sessions(tx, &row, None)
        })
        .await
    }

    /// A credential that is to prove nothing for a while.
    pub(crate) async fn suspend_credential(&self, row: &Resource) -> Result<()> {
        if row.kind != PASSWORD {
            return Ok(());
        }
        let row = row.clone();
        self.write(move |tx| end_sessions(tx, &row, None)).await
    }
}

/// What logins are opened with.
const PASSWORD: &str = "password";

/// Ends what was logged in by a password that changes or goes; whoever changes it stays.
fn end_sessions(tx: &mut Tx<'_>, credential: &Resource, except: Option<i64>) -> Result<()> {
    match credential.account_id.filter(|_| credential.kind == PASSWORD) {
        Some(account) => tx.delete_sessions(account, except),
        None => Ok(()),
    }
}

fn session_of(scope: &Scope) -> Option<i64> {
    match scope.proof {
        Proof::Session(id) => Some(id),
        _ => None,
    }
}

/// Narrows a list of credentials: registration tokens are for who could use them.
pub(crate) fn restrict_list(core: &Core, scope: &Scope, ty: &TypeView, spec: &mut ListSpec) -> Result<()> {
    if ty.def.root == "credential" && !core.has_infrastructure(scope.role)? {
        spec.conditions.push(Condition::compare(
            Target::Column(Column::Kind),
            "ne",
            Scalar::Text(TOKEN_KIND.to_owned()),
        ));
    }
    Ok(())
}

/// 422 if another credential that is not removed has this public half, in whatever case.
pub(crate) fn check_name_free(tx: &mut Tx<'_>, kind: &str, public_value: &str, own: Option<ResourceId>) -> Result<()> {
    if !has_own_name(kind) {
        return Ok(());
    }
    for other in tx
        .credentials(public_value)?
        .into_iter()
        .filter(|c| Some(c.id) != own && has_own_name(&c.kind))
    {
        if tx.find(other.id)?.is_some_and(|row| row.removed.is_none()) {
            return Err(Error::invalid("NotUnique", "publicValue"));
        }
    }
    Ok(())
}

/// Credentials by which somebody can log in or send requests.
const KEYS: [&str; 4] = ["apiKey", "password", "usernamePassword", "credential"];

/// 422 for an account that has as many keys and passwords as one may have.
fn check_number(tx: &mut Tx<'_>, kind: &str, account: ResourceId) -> Result<()> {
    if !KEYS.contains(&kind) {
        return Ok(());
    }
    let of_account = tx.all("credential", Some(account))?;
    let number = of_account
        .iter()
        .filter(|row| KEYS.contains(&row.kind.as_str()))
        .count();
    match number >= limits::KEYS {
        true => Err(Error::invalid("MaxLimitExceeded", "accountId")),
        false => Ok(()),
    }
}

/// A new credential. Only those whose view lets them give the two halves do; for all others they are made.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    mut input: Input,
) -> Result<Resource> {
    let kind = ty.def.id.clone();
    let is_key = matches!(kind.as_str(), "apiKey" | "credential");
    let public_value = match text(&input, "publicValue").filter(|v| !v.is_empty()) {
        Some(given) => given.to_owned(),
        None if is_key => secret::access_key()?,
        // A registry may be open to everybody.
        None if kind == REGISTRY_KIND => String::new(),
        None => return Err(Error::invalid("MissingRequired", "publicValue")),
    };
    let is_null = input.get("secretValue") == Some(&Value::Null);
    let plain = match (text(&input, "secretValue").filter(|v| !v.is_empty()), is_key) {
        (Some(given), _) => Some(given.to_owned()),
        // Quirk: a public half with a null for the other makes a key without a secret (cattle: `ApiKeyFilter`).
        (None, true) if is_null && text(&input, "publicValue").is_some() => None,
        (None, true) => Some(secret::secret_key()?),
        (None, false) if kind == REGISTRY_KIND => None,
        (None, false) => return Err(Error::invalid("MissingRequired", "secretValue")),
    };
    if let Some(plain) = &plain {
        core.check_length(&kind, plain, "secretValue")?;
    }
    let kept = match &plain {
        Some(plain) => core.kept(&kind, plain).await?,
        // Fits nothing.
        None => String::new(),
    };
    input.shift_remove("secretValue");
    if !public_value.is_empty() {
        input.insert("publicValue".into(), Value::from(public_value.as_str()));
    }
    let mut new = row_from_input(&ty.def, account, &input)?;
    if KEYS.contains(&kind.as_str()) {
        new.internal = core.notes_of_new_key(scope, account)?;
    }
    let machine = ty.def.machine.clone();
    let row = core
        .write_for(scope, move |tx| {
            check_name_free(tx, &kind, &public_value, None)?;
            check_number(tx, &kind, account)?;
            let row = insert_and_start(tx, machine.as_deref(), new)?;
            tx.set_credential(&CredentialSecret {
                id: row.id,
                kind,
                public_value,
                secret: kept,
            })?;
            Ok(row)
        })
        .await?;
    match plain.filter(|_| matches!(ty.def.id.as_str(), "apiKey" | REGISTRY_KIND)) {
        Some(plain) => Core::with_secret(&ty.def, row, &plain),
        None => Ok(row),
    }
}

/// A new secret: its row says what it is called, its value is sealed beside it. Shown in this answer only.
pub(crate) async fn create_secret(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    mut input: Input,
) -> Result<Resource> {
    let value = input.shift_remove("value");
    if value.as_ref().and_then(Value::as_str) == Some("") {
        return Err(Error {
            field: None,
            detail: Some(String::new()),
            ..Error::invalid("NotNullable", "value").with_message("Secret value cannot be null/empty")
        });
    }
    let value = value.and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    if value.is_empty() {
        return Err(Error::invalid("EmptySecret", "value").with_message("Secret cannot be empty"));
    }
    // With padding or without, as the original takes it.
    if STANDARD.decode(&value).is_err() && STANDARD_NO_PAD.decode(&value).is_err() {
        return Err(Error::invalid("InvalidBase64", "value").with_message("Invalid base64 content"));
    }
    create_sealed(core, scope, ty, account, &input, SECRET_VALUE, ("value", &value)).await
}

/// A row of which one field is sealed, and shown in the answer to its own POST only.
pub(super) async fn create_sealed(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: &Input,
    purpose: &str,
    (field, plain): (&str, &str),
) -> Result<Resource> {
    let sealed = core.config.secrets.seal(purpose, plain)?;
    let new = row_from_input(&ty.def, account, input)?;
    let machine = ty.def.machine.clone();
    let row = core
        .write_for(scope, move |tx| {
            let row = insert_and_start(tx, machine.as_deref(), new)?;
            keep_sealed(tx, &row, sealed)?;
            Ok(row)
        })
        .await?;
    Core::with_shown(&ty.def, row, field, plain)
}

/// Keeps what was sealed beside its row. Nothing is proved by it: it has no public half.
pub(super) fn keep_sealed(tx: &mut Tx<'_>, row: &Resource, sealed: String) -> Result<()> {
    tx.set_credential(&CredentialSecret {
        id: row.id,
        kind: row.kind.clone(),
        public_value: String::new(),
        secret: sealed,
    })
}

/// A PUT that may change either half; everything else of it is as with any row.
pub(crate) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    mut input: Input,
) -> Result<Resource> {
    let (id, kind) = (row.id, row.kind.clone());
    let plain = text(&input, "secretValue").filter(|v| !v.is_empty()).map(str::to_owned);
    if let Some(plain) = &plain {
        core.check_length(&kind, plain, "secretValue")?;
    }
    let kept = match &plain {
        Some(plain) => Some(core.kept(&kind, plain).await?),
        None => None,
    };
    input.shift_remove("secretValue");
    let public_value = text(&input, "publicValue").filter(|v| !v.is_empty()).map(str::to_owned);
    if input.contains_key("publicValue") && public_value.is_none() {
        return Err(Error::invalid("MissingRequired", "publicValue"));
    }
    let update = Update::of(ty).at_once();
    let own_session = session_of(scope);
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        if kept.is_some() || public_value.is_some() {
            let known = tx
                .credentials_of(id)?
                .ok_or_else(|| Error::conflict("the credential is being removed"))?;
            let public_value = public_value.unwrap_or_else(|| known.public_value.clone());
            check_name_free(tx, &kind, &public_value, Some(id))?;
            end_sessions(tx, &row, own_session)?;
            tx.set_credential(&CredentialSecret {
                public_value,
                secret: kept.unwrap_or(known.secret.clone()),
                ..known
            })?;
        }
        apply_update(tx, &update, &row, &input)
    })
    .await
}

/// `changesecret`: an administrator need not know the old one.
pub(crate) async fn change_secret(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let new = text(input, "newSecret")
        .filter(|v| !v.is_empty())
        .ok_or_else(|| Error::invalid("MissingRequired", "newSecret"))?;
    core.check_length(&row.kind, new, "newSecret")?;
    let id = row.id;
    if scope.owner().is_some() {
        let old = text(input, "oldSecret").unwrap_or_default().to_owned();
        let hash = core.store.credential(id)?.map(|c| c.secret).unwrap_or_default();
        let checked = tokio::task::spawn_blocking(move || secret::check_password(&old, &hash)).await;
        if !checked.map_err(|e| Error::internal("checking a password", e))? {
            return Err(Error::new(ErrorKind::BadRequest)
                .with_code("InvalidOldPassword")
                .with_field("oldSecret"));
        }
    }
    let kept = core.kept(&row.kind, new).await?;
    let own_session = session_of(scope);
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        end_sessions(tx, &row, own_session)?;
        let known = tx
            .credentials_of(id)?
            .ok_or_else(|| Error::conflict("the password is being removed"))?;
        tx.set_credential(&CredentialSecret { secret: kept, ..known })?;
        tx.announce(id, row.account_id)?;
        Ok(row)
    })
    .await
    .map(|row| Answer::Done(Box::new(row)))
}
