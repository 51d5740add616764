//! Domains: the balancer of a cluster that leads them to services, and whether they lead to the cluster at all.
//!
//! One balancer of a project serves the domains of all its services. Its rules name no service: it finds them by a label, and each
//! says in its own row which domains are its. So what leads where is written in the one transaction in which a service is.

use std::io::Result as IoResult;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::MedStackApi;
use super::caller::{Caller, Deed, fields};
use super::nodes;
use super::project::ROUTER;
use super::record::Service;
use super::references::address_of;
use super::refusal::{Form, Outcome, Refusal};
use crate::model::launch::LABEL_GLOBAL;
use crate::model::{Error, Resource, ResourceId};
use crate::schema::validate::Purpose;

/// The setting that says whether domains have to lead to the cluster.
const DNS_CHECK: &str = "medstack.dns.check";
/// The stack of the balancer, and its name there.
const STACK: &str = "medstack-router";
const NAME: &str = "router";
/// How long names are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The image of a balancer on simulated hosts, which balances nothing.
const SIMULATED: &str = "sim:router";

/// The addresses of a name, as this machine finds them.
pub async fn lookup(name: String) -> IoResult<Vec<IpAddr>> {
    let found = lookup_host((name.as_str(), 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Checks the domains of a service: that no other service has them, and that they lead to the cluster's manager.
///
/// # Errors
/// 400 that says it of each.
pub async fn check(
    state: &MedStackApi,
    caller: &Caller,
    hosts: &[String],
    own: Option<ResourceId>,
    others: &[Service],
) -> Outcome<()> {
    let wrong = |why: String| Err(Refusal::field(Form::Prefixed, "hosts", &why));
    for other in others.iter().filter(|other| Some(other.row.id) != own) {
        if let Some(host) = hosts.iter().find(|host| other.spec.hosts.contains(host)) {
            return wrong(format!("{host} leads to service {} already", other.spec.name));
        }
    }
    if hosts.is_empty() || caller.engine.setting(DNS_CHECK).as_deref() == Some("off") {
        return Ok(());
    }
    let all = caller.lasting("host").await?;
    let managers = nodes::managers(&all);
    let addresses: Vec<String> = managers.iter().map(|host| address_of(host).1).collect();
    let Some(manager) = addresses.iter().find(|address| !address.is_empty()) else {
        return wrong("no manager of the cluster has an ip address".to_owned());
    };
    let asked = hosts.iter().map(|host| async move {
        let found = timeout(PATIENCE, (state.resolve)(host.clone())).await;
        let found = found.ok().and_then(IoResult::ok).unwrap_or_default();
        match found.is_empty() {
            true => Some(format!("no ip address for {host}")),
            false if found.iter().any(|ip| addresses_have(&ip.to_string(), manager)) => None,
            false => Some(format!("{host} does not resolve to manager ip address {manager}")),
        }
    });
    let clauses: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
    match clauses.is_empty() {
        true => Ok(()),
        false => wrong(clauses.join(", ")),
    }
}

fn addresses_have(found: &str, manager: &str) -> bool {
    found == manager
}

/// Sees to it that there is the balancer, and that it has the certificates that the project has now.
///
/// # Errors
/// 403 for a role that may make none.
pub async fn ensure(caller: &Caller, simulates: bool) -> Outcome<()> {
    let certificates = caller.lasting("certificate").await?;
    let wires: Vec<String> = certificates.iter().map(|row| caller.engine.wire_id(row)).collect();
    let config = config(&wires);
    let stack = super::services::stack(caller, STACK).await?;
    let services = caller.lasting("service").await?;
    let is_it = |row: &&Resource| row.parent_id == Some(stack.id) && row.kind == "loadBalancerService";
    match services.iter().find(is_it) {
        Some(row) => keep(caller, row, &wires, config).await,
        None => make(caller, &stack, simulates, config).await,
    }
}

/// What the balancer is to do: 80, and with certificates 443.
fn config(certificates: &[String]) -> Value {
    let selector = format!("{}={}", ROUTER.0, ROUTER.1);
    let rule = |port: u16, protocol: &str| json!({"sourcePort": port, "protocol": protocol, "selector": selector});
    let mut config = json!({"portRules": [rule(80, "http")]});
    if let (Some(first), Some(object)) = (certificates.first(), config.as_object_mut()) {
        object.insert("portRules".into(), json!([rule(80, "http"), rule(443, "https")]));
        object.insert("defaultCertificateId".into(), json!(first));
        object.insert(
            "certificateIds".into(),
            json!(certificates.get(1..).unwrap_or_default()),
        );
    }
    config
}

async fn make(caller: &Caller, stack: &Resource, simulates: bool, config: Value) -> Outcome<()> {
    let ty = caller.may("loadBalancerService", Deed::Create)?;
    let mut launch = json!({
        "ports": ["80:80/tcp", "443:443/tcp"],
        // No way leads from one engine to the containers of another: each host has its own.
        "labels": {LABEL_GLOBAL: "true"},
    });
    if let (true, Some(launch)) = (simulates, launch.as_object_mut()) {
        launch.insert("imageUuid".into(), json!(SIMULATED));
    }
    let sent = json!({
        "name": NAME, "stackId": caller.engine.wire_id(stack), "startOnCreate": true, "launchConfig": launch,
        "lbConfig": config,
    });
    let input = caller
        .validated(&ty, sent, (Purpose::Create, None), (Form::Prefixed, &[]))
        .await?;
    match caller.engine.create(&caller.scope, &ty, input).await {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(error) if error.code.as_deref() == Some("NotUnique") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the certificates, if they are others.
async fn keep(caller: &Caller, row: &Resource, certificates: &[String], config: Value) -> Outcome<()> {
    let known: Value = fields(row)?.read("lbConfig")?.unwrap_or_default();
    let listed = known
        .get("certificateIds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let default = known.get("defaultCertificateId").into_iter();
    let has: Vec<&str> = default.chain(listed).filter_map(Value::as_str).collect();
    if has == certificates {
        return Ok(());
    }
    let ty = caller.may("loadBalancerService", Deed::Update)?;
    let sent = json!({"lbConfig": config});
    let purpose = (Purpose::Update, Some(row.id));
    let input = caller.validated(&ty, sent, purpose, (Form::Prefixed, &[])).await?;
    let written = caller.engine.update(&caller.scope, &ty, row.id, input).await;
    written.map(drop).map_err(|error: Error| error.into())
}
