//! The documents that are made from the data: `docs/types.md` and `docs/STATES.md`.
//!
//! A test below compares them with what is committed; `UPDATE_GOLDEN=1 cargo test` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{Machine, Registry, Role, Type, TypeView, Version, View, load};
use crate::model::State;

/// Types whose rows this server makes or moves by code of its own. Those derived from them are not meant.
const ACTING: &[&str] = &[
    "account",
    "auditLog",
    "composeProject",
    "container",
    "dnsService",
    "externalService",
    "host",
    "identity",
    "image",
    "instance",
    "ipAddress",
    "label",
    "localAuthConfig",
    "mount",
    "network",
    "networkDriver",
    "networkDriverService",
    "nic",
    "port",
    "processInstance",
    "project",
    "schema",
    "service",
    "serviceConsumeMap",
    "serviceExposeMap",
    "serviceIndex",
    "serviceLog",
    "setting",
    "stack",
    "storageDriver",
    "storageDriverService",
    "storagePool",
    "subnet",
    "typeDocumentation",
    "volume",
];

/// What becomes of a type here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Acts,
    Plain,
    Unavailable,
    Empty,
    Embedded,
}

impl Fate {
    const ALL: [Self; 5] = [Self::Acts, Self::Plain, Self::Unavailable, Self::Empty, Self::Embedded];

    fn of(registry: &Registry, ty: &Type) -> Self {
        let views: Vec<_> = views_of(registry, ty).collect();
        let is_embedded = |view: &View| {
            view.find_by_kind(&ty.id)
                .is_some_and(|shown| shown.def.id == ty.id && shown.is_embedded)
        };
        if registry.views().any(|view| is_embedded(view)) {
            Self::Embedded
        } else if ACTING.contains(&ty.id.as_str()) {
            Self::Acts
        } else if !ty.can_create {
            Self::Unavailable
        } else if views.is_empty()
            || views
                .iter()
                .any(|(_, view)| view.collection_methods.iter().any(|m| m == "POST"))
        {
            Self::Plain
        } else {
            Self::Empty
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Acts => "## Types that act\n\nThe server makes, moves or computes their rows by code of its own.",
            Self::Plain => {
                "## Plain types\n\nRows that are stored and live by their process set; nothing else happens."
            }
            Self::Unavailable => {
                "## Not available yet\n\nThe schema lists them, so that clients find what they know; creating one is \
                 answered with 501 `NotImplemented`."
            }
            Self::Empty => "## Empty\n\nNothing makes rows of them here, and clients cannot: their lists are empty.",
            Self::Embedded => {
                "## Structures\n\nParts of other types, and inputs and outputs of actions. They have no rows: a POST is answered with 501 where the \
                 schema lists one."
            }
        }
    }
}

/// `docs/types.md`: every type, and what it does here.
pub fn types_md(registry: &Registry) -> String {
    let mut out = String::from(
        "<!-- Made from schemas/ by src/schema/reference.rs; UPDATE_GOLDEN=1 cargo test writes it anew. -->\n# Types\n\n\
         What each type of the API does in this server. Names are v2-beta's; where v1 has another, it stands beside it.\n\
         Actions that are listed as not available stay in the schema, are offered where Rancher offers what clients look for, and answer 501\n\
         `NotImplemented` when they are called.\n",
    );
    for fate in Fate::ALL {
        let types: Vec<_> = registry
            .types
            .values()
            .filter(|ty| Fate::of(registry, ty) == fate)
            .collect();
        let _ = writeln!(out, "\n{} ({})\n", fate.heading(), types.len());
        if fate == Fate::Embedded {
            let names: Vec<_> = types.iter().map(|ty| format!("`{}`", ty.id)).collect();
            let _ = writeln!(out, "{}", names.join(", "));
            continue;
        }
        out.push_str("| Type | Versions | Ids | Inherits | Process set | Created by POST | Actions not available |\n");
        out.push_str("|---|---|---|---|---|---|---|\n");
        for ty in types {
            let _ = writeln!(out, "{}", type_row(registry, ty));
        }
    }
    out
}

/// `docs/STATES.md`: every state machine, and what clients may ask of a service when.
pub fn states_md(registry: &Registry) -> String {
    let mut out = String::from(
        "<!-- Made from schemas/ by src/schema/reference.rs; UPDATE_GOLDEN=1 cargo test writes it anew. -->\n# States\n\n\
         A process starts in one of some states, passes one and ends in another. While it passes, `transitioning` is\n\
         `yes`. A process that starts in a state which another one passes ends that one. A process with the name of an\n\
         action is what the action asks for; a client may ask when the resource is in a state where it may start.\n",
    );
    let (files, _) = load::read(None);
    let mut machines: BTreeMap<&str, (&Machine, Vec<&str>)> = BTreeMap::new();
    for ty in registry.types.values() {
        if let Some(machine) = &ty.machine {
            machines
                .entry(&machine.name)
                .or_insert_with(|| (machine, Vec::new()))
                .1
                .push(&ty.id);
        }
    }
    for (name, (machine, types)) in machines {
        let about = files.processes.get(name).map_or("", |file| file.about.as_str());
        let _ = writeln!(out, "\n## {name}\n\n{about}\n\nTypes: {}.\n", types.join(", "));
        out.push_str("| Process | From | Passing | Done | Only for clients of |\n|---|---|---|---|---|\n");
        for t in &machine.transitions {
            let from = if t.from.is_empty() {
                "never".to_owned()
            } else {
                t.from.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
            };
            let versions: Vec<_> = t.versions.iter().map(|v| v.as_str()).collect();
            let joins = if t.joins { " (joins the running process)" } else { "" };
            let anew: Vec<_> = t.anew.iter().map(|state| state.as_str()).collect();
            let anew = match anew.is_empty() {
                true => String::new(),
                false => format!("; anew by the engine itself from {}", anew.join(", ")),
            };
            let (process, via, done) = (&t.process, &t.via, &t.done);
            let _ = writeln!(
                out,
                "| {process}{joins} | {from}{anew} | {via} | {done} | {} |",
                versions.join(", ")
            );
        }
        for (process, next) in &machine.then {
            let _ = writeln!(out, "\nAfter {process}, {next} follows by itself.");
        }
        if name == "service" {
            out.push_str(&service_matrices(registry));
        }
    }
    out
}

/// Where each action of a service may be asked for, in each version.
fn service_matrices(registry: &Registry) -> String {
    let mut out = String::new();
    for version in Version::ALL {
        let _ = writeln!(
            out,
            "\n### What a {} client may ask of a service\n\n```",
            version.as_str()
        );
        out.push_str(&service_matrix(registry, version));
        out.push_str("```\n");
    }
    let short: Vec<_> = SHORT.iter().map(|(short, state)| format!("{short} {state}")).collect();
    let _ = writeln!(out, "\n{}.", short.join(", "));
    out
}

/// The states of a service in the order of a life, and their short names.
const SHORT: [(&str, &str); 19] = [
    ("RQ", "requested"),
    ("RG", "registering"),
    ("IN", "inactive"),
    ("AG", "activating"),
    ("AC", "active"),
    ("UA", "updating-active"),
    ("UI", "updating-inactive"),
    ("DG", "deactivating"),
    ("UG", "upgrading"),
    ("UD", "upgraded"),
    ("FU", "finishing-upgrade"),
    ("CG", "canceling-upgrade"),
    ("CD", "canceled-upgrade"),
    ("RB", "rolling-back"),
    ("CR", "canceling-rollback"),
    ("CB", "canceled-rollback"),
    ("RS", "restarting"),
    ("RM", "removing"),
    ("RD", "removed"),
];

fn service_matrix(registry: &Registry, version: Version) -> String {
    let mut out = format!("{:18}{}\n", "", SHORT.map(|(short, _)| short).join(" "));
    let Some(ty) = registry.view(version, Role::Project).types.get("service") else {
        return out;
    };
    let Some(machine) = &ty.def.machine else { return out };
    for action in ty.actions.keys() {
        let offered = SHORT.map(|(_, state)| {
            let by_code = !machine.has_process(action);
            if by_code || machine.offers(action, State::of(state), version) {
                "Y "
            } else {
                ". "
            }
        });
        let _ = writeln!(out, "{}", format!("{action:18}{}", offered.join(" ")).trim_end());
    }
    out
}

fn type_row(registry: &Registry, ty: &Type) -> String {
    let mut versions = Vec::new();
    for (version, view) in views_of(registry, ty) {
        let renamed = if view.id == ty.id {
            String::new()
        } else {
            format!(" as `{}`", view.id)
        };
        versions.push(format!("{}{renamed}", version.as_str()));
    }
    let has_post = views_of(registry, ty).any(|(_, view)| view.collection_methods.iter().any(|m| m == "POST"));
    let created = match (has_post, ty.can_create) {
        (true, true) => "yes",
        (true, false) => "501",
        (false, _) => "-",
    };
    let shown: BTreeSet<&str> = views_of(registry, ty)
        .flat_map(|(_, view)| view.actions.keys().map(String::as_str))
        .collect();
    let missing: Vec<_> = ty
        .unavailable_actions
        .iter()
        .map(String::as_str)
        .filter(|action| shown.contains(action))
        .collect();
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    format!(
        "| `{}` | {} | {} | {} | {} | {created} | {} |",
        ty.id,
        if versions.is_empty() {
            "internal".to_owned()
        } else {
            versions.join(", ")
        },
        ty.prefix,
        dash(ty.parent.clone().unwrap_or_default()),
        dash(ty.machine.as_ref().map(|m| m.name.clone()).unwrap_or_default()),
        dash(missing.join(", ")),
    )
}

/// The views that show a type, one per version.
fn views_of<'a>(registry: &'a Registry, ty: &'a Type) -> impl Iterator<Item = (Version, &'a TypeView)> {
    Version::ALL.into_iter().filter_map(|version| {
        let view = registry.view(version, Role::Project);
        let shown = view.find_by_kind(&ty.id).filter(|shown| shown.def.id == ty.id)?;
        Some((version, &**shown))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::schema::testkit::check_golden;

    #[test]
    fn the_committed_documents_say_what_the_schemas_say() {
        let registry = Registry::load(None).unwrap();
        check_golden("docs/types.md", &types_md(&registry));
        check_golden("docs/STATES.md", &states_md(&registry));
    }

    #[test]
    fn every_action_of_a_service_is_offered_where_the_original_offered_it() {
        let registry = Registry::load(None).unwrap();
        let expected = include_str!("../../tests/contract/service-matrix.txt");
        for version in Version::ALL {
            let (_, rest) = expected.split_once(&format!("[{}]\n", version.as_str())).unwrap();
            let table = rest.split("\n\n").next().unwrap().trim_end();
            assert_eq!(
                service_matrix(&registry, version).trim_end(),
                table,
                "{}",
                version.as_str()
            );
        }
    }
}
