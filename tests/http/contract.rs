//! The registry against `tests/contract/`: what the original showed to these roles, one fact a line.
//!
//! A line that differs is a mistake or a decision. Decisions stand in [`DELIBERATE`], each with its reason; an entry
//! that no longer differs fails, too, so that the list stays true.

#![allow(clippy::expect_used, reason = "a failed test may panic")]

use std::collections::BTreeSet;

use drover::model::State;
use drover::schema::{Field, Registry, Role, Transition, TypeView, Version};

/// Begins of lines that only the original has (`-`) or only we have (`+`), and why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    // Only the server's admins saw what the machinery does; here everybody in a project can find out why something of theirs
    // is not done yet, and `message` says it in words.
    ("v2-beta-", "+", "processInstance"),
    ("v2-beta-", "+", "account.link processInstances"),
    ("v2-beta-", "+", "project.link processInstances"),
    // What an agent may write was described a second time for it, with slips; here a field has one description.
    ("", "-", "containerEvent.dockerInspect json create nullable"),
    ("", "+", "containerEvent.dockerInspect json create"),
    ("", "-", "publish.transitioningInternalMessage string create nullable"),
    ("", "+", "publish.transitioningInternalMessage string create"),
    ("", "-", "publish.transitioningMessage string create nullable"),
    ("", "+", "publish.transitioningMessage string create"),
    ("", "-", "serviceEvent.externalTimestamp int create required"),
    ("", "+", "serviceEvent.externalTimestamp int create nullable"),
    // Agents filter nothing; this is no filter but the events that a subscription asks for.
    ("", "-", "subscribe.filter eventNames eq"),
    // What containers may do to their hosts: the original let every member of a project be root there.
    ("", "+", "hostPolicy"),
    ("", "+", "project.hostPolicy"),
    // Who runs the server names engines by the API, and gives a host to another project; the original's machines came from
    // another program, which served the same collection.
    ("v2-beta-", "-", "host! plural=hosts coll=GET res=GET"),
    ("v2-beta-", "+", "host! plural=hosts coll=GET,POST res=GET,PUT,DELETE"),
    ("v2-beta-", "-", "host.accountId reference[account] nullable"),
    (
        "v2-beta-",
        "+",
        "host.accountId reference[account] create update nullable",
    ),
    ("v2-beta-", "-", "host.labels map[string] update"),
    ("v2-beta-", "+", "host.labels map[string] create update"),
    ("v2-beta-", "+", "host.dockerUrl"),
    ("v2-beta-", "+", "host.tls"),
    // An agent that comes back passes through states that v1 never listed.
    ("v1-", "-", "agent.state"),
    ("v1-", "+", "agent.state"),
];

/// Edges of machines that only the original has (`-`) or only we have (`+`), and why.
const OTHER_EDGES: &[(&str, &str)] = &[
    // A service or stack that a v1 client brought into the two states which only v1 has must come out of them in v2-beta, too.
    ("+", "service.finishupgrade canceled-rollback"),
    ("+", "service.remove canceled-rollback"),
    ("+", "service.remove canceling-rollback"),
    ("+", "service.update canceling-rollback"),
    ("+", "stack.remove canceling-rollback"),
    // What runs on the host is moved by a process, not behind the client's back.
    ("+", "host.evacuate"),
    // These do not move the state but `allocationState` and `healthState`, which are no machines here.
    ("-", "instance.allocate"),
    ("-", "instance.deallocate"),
    ("-", "instance.updatehealthy"),
    ("-", "instance.updatereinitializing"),
    ("-", "instance.updateunhealthy"),
    ("-", "volume.allocate"),
    ("-", "volume.deallocate"),
    // No volume is ever `creating`.
    ("-", "volume.deactivate creating"),
    // Types that the schemas of no role have; and schemas are never changed by drivers.
    ("-", "agentgroup."),
    ("-", "ipAssociation."),
    ("-", "ipPool."),
    ("-", "dynamicSchema."),
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
    // There was no v1 for the server itself and for agents that act for a project: they saw v2-beta's schemas.
    all.filter(|(version, role)| *version == Version::V2Beta || !matches!(role, Role::Environment | Role::Superadmin))
}

#[test]
fn every_view_says_what_the_original_said() {
    let registry = Registry::load(None).expect("the built-in schemas fit");
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (version, role) in views() {
        let name = format!("{}-{}", version.as_str(), role.as_str());
        let expected = expected(version, role);
        let actual: BTreeSet<String> = registry
            .view(version, role)
            .types
            .values()
            .flat_map(|ty| facts(ty))
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
fn every_machine_has_the_edges_of_the_original() {
    let registry = Registry::load(None).expect("the built-in schemas fit");
    let expected: BTreeSet<String> = include_str!("../contract/processes.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    let types: BTreeSet<&str> = expected.iter().filter_map(|line| line.split('.').next()).collect();
    let machines = types
        .iter()
        .filter_map(|id| Some((*id, registry.find_type(id)?.machine.clone()?)));
    let edges = machines.flat_map(|(id, machine)| {
        let is_shared = |t: &&Transition| t.versions.is_empty() || t.versions.contains(&Version::V2Beta);
        let lines = |t: &Transition| {
            let line = |from: &State| format!("{id}.{} {from} -> {} -> {}", t.process, t.via, t.done);
            t.from.iter().map(line).collect::<Vec<_>>()
        };
        machine
            .transitions
            .iter()
            .filter(is_shared)
            .flat_map(lines)
            .collect::<Vec<_>>()
    });
    let actual: BTreeSet<String> = edges.collect();
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    let missing = expected.difference(&actual).map(|line| ("-", line));
    for (sign, line) in missing.chain(actual.difference(&expected).map(|line| ("+", line))) {
        match OTHER_EDGES
            .iter()
            .position(|(s, begin)| *s == sign && line.starts_with(begin))
        {
            Some(index) => drop(used.insert(index)),
            None => wrong.push(format!("{sign} {line}")),
        }
    }
    let same = OTHER_EDGES
        .iter()
        .enumerate()
        .filter(|(index, _)| !used.contains(index));
    wrong.extend(same.map(|(_, (sign, line))| format!("deliberate, but the same: {sign} {line}")));
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
            .filter(|(_, field)| !field.unlisted)
            .map(|(name, field)| format!("{id}.{name} {}", field_fact(field))),
    );
    let filters = ty.filters.iter();
    facts.extend(filters.map(|(name, by)| format!("{id}.filter {name} {}", by.modifiers().join(","))));
    facts.extend(ty.actions.iter().map(|(name, action)| {
        let text = |ty: &Option<String>| ty.clone().unwrap_or_default();
        format!("{id}.action {name}({})->{}", text(&action.input), text(&action.output))
    }));
    facts.extend(ty.includeable_links.iter().map(|link| format!("{id}.link {link}")));
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

#[test]
fn each_state_that_code_names_is_one_of_a_machine() {
    let registry = Registry::load(None).expect("the built-in schemas fit");
    let machines = registry.types.values().filter_map(|ty| ty.machine.as_ref());
    let edges = machines.flat_map(|machine| &machine.transitions);
    let states: BTreeSet<_> = edges
        .flat_map(|edge| edge.from.iter().copied().chain([edge.via, edge.done]))
        .collect();
    let unknown: Vec<_> = State::NAMED.iter().filter(|state| !states.contains(state)).collect();
    assert!(unknown.is_empty(), "no machine has {unknown:?}");
}
