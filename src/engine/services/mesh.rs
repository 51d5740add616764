//! The mesh: ports of a service that each host of its project has, and that lead to all of its containers.
//!
//! What publishes them is a balancer like any other, on each host, in the service's stack: its companion. It follows from the
//! service's launch configuration, whoever wrote that: each process of the service, and each look at one that rests, brings it into
//! line by what is there. So it is made, changed, started and stopped with the service, a rollback included, and what somebody changed of
//! it by hand, or took away, comes back; it goes with the service as each of its parts does. Each step is one transaction, and may be
//! repeated.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::engine::core::{Core, Input, MESH_OF, is_active_like, notes, request, write_notes};
use crate::model::launch::{LABEL_GLOBAL, LaunchConfig, is_sim_image, parse_reference};
use crate::model::lb_config::{LbConfig, PortRule};
use crate::model::own_labels::{MESH_PORTS, mesh_ports};
use crate::model::port::PortSpec;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::validate::{self, Purpose};
use crate::schema::{Machine, Role, Version};
use crate::store::{Changes, Tx};

use super::files::OfProject;
use super::names::Neighbours;
use super::new_service::NewService;
use super::parts::is_staying;
use super::snapshot::ServiceNotes;
use super::upgrade::{Config, Upgrade};

/// What a companion is.
const KIND: &str = "loadBalancerService";
/// What the name of a companion ends with.
const SUFFIX: &str = "-mesh";
/// The longest name of a service, less what a companion's ends with, and a number.
const LONGEST_STEM: usize = 63 - SUFFIX.len() - 4;
/// So many steps are done at a time. Each one leads further, unless somebody changes what it was made of.
const STEPS: usize = 8;

/// What a service wants of its companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    Up,
    Down,
}

/// What has to be done about a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing, or nothing yet.
    Rest,
    Make,
    /// Its rules or its description are others: nothing is made anew for that.
    Say,
    /// Its ports are others: its containers are made anew.
    Publish,
    Start,
    Stop,
    Remove,
}

/// A service and its companion, as they were read.
struct Pair {
    service: Resource,
    companion: Option<Resource>,
    stance: Stance,
    /// On hosts, and in containers.
    ports: Vec<(u16, u16)>,
    /// Whether its containers are simulated.
    is_sim: bool,
}

impl Pair {
    fn read(service: Resource, companion: Option<Resource>) -> Result<Self> {
        let fields = Fields::parse(&service.fields)?;
        let launch: LaunchConfig = fields.read("launchConfig")?.unwrap_or_default();
        let mut ports: Vec<(u16, u16)> = launch
            .labels
            .iter()
            .flat_map(mesh_ports)
            .filter_map(|port| Some((port.public?, port.private)))
            .collect();
        ports.sort_unstable();
        let stance = match service.state {
            State::REQUESTED | State::REGISTERING if fields.read("startOnCreate")?.unwrap_or(false) => Stance::Up,
            state if is_active_like(state) => Stance::Up,
            _ => Stance::Down,
        };
        Ok(Self {
            is_sim: launch.image_uuid.as_deref().is_some_and(is_sim_image),
            service,
            companion,
            stance,
            ports,
        })
    }

    /// What has to be done next.
    fn step(&self, machine: &Machine) -> Result<Step> {
        let is_wanted = !self.ports.is_empty();
        let Some(companion) = &self.companion else {
            return Ok(if is_wanted { Step::Make } else { Step::Rest });
        };
        let may = |process: &str| machine.start(process, companion.state).is_some();
        if !is_wanted {
            let goes = machine.running("remove", companion.state).is_some();
            return Ok(if !goes && may("remove") {
                Step::Remove
            } else {
                Step::Rest
            });
        }
        // Its ports are its own until it is gone; then it is looked again.
        if companion.state == State::REMOVING {
            return Ok(Step::Rest);
        }
        let fields = Fields::parse(&companion.fields)?;
        let launch: LaunchConfig = fields.read("launchConfig")?.unwrap_or_default();
        let own = launch
            .ports
            .iter()
            .flatten()
            .filter_map(|text| PortSpec::parse(text).ok());
        let own: BTreeSet<String> = own.map(|port| port.to_string()).collect();
        let may_upgrade = may("upgrade") || machine.anew("upgrade", companion.state).is_some();
        Ok(if self.stance == Stance::Up && own != self.published() && may_upgrade {
            Step::Publish
        } else if !self.rules_fit(&fields)? || fields.text("description") != Some(self.description()) {
            Step::Say
        } else if self.stance == Stance::Up && companion.state == State::INACTIVE {
            Step::Start
        } else if self.stance == Stance::Down && may("deactivate") {
            Step::Stop
        } else {
            Step::Rest
        })
    }

    fn published(&self) -> BTreeSet<String> {
        self.ports
            .iter()
            .map(|(public, _)| format!("{public}:{public}/tcp"))
            .collect()
    }

    /// Whether the rules of a companion are those that it has to have.
    fn rules_fit(&self, fields: &Fields) -> Result<bool> {
        let config: LbConfig = fields.read("lbConfig")?.unwrap_or_default();
        let rules = config.port_rules.unwrap_or_default();
        let fits = |(rule, (public, private)): (&PortRule, &(u16, u16))| {
            rule.source_port == Some(*public)
                && rule.target_port == Some(*private)
                && rule.protocol.as_deref() == Some("tcp")
                && rule.service_id.as_deref().and_then(parse_reference) == Some(self.service.id)
        };
        Ok(rules.len() == self.ports.len() && rules.iter().zip(&self.ports).all(fits))
    }

    fn description(&self) -> String {
        format!("Publishes ports of the service {}", self.service.name)
    }

    /// Both rows as they are in this transaction; none if one is another than was read, or the process that reads is over.
    fn unchanged(&self, tx: &mut Tx<'_>, process: Option<i64>) -> Result<bool> {
        if let Some(process) = process
            && !tx.is_open(process)?
        {
            return Ok(false);
        }
        for read in std::iter::once(&self.service).chain(&self.companion) {
            if tx.find(read.id)?.is_none_or(|row| row.version != read.version) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Core {
    /// Brings what publishes the ports of a service into line with it. `process` is the fence; none where the service rests.
    pub(super) async fn follow_mesh(&self, service: ResourceId, process: Option<i64>) -> Result<()> {
        for _ in 0..STEPS {
            let Some(row) = self.store.find(service)?.filter(is_staying) else {
                return Ok(());
            };
            // Most services have no ports in the mesh, and never had.
            if !row.fields.contains(MESH_PORTS) && !row.internal.contains("\"mesh\":") {
                return Ok(());
            }
            let companion = notes::<ServiceNotes>(&row).mesh.map(ResourceId);
            let companion = companion.map(|id| self.store.find(id)).transpose()?.flatten();
            let companion = companion.filter(|row| row.removed.is_none());
            let pair = Pair::read(row, companion)?;
            let step = pair.step(self.machine_of(KIND)?)?;
            match step {
                Step::Rest => return Ok(()),
                Step::Make if !self.stack_takes(&pair.service)? => return Ok(()),
                Step::Make => self.make_companion(pair, process).await?,
                Step::Say => self.tell_companion(pair, process).await?,
                Step::Publish => self.republish(pair, process).await?,
                Step::Start => self.ask_companion(pair, process, "activate").await?,
                Step::Stop => self.ask_companion(pair, process, "deactivate").await?,
                Step::Remove => self.ask_companion(pair, process, "remove").await?,
            }
        }
        Ok(())
    }

    /// Whether a service may still be made in the stack of this one.
    fn stack_takes(&self, service: &Resource) -> Result<bool> {
        let stack = service.parent_id.map(|id| self.store.find(id)).transpose()?.flatten();
        Ok(stack.is_some_and(|stack| {
            stack.removed.is_none() && !matches!(stack.state, State::REMOVING | State::ERROR | State::ERRORING)
        }))
    }

    /// A companion as a client would have sent it, and as it is kept.
    fn companion_input(&self, pair: &Pair, name: &str) -> Result<Input> {
        let service = self.wire_id("service", pair.service.id);
        let rules = pair.ports.iter().map(|(public, private)| {
            json!({"sourcePort": public, "protocol": "tcp", "serviceId": service, "targetPort": private})
        });
        let mut launch = json!({"ports": pair.published(), "labels": {LABEL_GLOBAL: "true"}});
        if let Some(launch) = launch.as_object_mut().filter(|_| pair.is_sim) {
            // What is simulated is reached by nobody, and a simulated balancer runs where it does.
            launch.insert("imageUuid".into(), json!("sim:balancer"));
        }
        let body = json!({
            "name": name, "description": pair.description(), "startOnCreate": pair.stance == Stance::Up,
            "stackId": pair.service.parent_id.map(|id| self.wire_id("stack", id)), "launchConfig": launch,
            "lbConfig": {"portRules": rules.collect::<Vec<Value>>()},
        });
        let body = body.as_object().cloned().unwrap_or_default();
        let view = self.registry.view(Version::V2Beta, Role::Project);
        let ty = view
            .find_by_kind(KIND)
            .ok_or_else(|| Error::bug("there are no balancers"))?;
        let refs = OfProject {
            core: self,
            project: pair.service.account_id,
        };
        let mut input = validate::input(view, ty, &body, Purpose::Create, &refs)?;
        self.name_balancer_image(KIND, &mut input)?;
        self.apply_image_rules(&mut input)?;
        input.insert(MESH_OF.into(), json!(service));
        Ok(input)
    }

    async fn make_companion(&self, pair: Pair, process: Option<i64>) -> Result<()> {
        let (Some(account), Some(stack)) = (pair.service.account_id, pair.service.parent_id) else {
            return Ok(());
        };
        let input = match self.companion_input(&pair, SUFFIX.trim_start_matches('-')) {
            Ok(input) => input,
            // It was asked to go meanwhile: nothing can refer to it any more, and who removes it looks again.
            Err(_) if !self.store.find(pair.service.id)?.is_some_and(|row| is_staying(&row)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let def = self.type_of(KIND)?.clone();
        self.write(move |tx| {
            if !pair.unchanged(tx, process)? {
                return Ok(());
            }
            let mut beside = Neighbours::read(tx, stack, None)?;
            let mut input = input;
            input.insert("name".into(), json!(free_name(&pair.service.name, &beside)));
            let made = NewService::check(&def, account, stack, input)?.insert_beside(tx, &mut beside)?;
            let note = ServiceNotes {
                mesh: Some(made.id.0),
                ..notes::<ServiceNotes>(&pair.service)
            };
            let changes = Changes {
                internal: Some(write_notes(&note)?),
                ..Changes::default()
            };
            tx.update_if(&pair.service, &changes).map(drop)
        })
        .await
    }

    /// Writes what makes no container anew.
    async fn tell_companion(&self, pair: Pair, process: Option<i64>) -> Result<()> {
        let config = self.balancing_of(&pair)?;
        self.write(move |tx| {
            let Some(companion) = &pair.companion else {
                return Ok(());
            };
            if !pair.unchanged(tx, process)? {
                return Ok(());
            }
            let mut changes = Changes::default();
            changes.patch.set("lbConfig", &config)?;
            changes.patch.set("description", &pair.description())?;
            tx.update_if(companion, &changes).map(drop)
        })
        .await
    }

    /// What the companion balances from now on: other rules, and whatever else was said of it.
    fn balancing_of(&self, pair: &Pair) -> Result<Value> {
        let mut input = self.companion_input(pair, SUFFIX.trim_start_matches('-'))?;
        let mut wanted = input.shift_remove("lbConfig").unwrap_or_default();
        let Some(companion) = &pair.companion else {
            return Ok(wanted);
        };
        let own: Option<Config> = Fields::parse(&companion.fields)?.read("lbConfig")?;
        if let (Some(mut own), Some(rules)) = (own, wanted.get_mut("portRules").map(Value::take)) {
            own.insert("portRules".into(), rules);
            wanted = Value::Object(own);
        }
        Ok(wanted)
    }

    /// Has the containers of the companion made anew, one after the other, with other ports.
    async fn republish(&self, pair: Pair, process: Option<i64>) -> Result<()> {
        let Some(companion) = pair.companion.clone() else {
            return Ok(());
        };
        let launch: Option<Config> = Fields::parse(&companion.fields)?.read("launchConfig")?;
        let mut launch = launch.unwrap_or_default();
        launch.insert("ports".into(), json!(pair.published()));
        let strategy = json!({"launchConfig": launch, "batchSize": 1, "intervalMillis": 100, "startFirst": false});
        let strategy = strategy.as_object().cloned().unwrap_or_default();
        let beside = json!({"lbConfig": self.balancing_of(&pair)?, "description": pair.description()});
        let beside = beside.as_object().cloned().unwrap_or_default();
        let upgrade = Upgrade::check(&companion, strategy)?.finishing().superseding(beside);
        let (machine, range) = (
            self.machine_of(KIND)?.clone(),
            self.port_range(pair.service.account_id)?,
        );
        self.write(move |tx| match pair.unchanged(tx, process)? {
            true => upgrade.begin(tx, &machine, &companion, range).map(drop),
            false => Ok(()),
        })
        .await
    }

    async fn ask_companion(&self, pair: Pair, process: Option<i64>, what: &'static str) -> Result<()> {
        let machine = self.machine_of(KIND)?.clone();
        self.write(move |tx| match &pair.companion {
            Some(companion) if pair.unchanged(tx, process)? => {
                request(tx, &machine, companion, what, "{}", Changes::default()).map(drop)
            }
            _ => Ok(()),
        })
        .await
    }
}

/// What a new companion is called: after its service, and with a number if that is taken.
fn free_name(service: &str, beside: &Neighbours) -> String {
    let stem = service.get(..service.len().min(LONGEST_STEM)).unwrap_or(service);
    let first = format!("{}{SUFFIX}", stem.trim_end_matches('-'));
    let more = (2..1_000).map(|n| format!("{first}-{n}"));
    let mut names = std::iter::once(first.clone()).chain(more);
    let free = names.find(|name| beside.check_free(std::iter::once(name.as_str())).is_ok());
    free.unwrap_or(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::{new_row, testkit};
    use crate::store::NewResource;

    #[tokio::test]
    async fn a_service_that_goes_while_its_companion_is_made_fails_no_process() {
        for goes in [false, true] {
            let (_folder, core) = testkit::empty();
            let (stacks, services) = (core.type_of("stack").unwrap(), core.type_of("service").unwrap());
            let (stacks, services, project) = (stacks.clone(), services.clone(), Some(ResourceId(5)));
            let launch = json!({"imageUuid": "sim:web", "labels": {MESH_PORTS: "8080:80"}});
            let mut fields = Fields::default();
            fields.set("launchConfig", &launch).unwrap();
            let making = core.write(move |tx| {
                let stack = tx.insert(NewResource {
                    name: "front".into(),
                    state: State::ACTIVE,
                    ..new_row(&stacks, project, Fields::default())
                })?;
                tx.insert(NewResource {
                    name: "web".into(),
                    state: State::ACTIVE,
                    parent_id: Some(stack.id),
                    ..new_row(&services, project, fields)
                })
            });
            let service = making.await.unwrap();
            let pair = Pair::read(service.clone(), None).unwrap();
            assert_eq!(pair.step(core.machine_of(KIND).unwrap()).unwrap(), Step::Make);
            if goes {
                testkit::remove(&core, &service).await;
            }
            core.make_companion(pair, None).await.unwrap();
            let there = core.store.children(service.parent_id.unwrap(), "service").unwrap();
            let made = there.iter().filter(|row| row.kind == KIND).count();
            assert_eq!(made, usize::from(!goes));
        }
    }
}
