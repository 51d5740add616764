//! A service with a balancer before it, made together and gone together. The balancer, and the certificate that it shows, are
//! [parts](super::parts) of the service.

use serde_json::{Map, Value, json};

use crate::engine::access::NewCertificate;
use crate::engine::core::{Core, Input, PART_OF, Scope, Update, apply_update, live};
use crate::engine::instances::check_own_key;
use crate::model::{Error, Resource, ResourceId, Result, ServiceKind, State};
use crate::schema::TypeView;
use crate::store::{Direction, Tx, Within};

use super::names::{Neighbours, check_name_free};
use super::new_service::NewService;
use super::parts::is_staying;
use super::stack::NewStack;

const BALANCER: &str = "loadBalancerService";

/// A service that is to be made with a balancer before it.
pub struct Fronted {
    /// The name of its stack, which is made if there is none.
    pub stack: String,
    /// The service, as its schema left it.
    pub service: Input,
    /// The balancer, likewise; its rules name no target, for that is the service.
    pub balancer: Input,
    /// What the balancer shows where TLS ends with it: a certificate, as its schema left it.
    pub certificate: Option<Input>,
}

/// Makes all of it, or nothing. Gives the service.
///
/// # Errors
/// 422 for what is wrong with any of it, a name that is not free among that.
pub(crate) async fn create_fronted(core: &Core, scope: &Scope, fronted: Fronted) -> Result<Resource> {
    let Fronted {
        stack: stack_name,
        mut service,
        mut balancer,
        certificate,
    } = fronted;
    let account = scope.effective.id;
    for (kind, input) in [("service", &mut service), (BALANCER, &mut balancer)] {
        core.name_balancer_image(kind, input)?;
        core.apply_image_rules(input)?;
        core.check_host_use(Some(account), input)?;
        check_own_key(scope, input)?;
    }
    let certificate = certificate
        .map(|input| core.new_certificate(account, input))
        .transpose()?;
    let stacks = core.store.all("stack", Some(account))?;
    let there = stacks.iter().find(|stack| stack.name.eq_ignore_ascii_case(&stack_name));
    core.require_stack(scope, there)?;
    let of = |kind: &str| core.type_of(kind).cloned();
    let (stack_type, service_type, balancer_type) = (of("stack")?, of("service")?, of(BALANCER)?);
    let prefixes = (service_type.prefix.clone(), of("certificate")?.prefix.clone());
    core.write_for(scope, move |tx| {
        let named = tx.named("stack", Within::Account(account), &stack_name)?;
        let stack = match named.first() {
            Some(id) => tx.get(*id)?,
            None => {
                let input = Input::from_iter([("name".to_owned(), json!(stack_name))]);
                NewStack::check(&stack_type, account, input)?.insert(tx)?
            }
        };
        let mut beside = Neighbours::read(tx, stack.id, None)?;
        let service = NewService::check(&service_type, account, stack.id, service)?.insert_beside(tx, &mut beside)?;
        let wire = format!("{}{}", prefixes.0, service.id);
        let certificate = certificate.map(|new| insert_certificate(tx, new, &wire)).transpose()?;
        let certificate = certificate.map(|row| format!("{}{}", prefixes.1, row.id));
        aim(&mut balancer, &wire, certificate);
        balancer.insert(PART_OF.into(), json!(wire));
        NewService::check(&balancer_type, account, stack.id, balancer)?.insert_beside(tx, &mut beside)?;
        Ok(service)
    })
    .await
}

fn insert_certificate(tx: &mut Tx<'_>, new: NewCertificate, service: &str) -> Result<Resource> {
    new.with(PART_OF, service)?.insert(tx)
}

/// Leads all rules of a balancer to a service.
fn aim(balancer: &mut Input, service: &str, certificate: Option<String>) {
    let Some(config) = balancer.get_mut("lbConfig").and_then(Value::as_object_mut) else {
        return;
    };
    let rules = config.get_mut("portRules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
        rule.insert("serviceId".into(), json!(service));
    }
    if let Some(certificate) = certificate {
        config.insert("defaultCertificateId".into(), json!(certificate));
    }
}

impl Core {
    /// The balancers before each of these services, as their services' numbers and their rows. Blocking.
    pub(crate) fn balancers_before(&self, services: &[ResourceId]) -> Result<Vec<(ResourceId, Resource)>> {
        let parts = self.store.references(PART_OF, services, Direction::To)?;
        let ids: Vec<ResourceId> = parts.iter().map(|(part, _)| *part).collect();
        let rows = self.store.many(&ids)?;
        let is_before = |row: &&Resource| row.removed.is_none() && is_balancer(row);
        let balancers = rows.iter().filter(is_before).filter_map(|row| {
            let service = parts.iter().find(|(part, _)| *part == row.id)?.1;
            Some((service, row.clone()))
        });
        Ok(balancers.collect())
    }
}

fn is_balancer(row: &Resource) -> bool {
    ServiceKind::of(&row.kind) == ServiceKind::LoadBalancer
}

/// The balancer before a service, as one transaction sees it.
pub(super) fn balancer_before(tx: &mut Tx<'_>, service: ResourceId) -> Result<Option<Resource>> {
    for id in tx.referrers(service, PART_OF)? {
        let part = tx.find(id)?.filter(is_staying);
        if let Some(part) = part.filter(is_balancer) {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// Takes the parts of a service away and lets it go on by itself; `fields` of it are written with that.
///
/// # Errors
/// 409 if it is removed, 422 for a name that is not free.
pub(crate) async fn disband(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    fields: Map<String, Value>,
) -> Result<Resource> {
    let (id, machines, update) = (
        row.id,
        core.machines_of_parts()?,
        Update::of(ty).named_by(check_name_free),
    );
    let fields: Input = fields.into_iter().collect();
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        if row.state == State::REMOVING {
            return Err(Error::conflict("it is being removed"));
        }
        for part in tx.referrers(id, PART_OF)? {
            machines.let_go(tx, part)?;
        }
        apply_update(tx, &update, &row, &fields)
    })
    .await
}
