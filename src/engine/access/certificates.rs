//! Certificates: what a client sends is read and checked, what follows from it stands in the row, and the key is sealed.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::core::{Core, Input, Scope, Update, apply_update, insert_and_start, live, row_from_input};
use crate::model::launch::parse_reference;
use crate::model::lb_config::LbConfig;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result};
use crate::schema::{Role, Type, TypeView};
use crate::store::{NewResource, Tx};

use super::credentials::{create_sealed, keep_sealed, text};
use super::pem::{Read, read};

/// What a key is sealed for.
const CERTIFICATE_KEY: &str = "certificate.key";

/// The key of a certificate; none if it is gone.
pub(crate) fn certificate_key(core: &Core, row: &Resource) -> Result<Option<String>> {
    let kept = core.store.credential(row.id)?;
    Ok(kept.and_then(|kept| core.config.secrets.unseal(CERTIFICATE_KEY, &kept.secret)))
}

/// Shows the key to those whose view has it for reading.
pub(super) fn reveal_key(core: &Core, scope: &Scope, row: Resource) -> Result<Resource> {
    let may_read = matches!(scope.role, Role::ProjectAdmin | Role::Service);
    if row.root != "certificate" || !may_read {
        return Ok(row);
    }
    match certificate_key(core, &row)? {
        Some(key) => Core::with_shown(core.type_of_row(&row)?, row, "key", &key),
        None => Ok(row),
    }
}

/// A certificate that is to be made, and that fits together with its key.
pub(crate) struct NewCertificate {
    def: Arc<Type>,
    row: NewResource,
    sealed: String,
}

impl NewCertificate {
    /// The same with a field that is a reference to a row.
    pub(crate) fn with(mut self, field: &str, wire: &str) -> Result<Self> {
        self.row.fields.set(field, wire)?;
        self.row
            .refs
            .extend(parse_reference(wire).map(|id| (field.to_owned(), id)));
        Ok(self)
    }

    /// Inserts it with its key, and asks for its create process.
    pub(crate) fn insert(self, tx: &mut Tx<'_>) -> Result<Resource> {
        let row = insert_and_start(tx, self.def.machine.as_deref(), self.row)?;
        keep_sealed(tx, &row, self.sealed)?;
        Ok(row)
    }
}

impl Core {
    /// Checks a certificate that is to be made for a project; `input` has passed its schema.
    ///
    /// # Errors
    /// 422 for what is no PEM, or does not fit together.
    pub(crate) fn new_certificate(&self, account: ResourceId, mut input: Input) -> Result<NewCertificate> {
        let key = take_key(&mut input).unwrap_or_default();
        let cert = text(&input, "cert").unwrap_or_default();
        write_derived(&read(cert, text(&input, "certChain"), &key)?, &mut input);
        let def = self.type_of("certificate")?.clone();
        Ok(NewCertificate {
            row: row_from_input(&def, account, &input)?,
            def,
            sealed: self.config.secrets.seal(CERTIFICATE_KEY, &key)?,
        })
    }
}

pub(super) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    mut input: Input,
) -> Result<Resource> {
    let key = take_key(&mut input).unwrap_or_default();
    let cert = text(&input, "cert").unwrap_or_default();
    write_derived(&read(cert, text(&input, "certChain"), &key)?, &mut input);
    // Quirk: the answer to a POST has the key in it, and none after that (recorded: `crud_certificates_real`).
    create_sealed(core, scope, ty, account, &input, CERTIFICATE_KEY, ("key", &key)).await
}

/// What is not sent stays: the whole of it has to fit together.
pub(super) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    mut input: Input,
) -> Result<Resource> {
    let given = take_key(&mut input);
    let mut sealed = None;
    if given.is_some() || input.contains_key("cert") || input.contains_key("certChain") {
        let fields = Fields::parse(&row.fields)?;
        let key = match given.clone() {
            Some(key) => key,
            None => certificate_key(core, row)?.unwrap_or_default(),
        };
        let cert = text(&input, "cert").map(str::to_owned).or_else(|| fields.text("cert"));
        let chain = match input.get("certChain") {
            Some(value) => value.as_str().map(str::to_owned),
            None => fields.text("certChain"),
        };
        write_derived(&read(&cert.unwrap_or_default(), chain.as_deref(), &key)?, &mut input);
        sealed = given
            .map(|key| core.config.secrets.seal(CERTIFICATE_KEY, &key))
            .transpose()?;
    }
    let (id, update) = (row.id, Update::of(ty));
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        if let Some(sealed) = sealed {
            keep_sealed(tx, &row, sealed)?;
        }
        apply_update(tx, &update, &row, &input)
    })
    .await
}

/// 405 while a balancer uses it.
pub(super) fn check_unused(tx: &mut Tx<'_>, certificate: &Resource) -> Result<()> {
    for service in tx.all("service", certificate.account_id)? {
        if service.kind != "loadBalancerService" || !service.fields.contains("ertificateId") {
            continue;
        }
        let config: Option<LbConfig> = Fields::parse(&service.fields)?.read("lbConfig")?;
        let config = config.unwrap_or_default();
        let mut used = config
            .certificate_ids
            .iter()
            .flatten()
            .chain(&config.default_certificate_id);
        if used.any(|wire| parse_reference(wire) == Some(certificate.id)) {
            return Err(Error::new(ErrorKind::MethodNotAllowed)
                .with_code("InvalidAction")
                .with_message(format!(
                    "Certificate is in use by load balancer services: {}",
                    service.name
                )));
        }
    }
    Ok(())
}

fn take_key(input: &mut Input) -> Option<String> {
    let key = input.shift_remove("key")?;
    key.as_str().filter(|key| !key.is_empty()).map(str::to_owned)
}

fn write_derived(read: &Read, input: &mut Input) {
    for (field, value) in [
        ("CN", json!(read.common_name)),
        ("algorithm", json!(read.algorithm)),
        ("certFingerprint", json!(read.fingerprint)),
        ("expiresAt", json!(read.expires_at)),
        ("issuedAt", json!(read.issued_at)),
        ("issuer", json!(read.issuer)),
        ("keySize", json!(read.key_size)),
        ("serialNumber", json!(read.serial_number)),
        ("subjectAlternativeNames", json!(read.names)),
        ("version", json!(read.version)),
    ] {
        input.insert(field.to_owned(), value);
    }
    debug_assert!(
        !input
            .values()
            .any(|value| matches!(value, Value::String(text) if text.contains("PRIVATE KEY")))
    );
}
