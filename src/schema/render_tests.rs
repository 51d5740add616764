#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test may panic"
)]

use std::sync::Arc;

use serde_json::Value;

use crate::model::State;

use super::super::testkit::{column, computed, full_view_of, own, type_of, view};
use super::super::{Link, Machine, Relation, Transition as Edge, Version};
use super::*;

fn machine() -> Option<Arc<Machine>> {
    let edge = |process: &str, from: &str, via: &str, done: &str| Edge {
        process: process.into(),
        from: vec![State::of(from)],
        via: State::of(via),
        done: State::of(done),
        versions: Vec::new(),
        joins: false,
        anew: Vec::new(),
    };
    let transitions = vec![
        edge("create", "requested", "registering", "inactive"),
        edge("activate", "inactive", "activating", "active"),
    ];
    Some(Arc::new(Machine {
        name: "service".into(),
        transitions,
        then: Vec::new(),
    }))
}

fn one(name: &str, field: &str, kind: &str) -> Link {
    Link {
        name: name.into(),
        to: Relation::One {
            field: field.into(),
            kind: kind.into(),
        },
    }
}

fn many(name: &str) -> Link {
    Link {
        name: name.into(),
        to: Relation::Many {
            kind: "instance".into(),
            field: "serviceId".into(),
        },
    }
}

fn service(version: Version) -> View {
    let mut def = type_of(
        "service",
        &[0b11, 0b10],
        &[
            ("id", column("int", Column::Id)),
            ("accountId", column("reference[account]", Column::AccountId)),
            ("created", column("date", Column::Created)),
            ("healthState", column("enum", Column::Health)),
            ("kind", column("string", Column::Kind)),
            ("name", column("string", Column::Name)),
            ("removed", column("date", Column::Removed)),
            ("stackId", column("reference[stack]", Column::ParentId)),
            ("state", column("enum", Column::State)),
            ("transitioning", column("enum", Column::Transitioning)),
            ("transitioningMessage", column("string", Column::Message)),
            ("transitioningProgress", column("int", Column::Progress)),
            ("uuid", column("string", Column::Uuid)),
            ("instanceIds", computed("array[reference[instance]]", "null")),
            ("currentScale", computed("int", "0")),
            ("scale", own("int", 0, "1")),
            ("certificateId", own("reference[certificate]", 0, "null")),
            ("driverId", own("reference[driver]", 0, "null")),
            ("secret", own("string", 1, "null")),
        ],
    );
    def.prefix = "1s".into();
    def.machine = machine();
    let mut ty = full_view_of(def, "service");
    ty.links = vec![
        one("account", "accountId", "account"),
        one("certificate", "certificateId", "certificate"),
        one("driver", "driverId", "driver"),
        many("instances"),
        many("serviceExposeMaps"),
        one("stack", "stackId", "stack"),
    ];
    let mut stack = type_of(
        "stack",
        &[],
        &[
            ("id", column("int", Column::Id)),
            ("kind", column("string", Column::Kind)),
        ],
    );
    stack.prefix = "1st".into();
    let stack = full_view_of(stack, if version == Version::V1 { "environment" } else { "stack" });
    view(version, 0b01, vec![ty, stack])
}

fn row(view: &View, kind: &str, fields: &str) -> Resource {
    let ty = view.find_by_kind(kind).unwrap();
    let (fields, cuts) = layout::pack(&ty.def, &Fields::parse(fields).unwrap());
    Resource {
        id: ResourceId(5),
        root: kind.into(),
        kind: kind.into(),
        account_id: Some(ResourceId(5)),
        parent_id: Some(ResourceId(3)),
        host_id: None,
        uuid: "u-1".into(),
        name: "we\"b".into(),
        state: State::ACTIVE,
        health: String::new(),
        message: String::new(),
        progress: None,
        version: 1,
        created: Timestamp(1_477_994_400_123),
        removed: None,
        purge_after: None,
        fields,
        cuts,
        internal: "{}".into(),
    }
}

fn rendered(view: &View, row: &Resource, derived: &[(&str, String)], offered: &[&str]) -> String {
    let ty = view.find_by_kind(&row.kind).unwrap();
    let base = format!("http://h/{}/projects/1a5", view.version.as_str());
    let mut out = String::new();
    resource(
        &mut out,
        &Context {
            view,
            ty,
            base: &base,
            actions_key: "actions",
        },
        row,
        row.state.as_str(),
        derived,
        offered,
    );
    serde_json::from_str::<Value>(&out).unwrap_or_else(|e| panic!("{e}: {out}"));
    out
}

#[test]
fn a_service_is_written_whole_and_in_order() {
    let view = service(Version::V2Beta);
    let row = row(
        &view,
        "service",
        r#"{"scale":2,"certificateId":null,"driverId":"1d7","secret":"s"}"#,
    );
    let derived = [("instanceIds", r#"["1i9"]"#.to_owned())];
    let expected = concat!(
        r#"{"id":"1s5","type":"service","links":{"self":"http://h/v2-beta/projects/1a5/services/1s5","#,
        r#""account":"http://h/v2-beta/projects/1a5/services/1s5/account","driver":"http://h/v2-beta/projects/1a5/services/1s5/driver","#,
        r#""instances":"http://h/v2-beta/projects/1a5/services/1s5/instances","#,
        r#""serviceExposeMaps":"http://h/v2-beta/projects/1a5/services/1s5/serviceexposemaps","#,
        r#""stack":"http://h/v2-beta/projects/1a5/services/1s5/stack"},"#,
        r#""actions":{"remove":"http://h/v2-beta/projects/1a5/services/1s5/?action=remove","#,
        r#""upgrade":"http://h/v2-beta/projects/1a5/services/1s5/?action=upgrade"},"baseType":"service","#,
        r#""name":"we\"b","state":"active","accountId":"1a5","created":"2016-11-01T10:00:00Z","createdTS":1477994400000,"#,
        r#""healthState":null,"kind":"service","removed":null,"stackId":"1st3","transitioning":"no","transitioningMessage":null,"#,
        r#""transitioningProgress":null,"uuid":"u-1","currentScale":0,"instanceIds":["1i9"],"#,
        r#""certificateId":null,"driverId":"1d7","scale":2}"#,
    );
    assert_eq!(rendered(&view, &row, &derived, &["remove", "upgrade"]), expected);
    let stale = Resource {
        cuts: "1,2,3".into(),
        ..row
    };
    assert_eq!(
        rendered(&view, &stale, &derived, &["remove", "upgrade"]),
        expected,
        "an older layout reads the same"
    );
}

#[test]
fn only_what_the_view_shows_is_written() {
    let view = service(Version::V2Beta);
    let plain = row(&view, "service", r#"{"secret":"hidden","unknown":1}"#);
    let text = rendered(&view, &plain, &[], &[]);
    assert!(!text.contains("hidden") && !text.contains("unknown"), "{text}");
    let without = Resource {
        parent_id: None,
        fields: "not json".into(),
        cuts: String::new(),
        ..plain
    };
    let value: Value = serde_json::from_str(&rendered(&view, &without, &[], &[])).unwrap();
    assert_eq!(value["scale"], 1, "an unreadable row shows empty fields");
    assert!(value["stackId"].is_null() && value["links"]["stack"].is_null() && value["links"]["driver"].is_null());
}

#[test]
fn v1_calls_the_stack_an_environment() {
    let view = service(Version::V1);
    let text = rendered(&view, &row(&view, "service", "{}"), &[], &[]);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["stackId"], "1st3");
    assert!(text.ends_with(r#","environmentId":"1e3"}"#), "{text}");
    assert_eq!(
        value["links"]["environment"],
        "http://h/v1/projects/1a5/environments/1e3"
    );
    assert!(value["links"]["stack"].is_null());
    let text = rendered(&view, &row(&view, "stack", "{}"), &[], &["update"]);
    let expected = concat!(
        r#"{"id":"1e5","type":"environment","links":{"self":"http://h/v1/projects/1a5/environments/1e5"},"#,
        r#""actions":{"update":"http://h/v1/projects/1a5/environments/1e5/?action=update"},"baseType":"environment","kind":"environment"}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn transitioning_follows_state_and_message() {
    let view = service(Version::V2Beta);
    for (state, message, progress, expected) in [
        ("active", "", None, ("no", None, None)),
        ("active", "", Some(3), ("no", None, None)),
        ("activating", "", None, ("yes", Some("In Progress"), None)),
        (
            "activating",
            "Networking",
            Some(40),
            ("yes", Some("Networking"), Some(40)),
        ),
        ("requested", "", None, ("yes", Some("In Progress"), None)),
        ("inactive", "No image", None, ("error", Some("No image"), None)),
        ("error", "", None, ("error", None, None)),
    ] {
        let row = Resource {
            state: State::of(state),
            message: message.into(),
            progress,
            ..row(&view, "service", "{}")
        };
        let value: Value = serde_json::from_str(&rendered(&view, &row, &[], &[])).unwrap();
        let got = (
            value["transitioning"].as_str().unwrap(),
            value["transitioningMessage"].as_str(),
            value["transitioningProgress"]
                .as_i64()
                .and_then(|p| i32::try_from(p).ok()),
        );
        assert_eq!(got, expected, "{state} {message:?}");
    }
    let mut def = type_of(
        "plain",
        &[],
        &[("transitioning", column("enum", Column::Transitioning))],
    );
    def.machine = None;
    let view = super::super::testkit::view(Version::V2Beta, 1, vec![full_view_of(def, "plain")]);
    assert!(
        !rendered(&view, &row(&view, "plain", "{}"), &[], &[]).contains("transitioning"),
        "no machine, no transition"
    );
}

#[test]
fn dates_are_written_as_chrono_writes_them() {
    for at in [
        0,
        -1,
        951_782_399_999,
        951_782_400_000,
        1_709_164_800_000,
        1_735_689_599_999,
        4_107_542_400_000,
        253_402_300_799_000,
    ] {
        let mut text = String::new();
        push_iso(&mut text, Timestamp(at));
        assert_eq!(text, Timestamp(at).floor_to_seconds().to_wire(), "{at}");
    }
    for at in [i64::MIN, i64::MAX] {
        push_iso(&mut String::new(), Timestamp(at));
    }
}

#[test]
fn strings_and_ids_are_escaped_as_json() {
    for text in ["", "plain", "a\"b\\c\n\r\t\u{1}\u{1f}", "ünï ☃ \u{2028}"] {
        let mut out = String::new();
        push_string(&mut out, text);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }
    for (id, expected) in [
        (5, "1s5"),
        (0, "1s0"),
        (i64::MAX, "1s9223372036854775807"),
        (-7, "1s-7"),
    ] {
        assert_eq!(wire_id("1s", ResourceId(id)), expected);
    }
}
