//! What the files of a stack ask for, checked against the project: types, images, host policy, names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::compose::{self, Document, Link, Texts, Volume, Warning};
use crate::engine::core::{Core, Input};
use crate::engine::instances::refuse_own_key;
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, WireId};
use crate::schema::validate::{self, Purpose, Refs};
use crate::schema::{Role, Type, Version};
use crate::store::{Tx, Within};

use super::super::configs::check_configs;
use super::super::links::Target;
use super::super::names::Neighbours;
use super::super::new_service::NewService;
use super::balancing;

/// What the files of a stack ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// What is linked to first.
    pub(super) services: Vec<WantedService>,
    pub(super) volumes: Vec<Volume>,
    pub(super) warnings: Vec<Warning>,
}

/// A service that the files ask for, and in which nothing is wrong that can be seen without its neighbours.
#[derive(Debug, Clone)]
pub(super) struct WantedService {
    pub(super) name: String,
    pub(super) def: Arc<Type>,
    /// As a client would have sent it, validated; targets of a balancer are not in it.
    pub(super) input: Input,
    pub(super) links: Vec<Link>,
    /// What it balances, by names.
    pub(super) balancing: Option<Map<String, Value>>,
    pub(super) pace: Map<String, Value>,
}

/// Whether an error is about what was asked for, and asking again will not help.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Invalid
            | ErrorKind::BadRequest
            | ErrorKind::NotFound
            | ErrorKind::Forbidden
            | ErrorKind::NotImplemented
            | ErrorKind::MethodNotAllowed
    )
}

/// The error of a request whose files are refused.
pub(super) fn refused(sentence: impl Into<String>) -> Error {
    Error::invalid("InvalidFormat", "dockerCompose").with_message(sentence)
}

/// An error about a service, in a sentence that names it.
pub(super) fn sentence(service: &str, error: &Error) -> String {
    let said = [error.external.as_deref(), error.field.as_deref()];
    let mut words: Vec<&str> = said.into_iter().flatten().collect();
    words.dedup();
    match (words.as_slice(), error.code.as_deref()) {
        ([], code) => format!("service {service}: {}", code.unwrap_or("is refused")),
        (words, Some(code)) => format!("service {service}: {} ({code})", words.join(": ")),
        (words, None) => format!("service {service}: {}", words.join(": ")),
    }
}

impl Core {
    /// What the files of a stack ask for. 422 with a sentence that names service and key.
    pub(super) fn wanted(
        &self,
        stack: &Resource,
        texts: &Texts,
        environment: &BTreeMap<String, String>,
    ) -> Result<Wanted> {
        let document =
            compose::read(&stack.name, texts, environment).map_err(|problem| refused(problem.to_string()))?;
        self.check_volumes(stack, &document)?;
        let here: BTreeSet<String> = document.services.iter().map(|service| service.name.clone()).collect();
        let there = self.store.children(stack.id, "service")?;
        let mut services = Vec::new();
        let mut names = BTreeSet::new();
        for service in document.services {
            let name = service.name.clone();
            let known = there.iter().find(|row| row.name.eq_ignore_ascii_case(&name));
            if let Some(row) = known.filter(|row| row.kind != service.kind) {
                return Err(refused(format!(
                    "service {name}: is a {}, and cannot become a {}",
                    row.kind, service.kind
                )));
            }
            let is_here =
                |target: &str| here.contains(target) || there.iter().any(|row| row.name.eq_ignore_ascii_case(target));
            let links = service.links.iter().map(|link| link.service.as_str());
            let targets = balancing::targets(service.balancing.as_ref());
            if let Some(missing) = links
                .chain(targets)
                .find(|target| !target.contains('/') && !is_here(target))
            {
                return Err(refused(format!(
                    "service {name}: links: there is no service {missing} in the stack"
                )));
            }
            let wanted = self
                .wanted_service(stack, service)
                .map_err(|error| match is_refusal(&error) {
                    true => refused(sentence(&name, &error)),
                    false => error,
                })?;
            let sidekicks = super::super::configs::sidekick_names(&wanted.input);
            for name in std::iter::once(&wanted.name).chain(&sidekicks) {
                if !names.insert(name.to_lowercase()) {
                    return Err(refused(format!("service {name}: the name stands twice")));
                }
            }
            services.push(wanted);
        }
        Ok(Wanted {
            services,
            volumes: document.volumes,
            warnings: document.warnings,
        })
    }

    fn check_volumes(&self, stack: &Resource, document: &Document) -> Result<()> {
        for volume in document.volumes.iter().filter(|volume| !volume.external) {
            let driver = volume.driver.as_deref().unwrap_or("local");
            let input = json!({"name": volume.name, "driver": driver, "driverOpts": volume.options});
            let input = input.as_object().cloned().unwrap_or_default();
            self.check_volume_use(stack.account_id, None, &input)
                .map_err(|error| match is_refusal(&error) {
                    true => refused(format!("volume {}: {}", volume.name, error.field.unwrap_or_default())),
                    false => error,
                })?;
        }
        Ok(())
    }

    fn wanted_service(&self, stack: &Resource, service: compose::Service) -> Result<WantedService> {
        let compose::Service {
            name,
            kind,
            fields: mut body,
            links,
            balancing,
            pace,
        } = service;
        let view = self.registry.view(Version::V2Beta, Role::Project);
        let Some(ty) = view.find_by_kind(&kind).filter(|ty| ty.def.can_create) else {
            return Err(Error::not_implemented(format!("a {kind} cannot be made in this build")));
        };
        body.insert("name".into(), json!(name));
        body.insert("stackId".into(), json!(self.wire_id("stack", stack.id)));
        if let Some(balancing) = &balancing {
            body.insert("lbConfig".into(), Value::Object(self.balanced(stack, balancing)?));
        }
        self.secrets_by_id(stack.account_id, &mut body)?;
        let refs = OfProject {
            core: self,
            project: stack.account_id,
        };
        let mut input = validate::input(view, ty, &body, Purpose::Create, &refs)?;
        self.name_balancer_image(&kind, &mut input)?;
        self.apply_image_rules(&mut input)?;
        self.check_host_use(stack.account_id, &input)?;
        refuse_own_key(&input)?;
        // As it will be kept: what is there already is compared with this.
        check_configs(&kind, &mut input)?;
        NewService::check(&ty.def, stack.account_id.unwrap_or(stack.id), stack.id, input.clone())?;
        Ok(WantedService {
            name,
            def: ty.def.clone(),
            input,
            links,
            balancing,
            pace,
        })
    }
}

/// What validation asks, for a project.
pub(in crate::engine::services) struct OfProject<'a> {
    pub(in crate::engine::services) core: &'a Core,
    pub(in crate::engine::services) project: Option<ResourceId>,
}

impl Refs for OfProject<'_> {
    fn exists(&self, kind: &str, wire: &str) -> Result<bool> {
        let Some(wire) = WireId::parse(wire) else {
            return Ok(false);
        };
        let row = self.core.store.find(wire.id)?;
        let row = row.filter(|row| row.removed.is_none() && row.account_id == self.project);
        let ty = row
            .as_ref()
            .and_then(|row| self.core.registry.type_of(&row.root, &row.kind));
        Ok(ty.is_some_and(|ty| kind.is_empty() || self.core.derives(&ty.id, kind)))
    }

    fn is_taken(&self, _: &str, _: &str) -> Result<bool> {
        // Names are compared in the stack, when the service is inserted.
        Ok(false)
    }
}

/// The service that a file calls so: `db` of the stack, or `stack/db` of the project.
pub(super) fn find_service(
    tx: &mut Tx<'_>,
    stack: &Resource,
    beside: &Neighbours,
    name: &str,
) -> Result<Option<ResourceId>> {
    let (other, name) = match (name.split_once('/'), stack.account_id) {
        (None, _) => return Ok(beside.service(name)),
        (Some(_), None) => return Ok(None),
        (Some((other, name)), Some(account)) => (tx.named("stack", Within::Account(account), other)?, name),
    };
    match other.first() {
        Some(other) => Ok(tx.named("service", Within::Parent(*other), name)?.first().copied()),
        None => Ok(None),
    }
}

/// Where a link leads. What is elsewhere and not there yet is named, and found once it is there.
pub(super) fn target_of(tx: &mut Tx<'_>, stack: &Resource, beside: &Neighbours, link: &Link) -> Result<Option<Target>> {
    let found = find_service(tx, stack, beside, &link.service)?;
    let by_name = || link.service.contains('/').then(|| Target::Named(link.service.clone()));
    Ok(found.map(Target::Service).or_else(by_name))
}
