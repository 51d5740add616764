//! Keys, passwords, what registries are opened with, and other secrets.
//!
//! A row says that a credential is there, whose it is and in what state; what proves it is kept apart (`store::credential`),
//! as a digest, a slow hash or a seal. A secret that was made here is shown once, in the answer to the POST that made it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::model::launch::parse_reference;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result};
use crate::runtime::RegistryAuth;
use crate::schema::{Machine, Role, Type, TypeView, layout};
use crate::secret;
use crate::store::{CredentialSecret, Tx};

use super::commands::{apply_update, insert_and_start, row_from_input};
use super::core::Core;
use super::door::{Answer, Input, Scope};

/// What a secret is sealed for, where it has to be read again.
pub(crate) const REGISTRY_SECRET: &str = "registryCredential.secretValue";

/// What a secret's value is sealed for.
pub(crate) const SECRET_VALUE: &str = "secret.value";

/// Where a container says what its image was pulled with.
pub(crate) const CREDENTIAL_FIELD: &str = "registryCredentialId";

/// Kinds whose public half belongs to one credential only.
fn has_own_name(kind: &str) -> bool {
    matches!(kind, "apiKey" | "agentApiKey" | "password" | "usernamePassword" | "registrationToken")
}

/// The registry that an image reference names, as Docker reads it.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((server, _)) if server.contains(['.', ':']) || server == "localhost" => server,
        _ => "index.docker.io",
    }
}

fn text<'i>(input: &'i Input, field: &str) -> Option<&'i str> {
    input.get(field).and_then(Value::as_str)
}

impl Core {
    /// What is kept of a secret. A password takes some ten milliseconds, on a thread of its own.
    async fn kept(&self, kind: &str, plain: &str) -> Result<String> {
        match kind {
            "registryCredential" => self.config.secrets.seal(REGISTRY_SECRET, plain),
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
    fn with_shown(ty: &Type, row: Resource, field: &str, plain: &str) -> Result<Resource> {
        let mut fields = Fields::parse(&row.fields)?;
        fields.set(field, plain)?;
        let (fields, cuts) = layout::pack(ty, &fields);
        Ok(Resource { fields, cuts, ..row })
    }

    /// Shows a sealed secret to those whose view has it for reading; everybody else reads null.
    pub(crate) fn reveal(&self, scope: &Scope, row: Resource) -> Result<Resource> {
        let may_read = matches!(scope.role, Role::ProjectAdmin | Role::Service | Role::Superadmin);
        if row.kind != "registryCredential" || row.root != "credential" || !may_read {
            return Ok(row);
        }
        let kept = self.store.credential(row.id)?.and_then(|kept| self.config.secrets.unseal(REGISTRY_SECRET, &kept.secret));
        match kept {
            Some(plain) => Self::with_secret(self.type_of_row(&row)?, row, &plain),
            None => Ok(row),
        }
    }

    /// What a container's image is pulled with, and where: the credential that the container names, else the newest of
    /// its project for the image's registry. Both it and its registry are active.
    pub(crate) fn registry_credential(&self, container: &Resource, image: &str) -> Result<Option<(Resource, String)>> {
        let names =
            |address: &str| address.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').to_lowercase();
        let named = Fields::parse(&container.fields)?.text(CREDENTIAL_FIELD).and_then(|wire| parse_reference(&wire));
        let credentials = match named {
            Some(id) => self.store.find(id)?.filter(|c| c.account_id == container.account_id).into_iter().collect(),
            None => self.store.all("credential", container.account_id)?,
        };
        for credential in credentials.into_iter().rev() {
            if credential.kind != "registryCredential" || credential.state != "active" {
                continue;
            }
            let registry = Fields::parse(&credential.fields)?.text("registryId").and_then(|wire| parse_reference(&wire));
            let Some(registry) = registry.map(|id| self.store.find(id)).transpose()?.flatten() else { continue };
            let address = Fields::parse(&registry.fields)?.text("serverAddress").unwrap_or_default();
            if registry.state == "active" && (named.is_some() || names(&address) == names(registry_of(image))) {
                return Ok(Some((credential, address)));
            }
        }
        Ok(None)
    }

    /// The same as an engine takes it.
    pub(crate) fn registry_auth(&self, container: &Resource, image: &str) -> Result<Option<RegistryAuth>> {
        let Some((credential, server)) = self.registry_credential(container, image)? else { return Ok(None) };
        let Some(kept) = self.store.credential(credential.id)? else { return Ok(None) };
        let plain = self.config.secrets.unseal(REGISTRY_SECRET, &kept.secret);
        Ok(plain.map(|password| RegistryAuth { username: kept.public_value, password, server }))
    }

    /// The last of a credential: what proved it goes before the row does.
    pub(crate) async fn forget_credential(&self, row: &Resource) -> Result<()> {
        let id = row.id;
        self.write(move |tx| tx.delete_credential(id)).await
    }
}

/// 422 if another credential that is not removed has this public half, in whatever case.
pub(crate) fn check_name_free(tx: &mut Tx<'_>, kind: &str, public_value: &str, own: Option<ResourceId>) -> Result<()> {
    if !has_own_name(kind) {
        return Ok(());
    }
    for other in tx.credentials(public_value)?.into_iter().filter(|c| Some(c.id) != own && has_own_name(&c.kind)) {
        if tx.find(other.id)?.is_some_and(|row| row.removed.is_none()) {
            return Err(Error::invalid("NotUnique", "publicValue"));
        }
    }
    Ok(())
}

/// A new credential. Only those whose view lets them give the two halves do; for all others they are made.
pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, account: ResourceId, mut input: Input) -> Result<Resource> {
    let kind = ty.def.id.clone();
    let is_key = matches!(kind.as_str(), "apiKey" | "credential");
    let public_value = match text(&input, "publicValue").filter(|v| !v.is_empty()) {
        Some(given) => given.to_owned(),
        None if is_key => secret::access_key()?,
        None => return Err(Error::invalid("MissingRequired", "publicValue")),
    };
    let is_null = input.get("secretValue") == Some(&Value::Null);
    let plain = match (text(&input, "secretValue").filter(|v| !v.is_empty()), is_key) {
        (Some(given), _) => Some(given.to_owned()),
        // Quirk: a public half with a null for the other makes a key without a secret (cattle: `ApiKeyFilter`).
        (None, true) if is_null && text(&input, "publicValue").is_some() => None,
        (None, true) => Some(secret::secret_key()?),
        (None, false) => return Err(Error::invalid("MissingRequired", "secretValue")),
    };
    let kept = match &plain {
        Some(plain) => core.kept(&kind, plain).await?,
        // Fits nothing.
        None => String::new(),
    };
    input.shift_remove("secretValue");
    input.insert("publicValue".into(), Value::from(public_value.as_str()));
    let new = row_from_input(&ty.def, account, &input)?;
    let machine = ty.def.machine.clone();
    let row = core
        .write_for(scope, move |tx| {
            check_name_free(tx, &kind, &public_value, None)?;
            let row = insert_and_start(tx, machine.as_deref(), new)?;
            tx.set_credential(&CredentialSecret { id: row.id, kind, public_value, secret: kept })?;
            Ok(row)
        })
        .await?;
    match plain.filter(|_| ty.def.id == "apiKey") {
        Some(plain) => Core::with_secret(&ty.def, row, &plain),
        None => Ok(row),
    }
}

/// A new secret: its row says what it is called, its value is sealed beside it. Shown in this answer only.
pub(crate) async fn create_secret(core: &Core, scope: &Scope, ty: &TypeView, account: ResourceId, mut input: Input) -> Result<Resource> {
    let value = input.shift_remove("value").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    if value.is_empty() {
        return Err(Error::invalid("EmptySecret", "value"));
    }
    if STANDARD.decode(&value).is_err() {
        return Err(Error::invalid("InvalidBase64", "value"));
    }
    let sealed = core.config.secrets.seal(SECRET_VALUE, &value)?;
    let new = row_from_input(&ty.def, account, &input)?;
    let machine = ty.def.machine.clone();
    let row = core
        .write_for(scope, move |tx| {
            let row = insert_and_start(tx, machine.as_deref(), new)?;
            // Nothing is proved by it: it has no public half.
            tx.set_credential(&CredentialSecret { id: row.id, kind: row.kind.clone(), public_value: String::new(), secret: sealed })?;
            Ok(row)
        })
        .await?;
    Core::with_shown(&ty.def, row, "value", &value)
}

/// A PUT that may change either half; everything else of it is as with any row.
pub(crate) async fn update(core: &Core, scope: &Scope, ty: &TypeView, row: &Resource, mut input: Input) -> Result<Resource> {
    let (id, kind, def) = (row.id, row.kind.clone(), ty.def.clone());
    let plain = text(&input, "secretValue").filter(|v| !v.is_empty()).map(str::to_owned);
    let kept = match &plain {
        Some(plain) => Some(core.kept(&kind, plain).await?),
        None => None,
    };
    input.shift_remove("secretValue");
    let public_value = text(&input, "publicValue").filter(|v| !v.is_empty()).map(str::to_owned);
    if input.contains_key("publicValue") && public_value.is_none() {
        return Err(Error::invalid("MissingRequired", "publicValue"));
    }
    let machine: Option<Arc<Machine>> = def.machine.clone();
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if row.removed.is_some() {
            return Err(Error::conflict("the resource is removed"));
        }
        if kept.is_some() || public_value.is_some() {
            let known = tx.credentials_of(id)?.ok_or_else(|| Error::conflict("the credential is being removed"))?;
            let public_value = public_value.unwrap_or_else(|| known.public_value.clone());
            check_name_free(tx, &kind, &public_value, Some(id))?;
            tx.set_credential(&CredentialSecret { public_value, secret: kept.unwrap_or(known.secret.clone()), ..known })?;
        }
        apply_update(tx, &def, machine.as_deref(), &row, input, &[])
    })
    .await
}

/// `changesecret`: an administrator need not know the old one.
pub(crate) async fn change_secret(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let new = text(input, "newSecret").filter(|v| !v.is_empty()).ok_or_else(|| Error::invalid("MissingRequired", "newSecret"))?;
    let id = row.id;
    if scope.owner().is_some() {
        let old = text(input, "oldSecret").unwrap_or_default().to_owned();
        let hash = core.store.credential(id)?.map(|c| c.secret).unwrap_or_default();
        let checked = tokio::task::spawn_blocking(move || secret::check_password(&old, &hash)).await;
        if !checked.map_err(|e| Error::internal("checking a password", e))? {
            return Err(Error::new(ErrorKind::BadRequest).with_code("InvalidOldPassword").with_field("oldSecret"));
        }
    }
    let kept = core.kept(&row.kind, new).await?;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        let known = tx.credentials_of(id)?.ok_or_else(|| Error::conflict("the password is being removed"))?;
        tx.set_credential(&CredentialSecret { secret: kept, ..known })?;
        tx.announce(id, row.account_id)?;
        Ok(row)
    })
    .await
    .map(|row| Answer::Done(Box::new(row)))
}

/// A registry: one for an address in a project.
pub(crate) async fn create_registry(core: &Core, scope: &Scope, ty: &TypeView, account: ResourceId, input: Input) -> Result<Resource> {
    let address = text(&input, "serverAddress").unwrap_or_default().to_lowercase();
    let mut new = row_from_input(&ty.def, account, &input)?;
    if new.name.is_empty() {
        new.name.clone_from(&address);
    }
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| {
        for other in tx.all("storagePool", Some(account))?.into_iter().filter(|pool| pool.kind == "registry") {
            if Fields::parse(&other.fields)?.text("serverAddress").is_some_and(|a| a.to_lowercase() == address) {
                return Err(Error::new(ErrorKind::BadRequest).with_code("ServerAddressUsed").with_field("serverAddress"));
            }
        }
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}

impl Core {
    /// Removing a registry removes what it was opened with.
    pub(crate) async fn remove_registry(&self, row: &Resource) -> Result<()> {
        let credentials = self.store.referrers(row.id, "registryId")?;
        let keep = self.keep_removed();
        self.write(move |tx| {
            for id in credentials {
                if let Some(credential) = tx.find(id)?.filter(|c| c.removed.is_none()) {
                    tx.delete_credential(id)?;
                    tx.pre_empt(id)?;
                    super::handlers::retire(tx, &credential, keep)?;
                }
            }
            Ok(())
        })
        .await
    }
}
