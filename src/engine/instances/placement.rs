//! What the planner is given: launch configurations and hosts as it sees them; and the host of a container of no service.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use crate::engine::core::{Core, fenced, is_node, is_sim};
use crate::model::launch::{LABEL_START_ONCE, LaunchConfig, is_sim_image, parse_reference, texts};
use crate::model::own_labels::{HOST, RestartRule};
use crate::model::port::PortSpec;
use crate::model::{Resource, ResourceId, Result, State};
use crate::plan;
use crate::runtime;
use crate::store::{Changes, Process, Slim};

use super::container_rows::plan_state;
use super::env_rules::labels_with_rules;
use super::failing::{Hindrance, Step};

impl Core {
    /// A launch configuration as the planner sees it. `service` is the name by which sidekicks call the primary.
    pub(crate) fn plan_config(&self, service: Option<&str>, launch: &LaunchConfig) -> plan::UnitConfig {
        let by_name =
            |name: &String| Some(name.clone()).filter(|n| !service.is_some_and(|s| s.eq_ignore_ascii_case(n)));
        plan::UnitConfig {
            name: launch.name.clone().filter(|_| service.is_some()),
            version: launch.version.clone().unwrap_or_else(|| "0".into()),
            is_sim: is_sim_image(launch.image_uuid.as_deref().unwrap_or_default()),
            start_once: launch.has_label_true(LABEL_START_ONCE),
            restarts: RestartRule::checked(launch.labels.as_ref()),
            health_checked: launch.check().is_some(),
            network_from: launch.network_launch_config.as_ref().map(by_name),
            volumes_from: launch
                .data_volumes_from_launch_configs
                .iter()
                .flatten()
                .map(by_name)
                .collect(),
            host_ports: launch
                .ports
                .iter()
                .flatten()
                .filter_map(|p| PortSpec::parse(p).ok())
                .filter(|p| p.public.is_some())
                .collect(),
            labels: labels_with_rules(launch),
            requested_host: launch.requested_host_id.as_deref().and_then(parse_reference),
            memory_reservation: launch.memory_reservation.unwrap_or(0),
            milli_cpu_reservation: launch.milli_cpu_reservation.unwrap_or(0),
        }
    }

    /// The hosts of a project as the planner sees them; `except` is the service whose own ports do not count.
    /// Neighbours are read only if `configs` have rules about containers.
    pub(crate) fn plan_hosts(
        &self,
        account: Option<ResourceId>,
        except: Option<ResourceId>,
        configs: &[&LaunchConfig],
    ) -> Result<Vec<plan::Host>> {
        let asks = |key: &String| {
            key.to_ascii_lowercase()
                .starts_with("io.rancher.scheduler.affinity:container")
        };
        let wants_neighbours = configs.iter().any(|c| labels_with_rules(c).keys().any(asks));
        let rows = self.store.all("host", account)?;
        let ids: Vec<ResourceId> = rows.iter().map(|r| r.id).collect();
        let running = self.store.on_hosts(&ids, "instance")?;
        let load = loads(&running);
        let reserves = |c: &&LaunchConfig| {
            c.memory_reservation.is_some_and(|n| n > 0) || c.milli_cpu_reservation.is_some_and(|n| n > 0)
        };
        let reserved = if configs.iter().any(reserves) {
            self.reserved(&running)?
        } else {
            HashMap::new()
        };
        let mut ports = self.bound_ports(account, except)?;
        let mut neighbours = if wants_neighbours {
            self.neighbours(&running, except)?
        } else {
            HashMap::new()
        };
        let wire = |id| self.wire_id("host", id);
        let hosts = rows.into_iter().map(|row| {
            let fields: HostFields = serde_json::from_str(&row.fields).unwrap_or_default();
            let taken = reserved.get(&row.id).copied().unwrap_or_default();
            let is_gone = matches!(
                row.state,
                State::REMOVING | State::REMOVED | State::PURGING | State::PURGED
            );
            let is_away = fields.agent_state.as_deref();
            let is_disconnected = is_away.is_some_and(|s| !s.is_empty() && s != "active");
            // What an agent that is given up led to goes at once: only its rows are left of it.
            let goes_at_once = fields.remove_after.is_some() && !is_node(&row);
            plan::Host {
                id: row.id,
                is_sim: is_sim(&row),
                is_active: row.state == State::ACTIVE,
                is_gone,
                is_disconnected,
                is_lost: is_gone && is_disconnected && !goes_at_once,
                labels: asked_labels(&row, &fields, &wire(row.id)),
                live_instances: load.get(&row.id).copied().unwrap_or(0),
                bound_ports: ports.remove(&row.id).unwrap_or_default(),
                neighbours: neighbours.remove(&row.id).unwrap_or_default(),
                free_memory: fields.memory.map(|all| all.saturating_sub(taken.memory)),
                free_milli_cpu: fields.milli_cpu.map(|all| all.saturating_sub(taken.milli_cpu)),
            }
        });
        Ok(hosts.collect())
    }

    /// The ports that are bound on each host of a project, but for those of the service `except`. Two queries, however many.
    fn bound_ports(
        &self,
        account: Option<ResourceId>,
        except: Option<ResourceId>,
    ) -> Result<HashMap<ResourceId, Vec<PortSpec>>> {
        let mut active = self.store.all("port", account)?;
        active.retain(|port| port.state == State::ACTIVE && port.host_id.is_some());
        let own: BTreeSet<ResourceId> = match except {
            Some(_) => {
                let owners: BTreeSet<ResourceId> = active.iter().filter_map(|port| port.parent_id).collect();
                let owners = self.store.many(&owners.into_iter().collect::<Vec<_>>())?;
                owners
                    .into_iter()
                    .filter(|o| o.parent_id == except)
                    .map(|o| o.id)
                    .collect()
            }
            None => BTreeSet::new(),
        };
        let mut ports: HashMap<ResourceId, Vec<PortSpec>> = HashMap::new();
        for port in active {
            let is_own = port.parent_id.is_some_and(|owner| own.contains(&owner));
            let Some(host) = port.host_id.filter(|_| !is_own) else {
                continue;
            };
            let fields: PortFields = serde_json::from_str(&port.fields).unwrap_or_default();
            if let (Some(public), Some(private)) = (fields.public_port, fields.private_port) {
                let is_udp = fields.protocol.as_deref() == Some("udp");
                ports.entry(host).or_default().push(PortSpec {
                    ip: fields.bind_address,
                    public: Some(public),
                    private,
                    protocol: if is_udp { "udp" } else { "tcp" },
                });
            }
        }
        Ok(ports)
    }

    /// What the containers of each host have reserved, stopped or not. One query, however many.
    fn reserved(&self, there: &[Slim]) -> Result<HashMap<ResourceId, Reservation>> {
        let ids: Vec<ResourceId> = there.iter().map(|s| s.id).collect();
        let mut reserved: HashMap<ResourceId, Reservation> = HashMap::new();
        for row in self.store.many(&ids)? {
            let Some(host) = row.host_id else { continue };
            let own: ReservedFields = serde_json::from_str(&row.fields).unwrap_or_default();
            let sum = reserved.entry(host).or_default();
            sum.memory = sum.memory.saturating_add(own.memory_reservation.unwrap_or(0).max(0));
            sum.milli_cpu = sum
                .milli_cpu
                .saturating_add(own.milli_cpu_reservation.unwrap_or(0).max(0));
        }
        Ok(reserved)
    }

    /// Containers of others on each host, for affinity. One query, however many.
    fn neighbours(
        &self,
        running: &[Slim],
        except: Option<ResourceId>,
    ) -> Result<HashMap<ResourceId, Vec<plan::Neighbour>>> {
        let ids: Vec<ResourceId> = running.iter().map(|s| s.id).collect();
        let mut neighbours: HashMap<ResourceId, Vec<plan::Neighbour>> = HashMap::new();
        for row in self.store.many(&ids)? {
            let Some(host) = row.host_id.filter(|_| except.is_none() || row.parent_id != except) else {
                continue;
            };
            let labels: Labels = serde_json::from_str(&row.fields).unwrap_or_default();
            neighbours.entry(host).or_default().push(plan::Neighbour {
                name: row.name,
                labels: labels.labels.unwrap_or_default(),
            });
        }
        Ok(neighbours)
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Reservation {
    memory: i64,
    milli_cpu: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReservedFields {
    memory_reservation: Option<i64>,
    milli_cpu_reservation: Option<i64>,
}

/// How many containers live on each host.
fn loads(running: &[Slim]) -> HashMap<ResourceId, u32> {
    let mut load: HashMap<ResourceId, u32> = HashMap::new();
    for slim in running {
        let is_live = !matches!(
            plan_state(slim.state),
            plan::InstanceState::Stopped | plan::InstanceState::Removing
        );
        if let Some(host) = slim.host_id.filter(|_| is_live) {
            *load.entry(host).or_default() += 1;
        }
    }
    load
}

/// A port's own fields, as far as the engine acts on them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PortFields {
    pub(crate) public_port: Option<u16>,
    pub(crate) private_port: Option<u16>,
    pub(crate) protocol: Option<String>,
    pub(crate) bind_address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostFields {
    #[serde(deserialize_with = "texts")]
    labels: Option<BTreeMap<String, String>>,
    agent_state: Option<String>,
    remove_after: Option<String>,
    hostname: Option<String>,
    info: Option<HostInfo>,
    memory: Option<i64>,
    milli_cpu: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostInfo {
    os_info: OsInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OsInfo {
    architecture: Option<String>,
}

/// What rules about host labels find of a host: its labels, and what it is beside them.
fn asked_labels(row: &Resource, fields: &HostFields, wire: &str) -> BTreeMap<String, String> {
    let mut labels = fields.labels.clone().unwrap_or_default();
    labels.retain(|key, _| !key.starts_with(HOST));
    let name = fields.hostname.clone().filter(|name| !name.is_empty());
    let architecture = fields.info.as_ref().and_then(|info| info.os_info.architecture.clone());
    let known = [
        ("id", Some(wire.to_owned())),
        ("name", Some(name.unwrap_or_else(|| row.name.clone()))),
        ("os", Some("linux".to_owned())),
        ("role", Some("manager".to_owned())),
        ("arch", architecture),
    ];
    let known = known
        .into_iter()
        .filter_map(|(key, value)| Some((format!("{HOST}{key}"), value?)));
    labels.extend(known);
    labels
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(deserialize_with = "texts")]
    labels: Option<BTreeMap<String, String>>,
}

/// What clients know as the words for a project without an active host.
const NO_HOST: &str = "Scheduling failed: No healthy hosts with sufficient resources available";

impl Core {
    /// Chooses a host for a container of no service; while it has none it is on no engine.
    pub(super) async fn place(&self, process: &Process, row: &Resource, launch: &LaunchConfig) -> Step<Resource> {
        let host = match launch.requested_host_id.as_deref().and_then(parse_reference) {
            Some(host) => host,
            None => self.place_for(row, launch)?,
        };
        let (process_id, row_id) = (process.id, row.id);
        let placed = self
            .write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else {
                    return Ok(None);
                };
                tx.update_if(
                    &row,
                    &Changes {
                        host_id: Some(Some(host)),
                        ..Changes::default()
                    },
                )
                .map(Some)
            })
            .await?;
        placed.ok_or_else(|| Hindrance::refused("the container moved on"))
    }

    /// The planner's choice for a service of one unit is the choice for a container of no service.
    fn place_for(&self, row: &Resource, launch: &LaunchConfig) -> Step<ResourceId> {
        let desired = plan::Desired {
            stack: String::new(),
            service: row.name.clone(),
            goal: plan::Goal::Run,
            scale: plan::Scale::Units(1),
            configs: vec![self.plan_config(None, launch)],
            health: plan::HealthStrategy::None,
            moves: plan::Moves::Stay,
            divider: '-',
        };
        let hosts = self.plan_hosts(row.account_id, None, &[launch])?;
        let is_any_active = hosts.iter().any(|host| host.is_active && !host.is_gone);
        let plan = plan::plan(
            &desired,
            &plan::Observed {
                hosts,
                ..plan::Observed::default()
            },
            self.now(),
        );
        let chosen = plan.steps.iter().find_map(|step| match step {
            plan::Step::Create { host, .. } => Some(*host),
            _ => None,
        });
        chosen.ok_or_else(|| match plan.verdict {
            plan::Verdict::Stuck(message) => Hindrance::refused(&message),
            plan::Verdict::Working(_) if plan.held_by.is_some() => {
                runtime::Error::Unreachable("the host where it may run is not connected".into()).into()
            }
            plan::Verdict::Held(message) | plan::Verdict::GivenUp(message) => Hindrance::refused(&message),
            plan::Verdict::Converged | plan::Verdict::Working(_) if is_any_active => {
                Hindrance::refused("Scheduling failed")
            }
            plan::Verdict::Converged | plan::Verdict::Working(_) => Hindrance::refused(NO_HOST),
        })
    }
}
