//! The registry against `tests/contract/`: what the original showed to these roles, one fact a line.
//!
//! A line that differs is a mistake or a decision. Decisions stand in [`DELIBERATE`], each with its reason; an entry
//! that no longer differs fails, too, so that the list stays true.

#![allow(clippy::expect_used, reason = "a failed test may panic")]

use std::collections::BTreeSet;

use drover::schema::{Field, Registry, Role, TypeView, Version};

/// Begins of lines that only the original has (`-`) or only we have (`+`), and why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    // The oldest v1 let services bring schemas of their own; it is in the documentation of that time, not in the dump.
    ("v1-", "+", "service.serviceSchemas map[schema] create"),
    // Only the server's admins saw what the machinery does; here it is the way to find out why something is not done yet.
    ("v2-beta-", "+", "processInstance"),
    // Types that live outside the resources table have filters with `eq` only; these are not made here.
    ("", "-", "identity.filter all eq"),
    ("", "-", "identity.filter name eq"),
    ("", "-", "register.filter token eq"),
    ("", "-", "subscribe.filter eventNames eq"),
];

const VIEWS: &[(&str, &str, Version, Role)] = &[
    ("v1-project", include_str!("../contract/v1-project.txt"), Version::V1, Role::Project),
    ("v1-owner", include_str!("../contract/v1-owner.txt"), Version::V1, Role::Owner),
    ("v2-beta-project", include_str!("../contract/v2-beta-project.txt"), Version::V2Beta, Role::Project),
];

#[test]
fn every_view_says_what_the_original_said() {
    let registry = Registry::load(None).expect("the built-in schemas fit");
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (name, expected, version, role) in VIEWS {
        let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
        let actual: BTreeSet<String> = registry.view(*version, *role).types.values().flat_map(|ty| facts(ty)).collect();
        let missing = expected.difference(&actual).map(|line| ("-", line));
        let added = actual.difference(&expected).map(|line| ("+", line));
        for (sign, line) in missing.chain(added) {
            let decided = DELIBERATE.iter().position(|(view, s, begin)| name.starts_with(view) && s == &sign && line.starts_with(begin));
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
    facts.extend(ty.fields.iter().map(|(name, field)| format!("{id}.{name} {}", field_fact(field))));
    let filters = ty.filters.iter();
    facts.extend(filters.map(|(name, by)| format!("{id}.filter {name} {}", by.modifiers().join(","))));
    facts.extend(ty.actions.iter().map(|(name, action)| {
        let text = |ty: &Option<String>| ty.clone().unwrap_or_default();
        format!("{id}.action {name}({})->{}", text(&action.input), text(&action.output))
    }));
    if !ty.includeable_links.is_empty() {
        let links: BTreeSet<&str> = ty.includeable_links.iter().map(String::as_str).collect();
        facts.push(format!("{id}.links {}", links.into_iter().collect::<Vec<_>>().join(",")));
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
    let numbers = [("min", field.min), ("max", field.max), ("minLength", field.min_length), ("maxLength", field.max_length)];
    for (name, number) in numbers {
        if let Some(number) = number {
            fact.push_str(&format!(" {name}={number}"));
        }
    }
    let texts = [("validChars", &field.valid_chars), ("invalidChars", &field.invalid_chars), ("description", &field.description)];
    for (name, text) in texts {
        if let Some(text) = text {
            fact.push_str(&format!(" {name}={}", serde_json::Value::from(text.as_str())));
        }
    }
    if let Some(options) = &field.options {
        let sorted: BTreeSet<&str> = options.iter().map(String::as_str).collect();
        fact.push_str(&format!(" options={}", sorted.into_iter().collect::<Vec<_>>().join(",")));
    }
    fact
}
