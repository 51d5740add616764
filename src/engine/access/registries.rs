//! Registries, and what images are pulled from them with.

use serde_json::Value;

use crate::engine::core::{
    Core, Input, REGISTRY_DEFAULT, REGISTRY_WHITELIST, Scope, insert_and_start, retire_part, row_from_input,
};
use crate::model::launch::{is_none_image, parse_reference};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::runtime::RegistryAuth;
use crate::schema::TypeView;
use crate::store::{CredentialSecret, Tx};

use super::credentials::text;

/// What a secret is sealed for, where it has to be read again.
pub(crate) const REGISTRY_SECRET: &str = "registryCredential.secretValue";

/// Where a container says what its image was pulled with.
pub(crate) const CREDENTIAL_FIELD: &str = "registryCredentialId";

/// Where images come from that name no registry.
const DOCKER_HUB: &str = "index.docker.io";

/// The registry that an image reference names, as Docker reads it.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((server, _)) if server.contains(['.', ':']) || server == "localhost" => server,
        _ => DOCKER_HUB,
    }
}

impl Core {
    /// What a container's image is pulled with, and where: the credential that the container names, else the newest of
    /// its project, for the image's registry in either case: no other server gets a password to see. Both it and its registry
    /// are active.
    pub(crate) fn registry_credential(&self, container: &Resource, image: &str) -> Result<Option<(Resource, String)>> {
        let named = Fields::parse(&container.fields)?
            .text(CREDENTIAL_FIELD)
            .and_then(|wire| parse_reference(&wire));
        let credentials = match named {
            Some(id) => self
                .store
                .find(id)?
                .filter(|c| c.account_id == container.account_id)
                .into_iter()
                .collect(),
            None => self.store.all("credential", container.account_id)?,
        };
        self.fitting(credentials, image)
    }

    /// The newest of these that is for the registry of an image.
    fn fitting(&self, credentials: Vec<Resource>, image: &str) -> Result<Option<(Resource, String)>> {
        let names = |address: &str| {
            address
                .trim_start_matches("https://")
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_lowercase()
        };
        for credential in credentials.into_iter().rev() {
            if credential.kind != "registryCredential" || credential.state != State::ACTIVE {
                continue;
            }
            let registry = Fields::parse(&credential.fields)?
                .text("registryId")
                .and_then(|wire| parse_reference(&wire));
            let Some(registry) = registry.map(|id| self.store.find(id)).transpose()?.flatten() else {
                continue;
            };
            let address = Fields::parse(&registry.fields)?
                .text("serverAddress")
                .unwrap_or_default();
            if registry.state == State::ACTIVE && names(&address) == names(registry_of(image)) {
                return Ok(Some((credential, address)));
            }
        }
        Ok(None)
    }

    /// The same as an engine takes it.
    pub(crate) fn registry_auth(&self, container: &Resource, image: &str) -> Result<Option<RegistryAuth>> {
        self.opened(self.registry_credential(container, image)?)
    }

    /// What a project has for the registry of an image, as an engine takes it.
    pub(crate) fn registry_auth_of(&self, project: ResourceId, image: &str) -> Result<Option<RegistryAuth>> {
        self.opened(self.fitting(self.store.all("credential", Some(project))?, image)?)
    }

    fn opened(&self, found: Option<(Resource, String)>) -> Result<Option<RegistryAuth>> {
        let Some((credential, server)) = found else {
            return Ok(None);
        };
        let Some(kept) = self.store.credential(credential.id)? else {
            return Ok(None);
        };
        let plain = self.config.secrets.unseal(REGISTRY_SECRET, &kept.secret);
        Ok(plain.map(|password| RegistryAuth {
            username: kept.public_value,
            password,
            server,
        }))
    }
}

/// What administrators say of where images come from.
struct ImageRules {
    default: String,
    allowed: Vec<String>,
}

impl ImageRules {
    /// An image as it is kept: with the default registry, if it names none. 422 if it may not be pulled from where it is.
    fn applied(&self, image: &str) -> Result<Option<String>> {
        let Some(reference) = image.strip_prefix("docker:").filter(|_| !is_none_image(image)) else {
            return Ok(None);
        };
        let names_one = registry_of(reference) != DOCKER_HUB || reference.starts_with(DOCKER_HUB);
        let named = (!names_one && !self.default.is_empty()).then(|| format!("{}/{reference}", self.default));
        let server = registry_of(named.as_deref().unwrap_or(reference)).to_lowercase();
        if !self.allowed.is_empty() && !self.allowed.contains(&server) {
            return Err(Error::invalid("InvalidOption", "imageUuid")
                .with_message(format!("images of {server} are not allowed here")));
        }
        Ok(named.map(|named| format!("docker:{named}")))
    }

    fn apply(&self, config: &mut Input) -> Result<()> {
        if !self.allowed.is_empty() && config.get("build").is_some_and(Value::is_object) {
            let why = "what an image is built of may come from anywhere, and only some registries are allowed here";
            return Err(Error::invalid("InvalidOption", "build").with_message(why));
        }
        let image = text(config, "imageUuid").map(|image| self.applied(image)).transpose()?;
        if let Some(image) = image.flatten() {
            config.insert("imageUuid".into(), Value::from(image));
        }
        Ok(())
    }
}

impl Core {
    /// An image as it may be pulled: with the default registry, if it names none. 422 with the field, if it may not be.
    pub(crate) fn image_to_pull(&self, image: &str, field: &'static str) -> Result<String> {
        let named = self.image_rules()?.applied(image).map_err(|error| Error {
            field: Some(field.into()),
            ..error
        })?;
        Ok(named.unwrap_or_else(|| image.to_owned()))
    }

    fn image_rules(&self) -> Result<ImageRules> {
        let setting = |name: &str| -> Result<String> {
            let value = self.setting(name)?.and_then(|setting| setting.active_value);
            Ok(value.unwrap_or_default().trim().to_owned())
        };
        let listed = setting(REGISTRY_WHITELIST)?.to_lowercase();
        let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(ImageRules {
            default: setting(REGISTRY_DEFAULT)?.trim_end_matches('/').to_owned(),
            allowed: names.map(str::to_owned).collect(),
        })
    }

    /// Applies the settings about registries to the images of a container, of a service or of an upgrade.
    pub(crate) fn apply_image_rules(&self, input: &mut Input) -> Result<()> {
        let rules = self.image_rules()?;
        rules.apply(input)?;
        if let Some(Value::Object(primary)) = input.get_mut("launchConfig") {
            rules.apply(primary)?;
        }
        let sidekicks = input.get_mut("secondaryLaunchConfigs").and_then(Value::as_array_mut);
        for sidekick in sidekicks.into_iter().flatten().filter_map(Value::as_object_mut) {
            rules.apply(sidekick)?;
        }
        Ok(())
    }
}

/// A registry together with what it is opened with. Both bodies have passed their schemas; the credential's names no registry yet.
pub(crate) async fn open_registry(
    core: &Core,
    scope: &Scope,
    (ty, input): (&TypeView, Input),
    credential: Option<(&TypeView, Input)>,
) -> Result<Resource> {
    let account = scope.effective.id;
    let address = text(&input, "serverAddress").unwrap_or_default().to_lowercase();
    let new = row_from_input(&ty.def, account, &input)?;
    let machine = ty.def.machine.clone();
    let prefix = ty.def.prefix.clone();
    let opened = match credential {
        None => None,
        Some((ty, mut input)) => {
            let plain = input.shift_remove("secretValue");
            let plain = plain.as_ref().and_then(Value::as_str).unwrap_or_default();
            Some((ty.def.clone(), core.config.secrets.seal(REGISTRY_SECRET, plain)?, input))
        }
    };
    core.write_for(scope, move |tx| {
        check_address_free(tx, account, &address, None)?;
        let row = insert_and_start(tx, machine.as_deref(), new)?;
        if let Some((def, sealed, mut input)) = opened {
            input.insert("registryId".into(), Value::from(format!("{prefix}{}", row.id)));
            let credential = insert_and_start(tx, def.machine.as_deref(), row_from_input(&def, account, &input)?)?;
            tx.set_credential(&CredentialSecret {
                id: credential.id,
                kind: def.id.clone(),
                public_value: text(&input, "publicValue").unwrap_or_default().to_owned(),
                secret: sealed,
            })?;
        }
        Ok(row)
    })
    .await
}

/// Ends a registry and what it is opened with at once, whatever state they are in.
pub(crate) async fn drop_registry(core: &Core, scope: &Scope, row: &Resource) -> Result<()> {
    let (id, keep) = (row.id, core.keep_removed());
    core.write_for(scope, move |tx| {
        for credential in tx.referrers(id, "registryId")? {
            retire_part(tx, credential, keep)?;
        }
        retire_part(tx, id, keep)?;
        tx.get(id)
    })
    .await
    .map(drop)
}

/// 400 if another registry of the project has this address.
fn check_address_free(tx: &mut Tx<'_>, account: ResourceId, address: &str, own: Option<ResourceId>) -> Result<()> {
    for other in tx
        .all("storagePool", Some(account))?
        .into_iter()
        .filter(|pool| pool.kind == "registry" && Some(pool.id) != own)
    {
        if Fields::parse(&other.fields)?
            .text("serverAddress")
            .is_some_and(|a| a.to_lowercase() == address)
        {
            return Err(Error::new(ErrorKind::BadRequest).with_code("ServerAddressUsed"));
        }
    }
    Ok(())
}

/// A registry: one for an address in a project.
pub(crate) async fn create_registry(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: Input,
) -> Result<Resource> {
    let address = text(&input, "serverAddress").unwrap_or_default().to_lowercase();
    let new = row_from_input(&ty.def, account, &input)?;
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| {
        check_address_free(tx, account, &address, None)?;
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}

impl Core {
    /// Removing a registry removes what it was opened with.
    pub(crate) async fn remove_registry(&self, row: &Resource) -> Result<()> {
        let credentials = self.store.referrers(row.id, "registryId")?;
        let keep = self.keep_removed();
        self.write_each(credentials, move |tx, id| retire_part(tx, id, keep))
            .await
    }
}
