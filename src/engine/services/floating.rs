//! Addresses that a project has to be reached at, whatever stands behind them. One that a machine with containers has is where the
//! balancer before a service is published; all others are kept and shown, and led to their machine by whoever owns them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};

use serde_json::{Value, json};

use crate::engine::core::{Core, Input, Scope, check_free_in_account, live, new_row, retire};
use crate::model::launch::LABEL_HOST;
use crate::model::launch::parse_reference;
use crate::model::lb_config::LbConfig;
use crate::model::own_labels::HOST;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::store::{Changes, NewResource, Tx};

use super::fronted::balancer_before;
use super::upgrade::{Config, Upgrade};

/// Their type.
const FLOATING_ADDRESS: &str = "floatingAddress";
/// The most of a project.
const MOST: usize = 64;
/// The code of a refusal because an address is somebody's.
pub const ADDRESS_IN_USE: &str = "AddressInUse";
/// The code of a refusal because somebody has another address.
pub const HAS_ADDRESS: &str = "HasAddress";

/// Gives a project so many of the addresses that nobody has.
///
/// # Errors
/// 501 without a pool, 403 for more than a project may have, 409 if there are not so many.
pub(crate) async fn allocate(core: &Core, scope: &Scope, count: usize) -> Result<Vec<Resource>> {
    let (pool, account) = (core.floating_pool.clone(), scope.effective.id);
    if pool.is_empty() {
        return Err(Error::not_implemented(
            "this server has no addresses to give away: it is told which by --floating-pool",
        ));
    }
    let ty = core.type_of(FLOATING_ADDRESS)?.clone();
    core.write_for(scope, move |tx| {
        let all = tx.all(FLOATING_ADDRESS, None)?;
        let own = all.iter().filter(|row| row.account_id == Some(account)).count();
        if own.saturating_add(count) > MOST {
            let why = format!("a project has at most {MOST} floating IPs, and this one has {own}");
            return Err(Error::new(ErrorKind::Forbidden).with_message(why));
        }
        let mut taken = BTreeSet::new();
        for row in &all {
            taken.extend(address_of(row)?);
        }
        let mut made = Vec::new();
        for _ in 0..count {
            let left = pool.first_free(&taken);
            let address = left.ok_or_else(|| Error::conflict("there are not so many floating IPs left"))?;
            taken.insert(address);
            let mut fields = Fields::default();
            fields.set("address", &address.to_string())?;
            made.push(tx.insert(NewResource {
                state: State::ACTIVE,
                ..new_row(&ty, Some(account), fields)
            })?);
        }
        Ok(made)
    })
    .await
}

fn address_of(row: &Resource) -> Result<Option<Ipv4Addr>> {
    let text = Fields::parse(&row.fields)?.text("address");
    Ok(text.and_then(|text| text.parse().ok()))
}

/// What has an address: a service or a container that is there.
fn holder(tx: &mut Tx<'_>, address: &Resource) -> Result<Option<Resource>> {
    let fields = Fields::parse(&address.fields)?;
    for field in ["serviceId", "instanceId"] {
        let id = fields.text(field).and_then(|wire| parse_reference(&wire));
        let row = id.map(|id| tx.find(id)).transpose()?.flatten();
        if let Some(row) = row.filter(|row| row.removed.is_none() && row.state != State::REMOVING) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Gives an address back.
///
/// # Errors
/// 409 for one that is in use.
pub(crate) async fn release(core: &Core, scope: &Scope, address: &Resource) -> Result<Resource> {
    let (id, keep) = (address.id, core.keep_removed());
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        match holder(tx, &row)? {
            Some(_) => Err(in_use(&row)?),
            None => retire(tx, &row, keep),
        }
    })
    .await
}

fn in_use(address: &Resource) -> Result<Error> {
    let text = Fields::parse(&address.fields)?.text("address").unwrap_or_default();
    Ok(Error::conflict(format!("{text} is in use")).with_code(ADDRESS_IN_USE))
}

/// Names an address.
///
/// # Errors
/// 422 for a name that another one of the project has.
pub(crate) async fn name(core: &Core, scope: &Scope, address: &Resource, name: String) -> Result<Resource> {
    let id = address.id;
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        if let Some(account) = row.account_id.filter(|_| !name.is_empty()) {
            check_free_in_account(tx, FLOATING_ADDRESS, account, &name, Some(id))?;
        }
        let changes = Changes {
            name: Some(name),
            ..Changes::default()
        };
        tx.update_if(&row, &changes)
    })
    .await
}

/// Leads an address to a service or a container, or to nobody. The balancer before a service is made anew where it is published at
/// the address from now on, or no more, in the same transaction.
///
/// # Errors
/// 409 for an address that is another's ([`ADDRESS_IN_USE`]), and for who has another one ([`HAS_ADDRESS`]).
pub(crate) async fn lead(core: &Core, scope: &Scope, address: &Resource, to: Option<&Resource>) -> Result<Resource> {
    let own = address_of(address)?.ok_or_else(|| Error::bug("a floating address that is none"))?;
    let host = core.host_with(address.account_id, own)?;
    let host = host.map(|id| core.wire_id("host", id));
    let machine = core.machine_of("loadBalancerService")?.clone();
    let range = core.port_range(address.account_id)?;
    let (id, to) = (address.id, to.map(|row| row.id));
    let prefixes = (
        core.type_of("service")?.prefix.clone(),
        core.type_of("container")?.prefix.clone(),
    );
    core.write_for(scope, move |tx| {
        let address = live(tx, id)?;
        let before = holder(tx, &address)?;
        let to = to.map(|id| live(tx, id)).transpose()?;
        if let Some(to) = &to {
            check_free(tx, &address, before.as_ref(), to)?;
        }
        let mut fields = Fields::parse(&address.fields)?;
        tx.delete_refs(id, "serviceId")?;
        tx.delete_refs(id, "instanceId")?;
        let of = |root: &str, prefix: &str| {
            let row = to.as_ref().filter(|row| row.root == root);
            row.map(|row| format!("{prefix}{}", row.id))
        };
        fields.set("serviceId", &of("service", &prefixes.0))?;
        fields.set("instanceId", &of("instance", &prefixes.1))?;
        let field = to.as_ref().map(|row| {
            (
                row.id,
                if row.root == "service" {
                    "serviceId"
                } else {
                    "instanceId"
                },
            )
        });
        if let Some((row, field)) = field {
            tx.insert_ref(id, field, row)?;
        }
        let changes = Changes {
            fields: Some(fields),
            ..Changes::default()
        };
        let led = tx.update_if(&address, &changes)?;
        let is_service = |row: &&Resource| row.root == "service";
        let bind = host.as_deref().map(|host| (own, host));
        if let Some(service) = to.as_ref().filter(is_service) {
            publish(tx, service.id, &machine, range, bind)?;
        } else if let Some(service) = before.as_ref().filter(is_service) {
            publish(tx, service.id, &machine, range, None)?;
        }
        Ok(led)
    })
    .await
}

/// 409 if an address, or who is to have it, is somebody else's.
fn check_free(tx: &mut Tx<'_>, address: &Resource, before: Option<&Resource>, to: &Resource) -> Result<()> {
    if before.is_some_and(|before| before.id != to.id) {
        return Err(in_use(address)?);
    }
    for other in tx.all(FLOATING_ADDRESS, address.account_id)? {
        if other.id != address.id && holder(tx, &other)?.is_some_and(|holder| holder.id == to.id) {
            let text = Fields::parse(&other.fields)?.text("address").unwrap_or_default();
            let why = format!("{} has attached with another floating IP({text})", to.name);
            return Err(Error::conflict(why).with_code(HAS_ADDRESS));
        }
    }
    Ok(())
}

/// Publishes the balancer before a service at an address of a host, or nowhere.
fn publish(
    tx: &mut Tx<'_>,
    service: ResourceId,
    machine: &crate::schema::Machine,
    range: (u16, u16),
    bind: Option<(Ipv4Addr, &str)>,
) -> Result<()> {
    let Some(balancer) = balancer_before(tx, service)? else {
        return Ok(());
    };
    let fields = Fields::parse(&balancer.fields)?;
    let Some(old) = fields.read::<Config>("launchConfig")? else {
        return Ok(());
    };
    let config: LbConfig = fields.read("lbConfig")?.unwrap_or_default();
    let ports = config.port_rules.iter().flatten().filter_map(|rule| rule.source_port);
    let ports: BTreeSet<u16> = ports.collect();
    let mut launch = old.clone();
    let mut labels = launch
        .get("labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    match bind {
        Some((address, host)) => {
            let ports = ports.iter().map(|port| format!("{address}:{port}:{port}/tcp"));
            launch.insert("ports".into(), json!(ports.collect::<Vec<_>>()));
            labels.insert(LABEL_HOST.into(), json!(format!("{HOST}id={host}")));
        }
        None => {
            launch.insert("ports".into(), json!([]));
            labels.shift_remove(LABEL_HOST);
        }
    }
    launch.insert("labels".into(), Value::Object(labels));
    let listed = |config: &Config| {
        config
            .get("ports")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    if listed(&launch) == listed(&old) {
        return Ok(());
    }
    if balancer.state == State::REGISTERING {
        // There is nothing of it yet.
        let mut patch = Fields::default();
        patch.set("launchConfig", &launch)?;
        let changes = Changes {
            patch,
            ..Changes::default()
        };
        return tx.update_if(&balancer, &changes).map(drop);
    }
    let strategy = json!({"launchConfig": launch, "batchSize": 1, "intervalMillis": 100, "startFirst": true});
    let Value::Object(strategy) = strategy else {
        return Ok(());
    };
    let upgrade = Upgrade::check(&balancer, strategy)?;
    let upgrade = upgrade.finishing().superseding(Input::new());
    upgrade.begin(tx, machine, &balancer, range).map(drop)
}

impl Core {
    /// The host of a project that has an address: one that is reached by it, or an engine of this machine, if the address is this
    /// machine's.
    fn host_with(&self, project: Option<ResourceId>, address: Ipv4Addr) -> Result<Option<ResourceId>> {
        let mut hosts = self.store.all("host", project)?;
        hosts.retain(|host| host.removed.is_none() && host.state != State::REMOVING);
        let text = address.to_string();
        for host in &hosts {
            if Fields::parse(&host.fields)?.text("agentIpAddress").as_deref() == Some(&text) {
                return Ok(Some(host.id));
            }
        }
        if UdpSocket::bind((address, 0)).is_err() {
            return Ok(None);
        }
        let is_here = |id: ResourceId| self.runtime(id).is_some_and(|r| r.capabilities().shares_our_ports);
        Ok(hosts.iter().map(|host| host.id).find(|id| is_here(*id)))
    }
}
