//! Nodes: the hosts of the project. Machines are not this server's to make: only where it simulates hosts can nodes be made and
//! resized.

use serde_json::{Value, json};

use super::caller::{Caller, Deed, fields, hostname, list as listed, named};
use super::placement::MANAGER;
use super::read::Members;
use super::references::address_of;
use super::refusal::{Form, Outcome, Refusal};
use crate::engine::Input;
use crate::model::id::random_uuid;
use crate::model::{Resource, State};

/// The field of a host that says of which size it was made.
const SIZE: &str = "medstackSize";
/// The size of a host that was not made here.
const LOCAL: &str = "local";
/// Bytes of a gigabyte.
const GIGABYTE: i64 = 1 << 30;

/// A size that nodes can have.
struct Size {
    id: &'static str,
    title: &'static str,
    vcpu: i64,
    /// In gigabytes.
    memory: i64,
}

const SIZES: [Size; 4] = [
    Size {
        id: "node_size_small",
        title: "Small",
        vcpu: 1,
        memory: 2,
    },
    Size {
        id: "node_size_medium",
        title: "Medium",
        vcpu: 2,
        memory: 4,
    },
    Size {
        id: "node_size_large",
        title: "Large",
        vcpu: 2,
        memory: 8,
    },
    Size {
        id: "node_size_xlarge",
        title: "X-Large",
        vcpu: 4,
        memory: 16,
    },
];

/// Whether a host is a manager by its label.
pub fn is_labelled(host: &Resource) -> bool {
    let labels = fields(host).and_then(|own| own.texts("labels")).unwrap_or_default();
    labels.get(MANAGER).is_some_and(|value| value == "true")
}

/// The hosts that are managers: those with the label, else the oldest.
pub fn managers(hosts: &[Resource]) -> Vec<&Resource> {
    let labelled: Vec<&Resource> = hosts.iter().filter(|host| is_labelled(host)).collect();
    match labelled.is_empty() {
        true => hosts.first().into_iter().collect(),
        false => labelled,
    }
}

/// `GET …/node-sizes`.
pub fn sizes(caller: &Caller) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let shown = SIZES.iter().map(|size| {
        json!({"id": size.id, "object": "node_size", "title": size.title, "vcpu": size.vcpu, "memory": size.memory})
    });
    Ok(listed(shown.collect()))
}

/// The hosts, those that are going too.
async fn all(caller: &Caller) -> Outcome<Vec<Resource>> {
    let mut hosts = caller.rows("host").await?;
    hosts.retain(|host| !matches!(host.state, State::REMOVED | State::PURGED | State::PURGING));
    Ok(hosts)
}

/// The hosts, and the one of a path among them.
async fn find(caller: &Caller, id: &str) -> Outcome<(Vec<Resource>, Resource)> {
    let id = caller.ids.row("node", id).ok_or_else(Refusal::nowhere)?;
    let hosts = all(caller).await?;
    let found = hosts.iter().find(|host| host.id == id).cloned();
    Ok((hosts, found.ok_or_else(Refusal::nowhere)?))
}

/// `GET …/nodes`.
pub async fn list(caller: &Caller) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let hosts = all(caller).await?;
    let mut out = Vec::with_capacity(hosts.len());
    for host in &hosts {
        out.push(shown(caller, &hosts, host, None).await?);
    }
    Ok(listed(out))
}

/// `GET …/nodes/{node_id}`.
pub async fn show(caller: &Caller, id: &str) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let (hosts, host) = find(caller, id).await?;
    shown(caller, &hosts, &host, None).await
}

/// The size that a body names.
fn size(body: Value) -> Outcome<&'static Size> {
    let mut own = Members::new(Form::Mirrored, body);
    let id = own.needed("size_id")?;
    let Some(size) = SIZES.iter().find(|size| size.id == id) else {
        return own.wrong("size_id", "must be the id of a node size");
    };
    own.end()?;
    Ok(size)
}

/// 409 unless this server simulates hosts.
fn check_makes(caller: &Caller) -> Outcome<()> {
    match caller.engine.simulates()? {
        true => Ok(()),
        false => Err(Refusal::conflict_as(
            "This server makes no machines: hosts join by drover agent, or by --docker",
        )),
    }
}

fn capacity(size: &Size) -> Vec<(String, Value)> {
    vec![
        (SIZE.to_owned(), json!(size.id)),
        ("memory".to_owned(), json!(size.memory * GIGABYTE)),
        ("milliCpu".to_owned(), json!(size.vcpu * 1_000)),
    ]
}

/// `POST …/nodes`. Whoever may change hosts may ask for one: it is only simulated.
pub async fn create(caller: &mut Caller, body: Value) -> Outcome<Value> {
    let ty = caller.may("host", Deed::Update)?;
    caller.note(&ty.def, None, "create", &Input::new());
    let size = size(body)?;
    check_makes(caller)?;
    let digits = random_uuid().simple().to_string();
    let name = format!("node-{}", digits.get(..8).unwrap_or_default());
    caller.note(&ty.def, None, "create", &named(&name));
    let fields = Input::from_iter(capacity(size));
    let host = caller.engine.simulate_host(&caller.scope, &name, fields).await?;
    let hosts = all(caller).await?;
    shown(caller, &hosts, &host, None).await
}

/// `PATCH …/nodes/{node_id}`.
pub async fn resize(caller: &mut Caller, id: &str, body: Value) -> Outcome<Value> {
    let ty = caller.may("host", Deed::Update)?;
    let (hosts, host) = find(caller, id).await?;
    caller.note(&ty.def, Some(&host), "update", &Input::new());
    let size = size(body)?;
    check_makes(caller)?;
    if !caller.engine.is_simulated(&host) || status(caller, &host).await? != "ready" {
        return Err(Refusal::conflict());
    }
    let input = Input::from_iter(capacity(size));
    let host = caller.engine.write_row(&caller.scope, &host, input).await?;
    shown(caller, &hosts, &host, Some("resizing")).await
}

/// `DELETE …/nodes/{node_id}`: what runs there comes up elsewhere. The only manager stays.
pub async fn remove(caller: &mut Caller, id: &str) -> Outcome<Value> {
    let ty = caller.may("host", Deed::Remove)?;
    let (hosts, host) = find(caller, id).await?;
    caller.note(&ty.def, Some(&host), "delete", &Input::new());
    let managers = managers(&hosts);
    if managers.iter().all(|manager| manager.id == host.id) {
        return Err(Refusal::conflict_as("The only manager of a cluster stays"));
    }
    let host = caller.engine.remove_host(&caller.scope, &host).await?;
    shown(caller, &hosts, &host, Some("deleting")).await
}

/// `POST …/nodes/{node_id}/reboot`: the containers of the node are restarted; the machine is not this server's.
pub async fn reboot(caller: &mut Caller, id: &str) -> Outcome<Value> {
    let ty = caller.may("host", Deed::Update)?;
    let containers = caller.may("container", Deed::Update)?;
    caller.may_act(&containers, "restart")?;
    let (hosts, host) = find(caller, id).await?;
    caller.note(&ty.def, Some(&host), "reboot", &Input::new());
    if status(caller, &host).await? != "ready" {
        return Err(Refusal::conflict());
    }
    let host = caller.engine.restart_containers_of(&caller.scope, &host).await?;
    shown(caller, &hosts, &host, Some("rebooting")).await
}

/// How a node is.
async fn status(caller: &Caller, host: &Resource) -> Outcome<&'static str> {
    if host.state == State::REMOVING || caller.engine.is_host_going(host)? {
        return Ok("deleting");
    }
    let agent = fields(host)?.text("agentState").unwrap_or_default();
    Ok(match host.state {
        State::ACTIVE | State::UPDATING_ACTIVE => match agent.as_str() {
            "" | "active" => match is_rebooting(caller, host).await? {
                true => "rebooting",
                false => "ready",
            },
            _ => "down",
        },
        State::INACTIVE | State::DEACTIVATING | State::UPDATING_INACTIVE => "inactive",
        State::ERROR | State::ERRORING => "down",
        _ => "creating",
    })
}

async fn is_rebooting(caller: &Caller, host: &Resource) -> Outcome<bool> {
    let rows = caller.rows("instance").await?;
    let restarts = |row: &Resource| row.host_id == Some(host.id) && row.state == State::RESTARTING;
    Ok(rows.iter().any(restarts))
}

async fn shown(caller: &Caller, hosts: &[Resource], host: &Resource, now: Option<&str>) -> Outcome<Value> {
    let own = fields(host)?;
    let info: Value = own.read("info")?.unwrap_or_default();
    let os = |field: &str| {
        info.pointer("/osInfo")
            .and_then(|os| os.get(field)?.as_str())
            .unwrap_or_default()
    };
    let system = os("operatingSystem");
    let at = system.find(|c: char| c.is_ascii_digit()).unwrap_or(system.len());
    let (distribution, version) = system.split_at(at);
    let status = match now {
        Some(now) => now.to_owned(),
        None => status(caller, host).await?.to_owned(),
    };
    let lasting: Vec<Resource> = hosts
        .iter()
        .filter(|host| host.state != State::REMOVING)
        .cloned()
        .collect();
    Ok(json!({
        "id": caller.ids.of("node", host.id),
        "status": status,
        "public_ip_address": address_of(host).1,
        "swarm_manager": managers(&lasting).iter().any(|manager| manager.id == host.id),
        "size": own.text(SIZE).unwrap_or_else(|| LOCAL.to_owned()),
        "operating_system": {"type": "linux", "distribution": distribution.trim(), "version": version.trim()},
        "hostname": hostname(host),
    }))
}
