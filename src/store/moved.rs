//! What is moved when a database is written to another one: all tables but what a database makes for itself.

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub name: &'static str,
    /// What its rows are told apart by, and in which order they are moved.
    pub key: &'static [&'static str],
    /// The others.
    pub columns: &'static [&'static str],
    /// Those of all that are bytes.
    pub bytes: &'static [&'static str],
}

impl Table {
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.key.iter().chain(self.columns).copied()
    }

    pub(super) fn holds_bytes(&self, column: &str) -> bool {
        self.bytes.contains(&column)
    }
}

const fn table(name: &'static str, key: &'static [&'static str], columns: &'static [&'static str]) -> Table {
    Table {
        name,
        key,
        columns,
        bytes: &[],
    }
}

/// All of them; first the one that says whose the database is.
pub(super) const TABLES: [Table; 12] = [
    table("server", &["uuid"], &["epoch"]),
    table(
        "resource",
        &["id"],
        &[
            "root",
            "kind",
            "account_id",
            "parent_id",
            "host_id",
            "uuid",
            "name",
            "old_state",
            "old_health",
            "old_message",
            "old_progress",
            "old_version",
            "created_ms",
            "removed_ms",
            "purge_after_ms",
            "fields",
            "cuts",
            "internal",
        ],
    ),
    table(
        "resource_state",
        &["resource_id"],
        &["state", "health", "message", "progress", "version"],
    ),
    table("resource_ref", &["from_id", "field", "to_id"], &[]),
    table(
        "process_instance",
        &["id"],
        &[
            "resource_id",
            "process",
            "attempts",
            "run_after_ms",
            "claimed_by",
            "epoch",
            "data",
            "message",
            "started_ms",
            "ended_ms",
            "exit_reason",
        ],
    ),
    table("change_event", &["id"], &["resource_id", "account_id", "created_ms"]),
    table("setting", &["name"], &["value"]),
    table("credential", &["resource_id"], &["kind", "public_value", "secret"]),
    table(
        "session",
        &["id"],
        &["digest", "account_id", "created_ms", "expires_ms"],
    ),
    table("set_aside", &["resource_id"], &["deaths"]),
    Table {
        bytes: &["bodies"],
        ..table(
            "audit",
            &["id"],
            &[
                "account_id",
                "created_ms",
                "auth_type",
                "user_id",
                "identity_id",
                "client_ip",
                "event_type",
                "resource_type",
                "resource_id",
                "response_code",
                "runtime_ms",
                "packing",
                "bodies",
                "more",
                "removed_ms",
                "purge_after_ms",
            ],
        )
    },
    Table {
        bytes: &["content"],
        ..table("audit_sample", &["id"], &["content"])
    },
];
