//! Services to come: checked first, by what they say themselves, and then inserted. Neither needs to know who asks, so
//! that a service can be made for somebody by other means than a request for one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::core::{Input, insert_and_start, row_from_input};
use crate::model::{Error, Fields, Resource, ResourceId, Result, ServiceKind, State};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

use super::balancing;
use super::configs::{check_common, check_configs, sidekick_names};
use super::mesh_ports;
use super::names::Neighbours;

/// A service that is to be made, and in which nothing is wrong that can be seen without its neighbours.
pub(crate) struct NewService {
    def: Arc<Type>,
    row: NewResource,
    stack: ResourceId,
    sidekicks: Vec<String>,
    /// What it is to do with others, if it is a balancer.
    balances: Input,
    wants_vip: bool,
}

impl NewService {
    /// Checks what a service is to be; `input` has passed its schema.
    pub(crate) fn check(def: &Arc<Type>, account: ResourceId, stack: ResourceId, mut input: Input) -> Result<Self> {
        let is_sim = check_configs(&def.id, &mut input)?;
        check_common(&input)?;
        let kind = ServiceKind::of(&def.id);
        check_target(kind, &input)?;
        let wants_vip = input.get("vip").is_some_and(Value::is_string)
            || input.get("assignServiceIpAddress") == Some(&Value::Bool(true));
        if wants_vip && !is_sim {
            return Err(
                Error::not_implemented("a service address (vip) needs simulated hosts in this build").with_field("vip"),
            );
        }
        balancing::check_config(&def.id, &input)?;
        let mut row = row_from_input(def, account, &input)?;
        let config = input.shift_remove("lbConfig");
        row.parent_id = Some(stack);
        if kind.has_containers() {
            row.fields.set("serviceIndexStrategy", "deploymentUnitBased")?;
        }
        row.health = "healthy".into();
        Ok(Self {
            def: def.clone(),
            row,
            stack,
            sidekicks: sidekick_names(&input),
            balances: config
                .map(|config| Input::from_iter([("lbConfig".to_owned(), config)]))
                .unwrap_or_default(),
            wants_vip,
        })
    }

    /// Inserts it into its stack, if that is there and the names are free, and asks for its create process.
    pub(crate) fn insert(self, tx: &mut Tx<'_>) -> Result<Resource> {
        let mut beside = Neighbours::read(tx, self.stack, None)?;
        self.insert_beside(tx, &mut beside)
    }

    /// The same for who knows what is in the stack; it is among them then.
    pub(super) fn insert_beside(self, tx: &mut Tx<'_>, beside: &mut Neighbours) -> Result<Resource> {
        let Self {
            def,
            mut row,
            stack,
            sidekicks,
            balances,
            wants_vip,
        } = self;
        let in_stack = tx.find(stack)?.filter(|s| s.removed.is_none());
        let Some(in_stack) = in_stack.filter(|s| !matches!(s.state, State::REMOVING | State::ERROR | State::ERRORING))
        else {
            return Err(no_stack("stackId"));
        };
        // A service belongs to its stack's project, whatever path it was asked for by.
        row.account_id = in_stack.account_id;
        balancing::check_references(&balances, row.account_id, |id| tx.find(id))?;
        let names = std::iter::once(row.name.as_str()).chain(sidekicks.iter().map(String::as_str));
        beside.check_free(names)?;
        mesh_ports::check_free(tx, row.account_id, None, &row.fields)?;
        let stack_fields = Fields::parse(&in_stack.fields)?;
        if stack_fields.read::<bool>("system")?.unwrap_or(false) {
            row.fields.set("system", &true)?;
        }
        if wants_vip && row.fields.text("vip").is_none() {
            row.fields.set("vip", &free_vip(tx, row.account_id)?)?;
        }
        let row = insert_and_start(tx, def.machine.as_deref(), row)?;
        beside.add(&row.name, row.id, sidekicks.iter());
        Ok(row)
    }
}

/// For a service whose stack is missing, or on its way out.
pub(super) fn no_stack(field: &str) -> Error {
    Error::invalid("InvalidState", field).with_message("stack is not in a valid state")
}

/// What an external service stands for: addresses, or a host name.
fn check_target(kind: ServiceKind, input: &Input) -> Result<()> {
    let has = |field: &str| {
        input
            .get(field)
            .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()))
    };
    match kind == ServiceKind::External && has("externalIpAddresses") && has("hostname") {
        true => Err(Error::invalid(
            "InvalidOption",
            "externalIpAddresses and hostname are mutually exclusive",
        )),
        false => Ok(()),
    }
}

/// The lowest address of 169.254.64.0/18 that no service of the project has.
fn free_vip(tx: &mut Tx<'_>, account: Option<ResourceId>) -> Result<String> {
    let mut used = BTreeSet::new();
    for service in tx.all("service", account)? {
        used.extend(Fields::parse(&service.fields)?.text("vip"));
    }
    let base = u32::from(std::net::Ipv4Addr::new(169, 254, 64, 0));
    (2..16_382)
        .map(|n| std::net::Ipv4Addr::from(base + n).to_string())
        .find(|ip| !used.contains(ip))
        .ok_or_else(|| Error::conflict("no service address is left"))
}
