//! The registry against `tests/contract/`: what the original showed to these roles, one fact a line.
//!
//! A line that differs is a mistake or a decision. Decisions stand in [`DELIBERATE`], each with its reason; an entry
//! that no longer differs fails, too, so that the list stays true.

#![allow(clippy::expect_used, reason = "a failed test may panic")]

use std::collections::BTreeSet;

use drover::schema::{Field, Registry, Role, TypeView, Version};

/// Begins of lines that only the original has (`-`) or only we have (`+`), and why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    // Only the server's admins saw what the machinery does; here it is the way to find out why something is not done yet.
    ("v2-beta-", "+", "processInstance"),
    // Types that live outside the resources table have filters with `eq` only; these are not made here.
    ("", "-", "identity.filter all eq"),
    ("", "-", "identity.filter name eq"),
    ("", "-", "register.filter token eq"),
    ("", "-", "subscribe.filter eventNames eq"),
    ("v1-", "-", "userPreference.filter all eq"),
    // v1's snapshots were taken before hosts could be filtered by these; v2-beta's computed roles have them.
    ("v1-", "+", "host.filter agentId"),
    ("v1-", "+", "host.filter zoneId"),
    // What an agent may write was described a second time for it, with slips; here a field has one description.
    ("v1-agent", "-", "containerEvent.dockerInspect json create nullable"),
    ("v1-agent", "+", "containerEvent.dockerInspect json create"),
    (
        "v1-agent",
        "-",
        "publish.transitioningInternalMessage string create nullable",
    ),
    ("v1-agent", "+", "publish.transitioningInternalMessage string create"),
    ("v1-agent", "-", "publish.transitioningMessage string create nullable"),
    ("v1-agent", "+", "publish.transitioningMessage string create"),
    ("v1-agent", "-", "serviceEvent.externalTimestamp int create required"),
    ("v1-agent", "+", "serviceEvent.externalTimestamp int create nullable"),
    // Granted, and younger than what was written down; Rancher's command line looks for its schema at each lookup of a name.
    ("v2-beta-", "+", "secret"),
    // Clients find the host of an agent so.
    ("v2-beta-", "+", "host.filter agentId"),
    // Moving away what runs on a host is an action here, as it was in the last versions of the original.
    ("v2-beta-", "+", "host.action evacuate"),
    // An agent that comes back passes through states that the original had and did not list.
    ("", "-", "agent.state"),
    ("", "+", "agent.state"),
    // Links of an agent's pool that it cannot follow: the fields are not its own.
    ("v1-agent", "-", "storagePool.links"),
    ("v1-agent", "+", "storagePool.links"),
];

/// What `tests/contract/<version>-<role>.txt` says: facts, or `= <another>` and what is less (`-`) and more (`+`) than there.
fn expected(version: Version, role: Role) -> BTreeSet<String> {
    let read = |name: &str| {
        let path = format!("{}/tests/contract/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    fn facts(text: &str, read: &dyn Fn(&str) -> String) -> BTreeSet<String> {
        let Some(name) = text.lines().next().and_then(|first| first.strip_prefix("= ")) else {
            return text.lines().map(str::to_owned).collect();
        };
        let mut all = facts(&read(name), read);
        for line in text.lines().skip(1) {
            match line.split_once(' ') {
                Some(("-", fact)) => assert!(all.remove(fact), "{fact} is not in {name}"),
                Some(("+", fact)) => assert!(all.insert(fact.to_owned()), "{fact} is in {name}"),
                _ => panic!("{line:?} is no change"),
            }
        }
        all
    }
    facts(&read(&format!("{}-{}", version.as_str(), role.as_str())), &read)
}

/// The version and role of a view, as the files are called.
fn views() -> impl Iterator<Item = (Version, Role)> {
    let all = Version::ALL
        .into_iter()
        .flat_map(|version| Role::ALL.into_iter().map(move |role| (version, role)));
    // There was no v1 for agents that act for a project: they saw the living schemas.
    all.filter(|view| *view != (Version::V1, Role::Environment))
}

/// Whether the original's links are known: only those of v1 and of one role of v2-beta were written down; the rest was
/// worked out from its grants, links aside.
fn has_links(version: Version, role: Role) -> bool {
    version == Version::V1 || role == Role::Project
}

#[test]
fn every_view_says_what_the_original_said() {
    let registry = Registry::load(None).expect("the built-in schemas fit");
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (version, role) in views() {
        let name = format!("{}-{}", version.as_str(), role.as_str());
        let is_known =
            |fact: &String| has_links(version, role) || !fact.split(' ').next().is_some_and(|f| f.ends_with(".links"));
        let expected: BTreeSet<String> = expected(version, role).into_iter().filter(is_known).collect();
        let actual: BTreeSet<String> = registry
            .view(version, role)
            .types
            .values()
            .flat_map(|ty| facts(ty))
            .filter(|fact| is_known(fact))
            .collect();
        let missing = expected.difference(&actual).map(|line| ("-", line));
        let added = actual.difference(&expected).map(|line| ("+", line));
        for (sign, line) in missing.chain(added) {
            let decided = DELIBERATE
                .iter()
                .position(|(view, s, begin)| name.starts_with(view) && s == &sign && line.starts_with(begin));
            match decided {
                Some(index) => drop(used.insert(index)),
                None => wrong.push(format!("{name}: {sign} {line}")),
            }
        }
    }
    for (index, (_, sign, line)) in DELIBERATE.iter().enumerate() {
        if !used.contains(&index) {
            wrong.push(format!("deliberate, but the same: {sign} {line}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn only_the_owner_may_call_a_stack_a_system_stack() {
    let registry = Registry::load(None).expect("the built-in schemas fit");
    for (role, expected) in [(Role::Project, false), (Role::Owner, true)] {
        let system = &registry.view(Version::V2Beta, role).types["stack"].fields["system"];
        assert_eq!((system.create, system.update), (expected, expected), "{role:?}");
    }
}

/// All that a schema says, one fact a line.
fn facts(ty: &TypeView) -> Vec<String> {
    let id = &ty.id;
    let (collection, resource) = (ty.collection_methods.join(","), ty.resource_methods.join(","));
    let mut facts = vec![format!("{id}! plural={} coll={collection} res={resource}", ty.plural)];
    facts.extend(
        ty.fields
            .iter()
            .map(|(name, field)| format!("{id}.{name} {}", field_fact(field))),
    );
    let filters = ty.filters.iter();
    facts.extend(filters.map(|(name, by)| format!("{id}.filter {name} {}", by.modifiers().join(","))));
    facts.extend(ty.actions.iter().map(|(name, action)| {
        let text = |ty: &Option<String>| ty.clone().unwrap_or_default();
        format!("{id}.action {name}({})->{}", text(&action.input), text(&action.output))
    }));
    if !ty.includeable_links.is_empty() {
        let links: BTreeSet<&str> = ty.includeable_links.iter().map(String::as_str).collect();
        facts.push(format!(
            "{id}.links {}",
            links.into_iter().collect::<Vec<_>>().join(",")
        ));
    }
    facts
}

fn field_fact(field: &Field) -> String {
    let mut fact = field.ty_text.clone();
    let flags = [
        ("create", field.create),
        ("update", field.update),
        ("nullable", field.nullable),
        ("readOnCreateOnly", field.read_on_create_only),
        ("required", field.required),
        ("unique", field.unique),
    ];
    for (name, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
        fact.push_str(&format!(" {name}"));
    }
    if let Some(default) = &field.default {
        fact.push_str(&format!(" default={default}"));
    }
    let numbers = [
        ("min", field.min),
        ("max", field.max),
        ("minLength", field.min_length),
        ("maxLength", field.max_length),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            fact.push_str(&format!(" {name}={number}"));
        }
    }
    let texts = [
        ("validChars", &field.valid_chars),
        ("invalidChars", &field.invalid_chars),
        ("description", &field.description),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            fact.push_str(&format!(" {name}={}", serde_json::Value::from(text.as_str())));
        }
    }
    if let Some(options) = &field.options {
        let sorted: BTreeSet<&str> = options.iter().map(String::as_str).collect();
        fact.push_str(&format!(
            " options={}",
            sorted.into_iter().collect::<Vec<_>>().join(",")
        ));
    }
    fact
}
