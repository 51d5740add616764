//! What older builds left in a file.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

use std::sync::Arc;

use diesel::connection::SimpleConnection as _;

use super::Place;
use super::dialect::{self, MIGRATIONS};
use crate::model::time::SystemClock;
use crate::model::{Fields, ResourceId, Result, State};
use crate::store::{
    Condition, LayoutOf, ListSpec, Order, Scalar, SchemaState, Selected, SortKey, Store, StoreConfig, Target,
};
use diesel_migrations::MigrationHarness as _;

/// Migrations that there were before states and the audit log had tables of their own.
const BEFORE: usize = 4;

struct NoLayout;

impl LayoutOf for NoLayout {
    fn pack(&self, _: &str, _: &str, fields: &Fields) -> Result<(String, String)> {
        Ok((serde_json::to_string(&fields.0).unwrap(), String::new()))
    }

    fn sample(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn row(id: i64, root: &str, state: &str, fields: &str) -> String {
    format!(
        "INSERT INTO resource (id, root, kind, account_id, uuid, name, state, health, message, progress, version, created_ms, fields, cuts, internal) \
         VALUES ({id}, '{root}', '{root}', 5, 'uuid-{id}', 'name-{id}', '{state}', 'healthy', 'said', 7, 3, {id}000, '{fields}', '', '{{}}');"
    )
}

/// A database as an older build left it: a stack, a removed stack, and more rows of the audit log than are moved at once.
fn old(file: &std::path::Path) {
    let mut conn = dialect::connect(&Place::of(file), 1024).unwrap();
    for _ in 0..BEFORE {
        conn.run_next_migration(MIGRATIONS).unwrap();
    }
    let mut text = String::from("BEGIN;");
    text.push_str(&row(1000, "stack", "activating", r#"{"description":"d"}"#));
    text.push_str(&row(1001, "stack", "removed", "{}"));
    text.push_str("UPDATE resource SET removed_ms = 5, purge_after_ms = 9 WHERE id = 1001;");
    text.push_str(&row(1700, "service", "active", r#"{"selectorLink":"a=b"}"#));
    text.push_str(&row(1701, "service", "active", r#"{"selectorLink":null}"#));
    for id in 1002..1700 {
        let fields = format!(
            r#"{{"authType":"BasicAuth","authenticatedAsAccountId":"1a5","authenticatedAsIdentityId":"1i!rancher_id:5","clientIp":"10.0.0.{}","eventType":"api.stack.create","requestObject":"{{\"name\":\"n{id}\"}}","resource":null,"resourceId":"1st{id}","resourceType":"stack","responseCode":201,"responseObject":null,"runtime":4,"description":"mine"}}"#,
            id % 250
        );
        text.push_str(&row(id, "auditLog", "", &fields));
    }
    text.push_str("COMMIT;");
    conn.batch_execute(&text).unwrap();
}

#[test]
fn a_database_of_an_older_build_keeps_its_states_and_its_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drover.db");
    old(&file);
    let open = || {
        let clock = Arc::new(SystemClock);
        Store::open(
            &StoreConfig::new(&file),
            clock,
            Arc::new(NoLayout),
            Box::new(|_| {}),
            None,
        )
        .unwrap()
    };
    let (store, state) = open();
    assert!(matches!(state, SchemaState::Migrated(n) if n >= 2));
    let stack = store.find(ResourceId(1000)).unwrap().unwrap();
    assert_eq!(
        (
            stack.state,
            &*stack.health,
            &*stack.message,
            stack.progress,
            stack.version
        ),
        (State::of("activating"), "healthy", "said", Some(7), 3)
    );
    let gone = store.find(ResourceId(1001)).unwrap().unwrap();
    assert_eq!((gone.state, gone.removed.map(|t| t.0)), (State::REMOVED, Some(5)));
    let selecting = store.selecting(ResourceId(5), Selected::Services).unwrap();
    assert_eq!(selecting.iter().map(|row| row.id.0).collect::<Vec<_>>(), [1700]);
    let eq = |name: &str, value: &str| Condition::compare(Target::Json(name.into()), "eq", Scalar::Text(value.into()));
    let list = |conditions: Vec<Condition>, limit: i64, marker: Option<String>| {
        let spec = ListSpec {
            root: "auditLog".into(),
            account: Some(ResourceId(5)),
            conditions,
            order: Order {
                key: SortKey::Json("eventType".into()),
                descending: true,
            },
            limit,
            marker,
            ..ListSpec::default()
        };
        store.list(&spec).unwrap()
    };
    let (all, next) = list(vec![], 1000, None);
    assert_eq!((all.len(), next), (698, None));
    let (first, next) = list(vec![eq("description", "mine")], 600, None);
    assert_eq!((first.len(), first[0].id), (600, ResourceId(1699)));
    assert_eq!(list(vec![eq("description", "mine")], 600, next).0.len(), 98);
    let (one, _) = list(vec![eq("resourceId", "1st1003"), eq("clientIp", "10.0.0.3")], 9, None);
    let fields = Fields::parse(&one[0].fields).unwrap();
    assert_eq!(
        (
            fields.text("requestObject").as_deref(),
            fields.text("responseObject"),
            fields.get("responseCode")
        ),
        (Some(r#"{"name":"n1003"}"#), None, Some("201"))
    );
    assert_eq!(
        (one.len(), one[0].created.0, fields.text("description").as_deref()),
        (1, 1_003_000, Some("mine"))
    );
    store.close();
    let (store, state) = open();
    assert_eq!(state, SchemaState::Current);
    assert_eq!(store.find(ResourceId(1002)).unwrap().unwrap().kind, "auditLog");
}
