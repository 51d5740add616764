//! What happened to the objects of a kind, from how they were and how they are.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields, hostname};
use super::event_filters::Event;
use super::query::Query;
use super::record::Service;
use super::refusal::Outcome;
use super::things::{self, Thing};
use super::{networks, nodes, services};
use crate::model::{Resource, ResourceId, State, Timestamp};

/// The objects that are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Services.
    Service,
    /// Hosts.
    Node,
    /// Secrets.
    Secret,
    /// Configs.
    Config,
    /// Networks.
    Network,
    /// Containers.
    Container,
}

/// How the objects of a kind are, by their ids.
pub type Seen = BTreeMap<String, Value>;

impl Kind {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Node,
        Self::Network,
        Self::Config,
        Self::Secret,
        Self::Service,
        Self::Container,
    ];

    /// Those that rows of a root are.
    pub fn of(root: &str) -> Option<Self> {
        match root {
            "service" => Some(Self::Service),
            "host" => Some(Self::Node),
            "secret" => Some(Self::Secret),
            "dockerConfig" => Some(Self::Config),
            "dockerNetwork" => Some(Self::Network),
            "instance" => Some(Self::Container),
            _ => None,
        }
    }

    /// What clients call it.
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Node => "node",
            Self::Secret => "secret",
            Self::Config => "config",
            Self::Network => "network",
            Self::Container => "container",
        }
    }

    /// The root of their rows.
    pub fn root(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Node => "host",
            Self::Secret => "secret",
            Self::Config => "dockerConfig",
            Self::Network => "dockerNetwork",
            Self::Container => "instance",
        }
    }

    /// Whether the caller may see them.
    pub fn is_for(self, caller: &Caller) -> bool {
        let rancher = match self {
            Self::Service => "service",
            Self::Node => "host",
            Self::Secret | Self::Config => "secret",
            Self::Network => "network",
            Self::Container => "container",
        };
        caller.may(rancher, Deed::Read).is_ok()
    }

    /// The id of the object that a row is or was, and what is told of it; none if clients never see it.
    pub fn of_row(
        self,
        caller: &Caller,
        row: Resource,
        stacks: &HashMap<ResourceId, String>,
    ) -> Outcome<Option<(String, Value)>> {
        let id = caller.ids.of(row.id);
        let one = match self {
            Self::Service => {
                if !services::is_shown(&row, &fields(&row)?)? {
                    return Ok(None);
                }
                json!({"Spec": {"Name": Service::read(row, stacks)?.spec.name}})
            }
            Self::Node => json!({"Description": {"Hostname": hostname(&row)}}),
            Self::Secret | Self::Config => json!({"Spec": {"Name": row.name}}),
            Self::Network => json!({"Name": row.name}),
            Self::Container => return container(caller, &row),
        };
        Ok(Some((id, one)))
    }

    /// How they are now, as the caller sees them; none of those that it may not see.
    pub async fn look(self, caller: &Caller) -> Outcome<Seen> {
        if !self.is_for(caller) {
            return Ok(Seen::new());
        }
        let all = Query::parse("");
        let found = match self {
            Self::Service => services::list(caller, &all).await?,
            Self::Node => nodes::list(caller, &all).await?,
            Self::Secret => things::list(caller, Thing::Secret, &all).await?,
            Self::Config => things::list(caller, Thing::Config, &all).await?,
            Self::Network => networks::list(caller, &all).await?,
            Self::Container => return containers(caller).await,
        };
        let Value::Array(found) = found else {
            return Ok(Seen::new());
        };
        let id = |one: &Value| {
            one.get("ID")
                .or_else(|| one.get("Id"))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Ok(found.into_iter().filter_map(|one| Some((id(&one)?, one))).collect())
    }

    /// What happened between two looks.
    pub fn compare(self, before: &Seen, now: &Seen) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, old) in before.iter().filter(|(id, _)| !now.contains_key(*id)) {
            events.extend(self.gone(id, old));
        }
        for (id, new) in now {
            match before.get(id) {
                None => events.extend(self.come(id, new)),
                Some(old) if old != new => events.extend(self.changed(id, old, new)),
                Some(_) => {}
            }
        }
        events
    }

    /// Something that happened to one of them.
    pub fn event(self, id: &str, one: &Value, action: &'static str) -> Event {
        let mut attributes = Map::new();
        if let (Self::Container, Some(labels)) = (self, one["labels"].as_object()) {
            attributes.extend(labels.clone());
            attributes.insert("image".into(), one["image"].clone());
        }
        attributes.insert("name".into(), json!(self.name_of(one)));
        Event {
            kind: self.name(),
            action,
            id: id.to_owned(),
            attributes,
        }
    }

    fn name_of(self, one: &Value) -> &str {
        let name = match self {
            Self::Service | Self::Secret | Self::Config => one.pointer("/Spec/Name"),
            Self::Node => one.pointer("/Description/Hostname"),
            Self::Network => one.get("Name"),
            Self::Container => one.get("name"),
        };
        name.and_then(Value::as_str).unwrap_or_default()
    }

    fn come(self, id: &str, new: &Value) -> Vec<Event> {
        let mut events = vec![self.event(id, new, "create")];
        if self == Self::Container && new["running"] == true {
            events.push(self.event(id, new, "start"));
        }
        events
    }

    fn gone(self, id: &str, old: &Value) -> Vec<Event> {
        if self != Self::Container {
            return vec![self.event(id, old, "remove")];
        }
        let ended = (old["running"] == true).then(|| self.event(id, old, "die"));
        ended.into_iter().chain([self.event(id, old, "destroy")]).collect()
    }

    fn changed(self, id: &str, old: &Value, new: &Value) -> Vec<Event> {
        if self == Self::Container {
            return self.moved(id, old, new);
        }
        let mut event = self.event(id, new, "update");
        for (name, at) in self.told() {
            let (was, is) = (old.pointer(at), new.pointer(at));
            let Some(is) = is.filter(|is| was != Some(*is)) else {
                continue;
            };
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            event.attributes.insert(format!("{name}.new"), json!(text(is)));
            if let Some(was) = was {
                event.attributes.insert(format!("{name}.old"), json!(text(was)));
            }
        }
        vec![event]
    }

    /// What an update tells of, and where that is.
    fn told(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Service => &[
                ("image", "/Spec/TaskTemplate/ContainerSpec/Image"),
                ("replicas", "/Spec/Mode/Replicated/Replicas"),
                ("updatestate", "/UpdateStatus/State"),
            ],
            Self::Node => &[("state", "/Status/State"), ("availability", "/Spec/Availability")],
            Self::Secret | Self::Config | Self::Network | Self::Container => &[],
        }
    }

    /// A container that started or ended, or both.
    fn moved(self, id: &str, old: &Value, new: &Value) -> Vec<Event> {
        let (ran, runs) = (old["running"] == true, new["running"] == true);
        let is_another_run = ran && runs && old["since"] != new["since"];
        let mut events = Vec::new();
        if (ran && !runs) || is_another_run {
            let mut end = self.event(id, new, "die");
            // What was stopped ended with what only its engine knows.
            let code = new["code"].as_i64().map(|code| code.to_string());
            let was_stopped = code.is_none() && !is_another_run;
            end.attributes
                .extend(code.map(|code| ("exitCode".to_owned(), json!(code))));
            events.push(end);
            events.extend(was_stopped.then(|| self.event(id, new, "stop")));
        }
        if (!ran && runs) || is_another_run {
            events.push(self.event(id, new, "start"));
        }
        events
    }
}

/// Containers that there are on an engine, by its ids.
async fn containers(caller: &Caller) -> Outcome<Seen> {
    let mut seen = Seen::new();
    for row in caller.containers().await? {
        if let Some((id, one)) = container(caller, &row)? {
            seen.insert(id, one);
        }
    }
    Ok(seen)
}

fn container(caller: &Caller, row: &Resource) -> Outcome<Option<(String, Value)>> {
    let own = fields(row)?;
    let Some(id) = own.text("externalId").filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let unit = caller.engine.unit_of(row);
    let image = own.text("imageUuid").unwrap_or_default();
    let labels = match caller.shows("labels") {
        true => own.texts("labels")?,
        false => BTreeMap::new(),
    };
    let runs = matches!(row.state, State::RUNNING | State::UPDATING_RUNNING | State::STOPPING);
    let one = json!({
        "name": row.name, "image": image.trim_start_matches("docker:"), "labels": labels, "running": runs,
        "since": unit.up_since.map(|Timestamp(since)| since),
        "code": unit.exit_code.filter(|_| unit.ended_by_itself),
    });
    Ok(Some((id, one)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn told(kind: Kind, before: Option<Value>, now: Option<Value>) -> Vec<String> {
        let seen = |one: Option<Value>| one.into_iter().map(|one| ("id".to_owned(), one)).collect();
        let events = kind.compare(&seen(before), &seen(now));
        let text = |event: &Event| format!("{} {}", event.action, Value::Object(event.attributes.clone()));
        events.iter().map(text).collect()
    }

    #[test]
    fn what_happened_is_told_by_what_differs() {
        let service = |image: &str, replicas: u64, state: Value| {
            json!({"Spec": {"Name": "web", "Mode": {"Replicated": {"Replicas": replicas}},
                "TaskTemplate": {"ContainerSpec": {"Image": image}}}, "UpdateStatus": state})
        };
        let (one, two) = (
            service("a", 1, Value::Null),
            service("b", 2, json!({"State": "updating"})),
        );
        let of = |before, now| told(Kind::Service, before, now);
        assert_eq!(of(None, Some(one.clone())), [r#"create {"name":"web"}"#]);
        assert_eq!(of(Some(one.clone()), None), [r#"remove {"name":"web"}"#]);
        assert_eq!(of(Some(one.clone()), Some(one.clone())), [""; 0]);
        assert_eq!(
            of(Some(one), Some(two)),
            [
                r#"update {"name":"web","image.new":"b","image.old":"a","replicas.new":"2","replicas.old":"1","updatestate.new":"updating"}"#
            ]
        );
    }

    #[test]
    fn containers_start_and_end() {
        let one = |running: bool, since: u64, code: Value| json!({"name": "w", "image": "a", "labels": {}, "running": running, "since": since, "code": code});
        let actions = |before, now| -> Vec<String> {
            let all = told(Kind::Container, before, now);
            all.iter()
                .map(|text| text.split(' ').next().unwrap().to_owned())
                .collect()
        };
        let (new, up, again) = (
            one(false, 0, Value::Null),
            one(true, 1, Value::Null),
            one(true, 2, Value::Null),
        );
        assert_eq!(actions(None, Some(new.clone())), ["create"]);
        assert_eq!(actions(None, Some(up.clone())), ["create", "start"]);
        assert_eq!(actions(Some(new.clone()), Some(up.clone())), ["start"]);
        assert_eq!(actions(Some(up.clone()), Some(again)), ["die", "start"]);
        assert_eq!(actions(Some(up.clone()), Some(one(false, 1, json!(3)))), ["die"]);
        assert_eq!(
            actions(Some(up.clone()), Some(one(false, 1, Value::Null))),
            ["die", "stop"]
        );
        assert_eq!(actions(Some(up), None), ["die", "destroy"]);
        assert_eq!(actions(Some(new), None), ["destroy"]);
    }
}
