//! The steps of a plan, written as requests: some in each transaction, and fenced by the process that planned them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::engine::core::{Core, Entry, ServiceLog, fenced, notes, request, stable_uuid, write_notes};
use crate::engine::instances::{
    InstanceNotes, InstanceTypes, Wanted, insert_service_container, is_leaving, remove_container,
};
use crate::model::{Error, Fields, Resource, ResourceId, Result, ServiceKind, State};
use crate::plan::{Health, InstanceState, Plan, Step, UnitId, Why};
use crate::schema::Machine;
use crate::store::{Changes, Process, Tx};

use super::shared_volumes::DeclaredVolumes;
use super::snapshot::{Config, Failed, ServiceNotes, ServiceSnapshot};

impl Core {
    /// Writes the steps of a plan as requests, some per transaction. `process` is the fence.
    pub(crate) async fn carry_out(&self, process: &Process, snapshot: &ServiceSnapshot, plan: Plan) -> Result<()> {
        let machine = self.machine_of("container")?.clone();
        let mut siblings: HashMap<String, BTreeMap<Option<String>, ResourceId>> = HashMap::new();
        for instance in snapshot.observed.instances.iter().filter(|i| !i.is_parked) {
            siblings
                .entry(instance.unit.clone())
                .or_default()
                .insert(instance.config.clone(), instance.id);
        }
        let project = snapshot
            .service
            .account_id
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten();
        let mut work = Work {
            service_id: snapshot.service.id,
            process: process.id,
            log: self.service_log(snapshot.service.id, process)?,
            standing: Some(standing(snapshot)),
            machine,
            types: std::sync::Arc::new(self.instance_types()?),
            stack: snapshot.stack.clone(),
            project_uuid: project.map(|p| p.uuid).unwrap_or_default(),
            configs: self.configs_to_run(snapshot)?.into(),
            volumes: self.declared_volumes(&snapshot.stack)?,
            is_global: snapshot.is_global(),
            is_system: snapshot.fields.system.unwrap_or(false),
            retain_ip: snapshot.fields.retain_ip.unwrap_or(false),
            siblings,
            taken_names: snapshot
                .instances
                .iter()
                .map(|i| notes::<InstanceNotes>(i).docker_name)
                .collect(),
        };
        let mut steps = plan.steps;
        for step in &mut steps {
            if let Step::Create { unit, .. } = step
                && let UnitId::New(index) = unit
            {
                *unit = UnitId::Known(unit_uuid(&snapshot.service.uuid, *index));
            }
        }
        let mut left = steps.into();
        loop {
            match self.write(move |tx| work.run(tx, left)).await? {
                Some((_, rest)) if rest.is_empty() => return Ok(()),
                Some((so_far, rest)) => (work, left) = (so_far, rest),
                None => return Ok(()),
            }
        }
    }
}

impl Core {
    /// The launch configurations of a service, as its containers are made of them.
    fn configs_to_run(&self, snapshot: &ServiceSnapshot) -> Result<Vec<Config>> {
        let mut configs: Vec<Config> = Vec::new();
        for config in &snapshot.configs {
            let (mut launch, mut raw) = (config.launch.clone(), config.raw.clone());
            if launch.name.is_none()
                && ServiceKind::of(&snapshot.service.kind) == ServiceKind::LoadBalancer
                && let Some(image) = self.balancer_image(launch.image_uuid.as_deref().unwrap_or_default())?
            {
                let text = serde_json::value::to_raw_value(&image);
                let text = text.map_err(|e| Error::internal("writing an image's name", e))?;
                raw.insert("imageUuid".into(), text);
                launch.image_uuid = Some(image);
            }
            configs.push(Config { launch, raw });
        }
        Ok(configs)
    }
}

/// What a transaction of steps needs.
struct Work {
    service_id: ResourceId,
    process: i64,
    log: ServiceLog,
    /// How things stand, for the log: told once for each plan.
    standing: Option<String>,
    machine: std::sync::Arc<Machine>,
    types: std::sync::Arc<InstanceTypes>,
    stack: Resource,
    project_uuid: String,
    configs: std::sync::Arc<[Config]>,
    volumes: DeclaredVolumes,
    is_global: bool,
    is_system: bool,
    retain_ip: bool,
    /// By unit and configuration, those made meanwhile too.
    siblings: HashMap<String, BTreeMap<Option<String>, ResourceId>>,
    /// Names on the engine that containers of this service still have: the kept ones of an upgrade, above all.
    taken_names: BTreeSet<String>,
}

/// A container to be made, as its step says it.
struct Creation {
    unit: String,
    index: u32,
    config: Option<String>,
    version: String,
    host: ResourceId,
    name: String,
    create_index: i64,
}

/// What one transaction of steps has come to so far.
struct Written {
    note: ServiceNotes,
    note_changed: bool,
    create_index: i64,
    log: Vec<Entry>,
}

impl Work {
    /// Writes as many steps as one transaction takes, and gives back the rest; `None` if the process is over and the rest must
    /// not be written.
    fn run(mut self, tx: &mut Tx<'_>, mut steps: VecDeque<Step>) -> Result<Option<(Self, VecDeque<Step>)>> {
        let Some(service) = fenced(tx, self.process, self.service_id)? else {
            return Ok(None);
        };
        let mut fields = Fields::parse(&service.fields)?;
        let first_index: i64 = fields.read("createIndex")?.unwrap_or(0);
        let mut written = Written {
            note: notes(&service),
            note_changed: false,
            create_index: first_index,
            log: Vec::new(),
        };
        written.log.extend(self.standing.take().map(|sentence| Entry {
            event: ".info",
            sentence,
            about: None,
        }));
        while let Some(step) = steps.pop_front() {
            self.write_step(tx, &service, step, &mut written)?;
            if tx.is_full() {
                break;
            }
        }
        let mut changes = Changes::default();
        if written.create_index != first_index {
            fields.set("createIndex", &written.create_index)?;
            changes.fields = Some(fields);
        }
        if written.note_changed {
            changes.internal = Some(write_notes(&written.note)?);
        }
        if changes.fields.is_some() || changes.internal.is_some() {
            tx.update_if(&service, &changes)?;
        }
        self.log.write(tx, &service, written.log)?;
        Ok(Some((self, steps)))
    }

    fn write_step(&mut self, tx: &mut Tx<'_>, service: &Resource, step: Step, written: &mut Written) -> Result<()> {
        match step {
            Step::Create {
                unit: UnitId::Known(unit),
                index,
                config,
                version,
                host,
                name,
            } => {
                written.create_index += 1;
                let creation = Creation {
                    unit,
                    index,
                    config,
                    version,
                    host,
                    name,
                    create_index: written.create_index,
                };
                let key = slot_key(creation.config.as_deref(), creation.index);
                let failed = written.note.failed.remove(&key);
                written.note_changed |= failed.is_some();
                let failures = failed.filter(|f| f.version == creation.version).map_or(0, |f| f.times);
                if let Some(id) = self.create(tx, service, &written.note, &creation, failures)? {
                    let Creation { unit, config, .. } = creation;
                    self.siblings.entry(unit).or_default().insert(config, id);
                    written
                        .log
                        .push(about(id, "service.instance.create", "Creating extra service instance"));
                }
            }
            Step::Create {
                unit: UnitId::New(_), ..
            } => return Err(Error::bug("a unit without a name")),
            Step::Start(id) => self.ask(tx, id, "start", "{}")?,
            Step::Stop(id) => self.ask(tx, id, "stop", "{}")?,
            Step::Remove { id, why } => {
                // Asked for once: who is on its way out is neither asked again nor logged again.
                if let Some(row) = tx.find(id)?
                    && !is_leaving(tx, &row)?
                {
                    if why == Why::Broken {
                        written.note_changed |= note_failed(&mut written.note, &row)?;
                    }
                    if why != Why::Removed {
                        written.log.push(about(id, "service.instance.delete", why_text(why)));
                    }
                    remove_container(tx, &self.machine, &row)?;
                }
            }
            Step::Park(id) => {
                if let Some(row) = tx.find(id)?.filter(|_| self.retain_ip) {
                    written.note_changed |= retain(&mut written.note, &row);
                }
                set_parked(tx, id, true)?;
                written
                    .log
                    .push(about(id, "service.instance.mark.upgrade", "Mark for upgrade"));
            }
            Step::Unpark(id) => set_parked(tx, id, false)?,
            Step::BeginBatch => {
                written.note.last_batch_at = Some(tx.now());
                written.note_changed = true;
            }
            Step::NoteFailed { unit, id } => {
                if written.note.upgrade.failed.insert(unit) {
                    written.note_changed = true;
                    let row = tx.find(id)?;
                    let why = row.map(|row| failure(&row)).unwrap_or_default();
                    written.log.push(about(id, "service.instance.fail", &why));
                }
            }
        }
        Ok(())
    }

    fn create(
        &self,
        tx: &mut Tx<'_>,
        service: &Resource,
        note: &ServiceNotes,
        creation: &Creation,
        failures: u32,
    ) -> Result<Option<ResourceId>> {
        let Creation { unit, config, name, .. } = creation;
        let is_it = |c: &&Config| match (config, &c.launch.name) {
            (None, None) => true,
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        };
        let Some(found) = self.configs.iter().find(is_it) else {
            return Ok(None);
        };
        let named = self.volumes.named(found, creation.index, unit)?;
        let found = named.as_ref().unwrap_or(found);
        let none = BTreeMap::new();
        let retained = note
            .retained
            .get(&slot_key(config.as_deref(), creation.index))
            .filter(|_| self.retain_ip)
            .cloned();
        let wanted = Wanted {
            service,
            stack: &self.stack,
            project_uuid: &self.project_uuid,
            launch: &found.launch,
            raw: &found.raw,
            config: config.clone(),
            version: creation.version.clone(),
            unit: unit.clone(),
            index: creation.index,
            host: creation.host,
            host_is_global: self.is_global,
            name: name.clone(),
            create_index: creation.create_index,
            requested_ip: retained,
            siblings: self.siblings.get(unit).unwrap_or(&none),
            is_system: self.is_system,
            name_is_taken: self.taken_names.contains(name),
            failures,
            balances: config.is_none() && ServiceKind::of(&service.kind) == ServiceKind::LoadBalancer,
        };
        insert_service_container(tx, &self.types, &wanted).map(Some)
    }

    /// Asks for a process of a container, if it may still start there.
    fn ask(&self, tx: &mut Tx<'_>, id: ResourceId, process: &str, data: &str) -> Result<()> {
        if let Some(row) = tx.find(id)?
            && self.machine.start(process, row.state).is_some()
        {
            request(tx, &self.machine, &row, process, data, Changes::default())?;
        }
        Ok(())
    }
}

/// The uuid of a service's unit with this index: the same when all its containers are gone and it is made again.
fn unit_uuid(service: &str, index: u32) -> String {
    stable_uuid(service.bytes().chain(index.to_be_bytes()))
}

/// The place of a container in its service: what comes after it comes there.
fn slot_key(config: Option<&str>, index: u32) -> String {
    format!("{}/{index}", config.unwrap_or_default())
}

/// Whether the service of a container that goes keeps its address for the next one; then it is noted.
pub(super) fn keep_address(tx: &mut Tx<'_>, row: &Resource) -> Result<bool> {
    let service = row.parent_id.map(|id| tx.find(id)).transpose()?.flatten();
    let Some(service) = service.filter(|s| s.removed.is_none() && s.state != State::REMOVING) else {
        return Ok(false);
    };
    if !Fields::parse(&service.fields)?
        .read::<bool>("retainIp")?
        .unwrap_or(false)
    {
        return Ok(false);
    }
    let mut note: ServiceNotes = notes(&service);
    if retain(&mut note, row) {
        tx.update_if(
            &service,
            &Changes {
                internal: Some(write_notes(&note)?),
                ..Changes::default()
            },
        )?;
    }
    Ok(true)
}

/// Notes the address of a container that will be made again.
fn retain(note: &mut ServiceNotes, row: &Resource) -> bool {
    let own: InstanceNotes = notes(row);
    match own.ip {
        Some(ip) => {
            note.retained
                .insert(slot_key(own.config.as_deref(), own.index), ip.clone())
                != Some(ip)
        }
        None => false,
    }
}

/// How a new container failed, in words.
fn failure(row: &Resource) -> String {
    let exits = notes::<InstanceNotes>(row).exits_in_words();
    let why = exits.or_else(|| Some(row.message.clone()).filter(|message| !message.is_empty()));
    match why {
        Some(why) => format!("{} failed: {why}", row.name),
        None => format!("{} failed: it is {}", row.name, row.health),
    }
}

/// Remembers how often the containers in this one's place could not be started.
fn note_failed(note: &mut ServiceNotes, row: &Resource) -> Result<bool> {
    let own: InstanceNotes = notes(row);
    if own.failures == 0 {
        return Ok(false);
    }
    let failed = Failed {
        times: own.failures,
        version: Fields::parse(&row.fields)?.text("version").unwrap_or_default(),
    };
    note.failed.insert(slot_key(own.config.as_deref(), own.index), failed);
    Ok(true)
}

/// An entry of the log about a container.
fn about(id: ResourceId, event: &'static str, sentence: &str) -> Entry {
    Entry {
        event,
        sentence: sentence.to_owned(),
        about: Some(id),
    }
}

/// How many units are wanted and there, and how many of these are not as they should be.
fn standing(snapshot: &ServiceSnapshot) -> String {
    let mut units: BTreeMap<&str, (bool, bool, bool)> = BTreeMap::new();
    for instance in snapshot.observed.instances.iter().filter(|i| !i.is_parked) {
        let (is_ill, is_bad, is_incomplete) = units.entry(&instance.unit).or_default();
        *is_ill |= instance.health == Health::Unhealthy;
        *is_bad |= instance.state == InstanceState::Broken;
        *is_incomplete |= instance.state != InstanceState::Running;
    }
    let count = |is: fn(&(bool, bool, bool)) -> bool| units.values().filter(|unit| is(unit)).count();
    let (ill, bad, incomplete) = (count(|u| u.0), count(|u| u.1), count(|u| u.2));
    let (wanted, there) = (snapshot.wanted_units(), units.len());
    format!("Requested: {wanted}, Created: {there}, Unhealthy: {ill}, Bad: {bad}, Incomplete: {incomplete}")
}

fn why_text(why: Why) -> &'static str {
    match why {
        Why::Broken => "Removing bad service instance",
        Why::Unhealthy => "Removing unhealthy service instance",
        Why::Dependent => "Removing dependent service instance",
        Why::Surplus => "Removing extra service instance",
        Why::Upgraded => "Removing upgraded service instance",
        Why::Removed => "Removing service instance",
    }
}

/// The pair of flags that is the whole bookkeeping of an upgrade.
fn set_parked(tx: &mut Tx<'_>, instance: ResourceId, parked: bool) -> Result<()> {
    for id in tx.referrers(instance, "instanceId")? {
        let Some(map) = tx
            .find(id)?
            .filter(|m| m.root == "serviceExposeMap" && m.removed.is_none())
        else {
            continue;
        };
        let mut fields = Fields::parse(&map.fields)?;
        fields.set("managed", &!parked)?;
        fields.set("upgrade", &parked)?;
        tx.update_if(
            &map,
            &Changes {
                fields: Some(fields),
                ..Changes::default()
            },
        )?;
    }
    Ok(())
}
