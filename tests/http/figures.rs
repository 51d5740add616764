//! Figures and tables in documents against the constants and migrations that they tell of.

use std::collections::BTreeSet;

use crate::source::{Source, files, none, root, sources};

/// A document, what it says, and the constant that it says it of, with its value. Who changes one changes the other.
const FIGURES: &[(&str, &str, &str, &str)] = &[
    ("docs/ARCHITECTURE.md", "about 100 rows a transaction", "PORTION", "100"),
    (
        "docs/ARCHITECTURE.md",
        "the comparison each minute",
        "RESYNC",
        "Duration::from_secs(60)",
    ),
    (
        "docs/DATABASE.md",
        "for about 5 ms",
        "COMMIT_BUDGET",
        "Duration::from_millis(5)",
    ),
    (
        "docs/DATABASE.md",
        "Every ten minutes",
        "SWEEP_EVERY",
        "Duration::from_secs(600)",
    ),
    ("docs/DATABASE.md", "in writes of 200 rows", "SWEEP_CHUNK", "200"),
    (
        "docs/operating.md",
        "every ten minutes, 200 rows at a time",
        "SWEEP_CHUNK",
        "200",
    ),
    (
        "docs/operating.md",
        "may finish for 10 seconds",
        "SHUTDOWN_SECONDS",
        "10",
    ),
    (
        "docs/settings.md",
        "every ten minutes",
        "SWEEP_EVERY",
        "Duration::from_secs(600)",
    ),
    (
        "docs/upgrades.md",
        "at most `1h`",
        "LONGEST_MONITOR",
        "Duration::from_secs(3_600)",
    ),
    (
        "docs/upgrades.md",
        "| 5s with `rollback` or `pause`",
        "DEFAULT_MONITOR",
        "Duration::from_secs(5)",
    ),
    ("docs/upgrades.md", "first, 1 to 10,000", "MOST_CANARIES", "10_000"),
    ("docs/receivers.md", "at most 200 in it", "RECEIVERS", "200"),
    (
        "docs/service-labels.md",
        "longer than 4096 bytes",
        "LONGEST_COMMAND",
        "4_096",
    ),
    ("docs/service-labels.md", "On one engine 16 run", "AT_ONCE", "16"),
    (
        "docs/service-labels.md",
        "`interval` | 10 s",
        "COMMAND_INTERVAL_MS",
        "10_000",
    ),
    (
        "docs/service-labels.md",
        "`responseTimeout` | 5 s",
        "COMMAND_TIMEOUT_MS",
        "5_000",
    ),
    (
        "docs/service-labels.md",
        "`unhealthyThreshold` | 3",
        "COMMAND_FAILURES",
        "3",
    ),
    (
        "docs/logs-and-shells.md",
        "Where more than 200 containers run",
        "MOST_SUMMED",
        "200",
    ),
    (
        "docs/logs-and-shells.md",
        "good for 57,600 seconds",
        "VALID_FOR_PORTS",
        "Duration::from_secs(57_600)",
    ),
    (
        "docs/logs-and-shells.md",
        "up to 256 MiB",
        "LARGEST",
        "256 * 1024 * 1024",
    ),
    (
        "docs/logs-and-shells.md",
        "for 10 minutes at most",
        "LONGEST",
        "Duration::from_secs(600)",
    ),
    (
        "docs/logs-and-shells.md",
        "128 requests, and they count",
        "AT_ONCE",
        "128",
    ),
    (
        "docs/logs-and-shells.md",
        "60 until the answer begins",
        "PATIENCE",
        "Duration::from_secs(60)",
    ),
    (
        "docs/logs-and-shells.md",
        "5 seconds to connect",
        "PATIENCE",
        "Duration::from_secs(5)",
    ),
    (
        "docs/service-labels.md",
        "looks again each 10 seconds",
        "LINK_WAIT",
        "Duration::from_secs(10)",
    ),
    ("docs/API-DESIGN.md", "At most 1 MiB", "LIMIT", "1024 * 1024"),
    (
        "docs/API-DESIGN.md",
        "within a minute, else 408",
        "PATIENCE",
        "Duration::from_secs(60)",
    ),
    ("docs/events.md", "more than 100,000 behind", "MAX_MISSED", "100_000"),
    ("docs/events.md", "4 KiB, then 1009", "MAX_FRAME", "4096"),
    (
        "docs/events.md",
        "a client that takes nothing for 30 s",
        "PATIENCE",
        "30",
    ),
    ("docs/networking.md", "with a time to live of one second", "TTL", "1"),
    (
        "docs/networking.md",
        "answers within two seconds",
        "PATIENCE",
        "Duration::from_secs(2)",
    ),
    ("docs/networking.md", "(at most 1232)", "LARGEST_DATAGRAM", "1232"),
    (
        "docs/networking.md",
        "at most 64 MiB",
        "LONGEST_LINE",
        "64 * 1024 * 1024",
    ),
    (
        "docs/networking.md",
        "more get SERVFAIL | 128 | 512 |",
        "FORWARDS_OF_ONE",
        "128",
    ),
    (
        "docs/networking.md",
        "more get SERVFAIL | 128 | 512 |",
        "FORWARDS",
        "512",
    ),
    (
        "docs/networking.md",
        "connections for names | 16 | 128 |",
        "CONNECTIONS_OF_ONE",
        "16",
    ),
    (
        "docs/networking.md",
        "connections for names | 16 | 128 |",
        "CONNECTIONS",
        "128",
    ),
    (
        "docs/networking.md",
        "connections for metadata | 64 | 320 |",
        "CONNECTIONS_OF_ONE",
        "64",
    ),
    (
        "docs/networking.md",
        "connections for metadata | 64 | 320 |",
        "CONNECTIONS",
        "320",
    ),
    (
        "docs/networking.md",
        "more get 503 | 32 | 256 |",
        "WAITERS_OF_ONE",
        "32",
    ),
    ("docs/networking.md", "more get 503 | 32 | 256 |", "WAITERS", "256"),
    ("docs/networking.md", "has at most 10 links", "LONGEST_CHAIN", "10"),
    (
        "docs/metadata.md",
        "60 if it is missing",
        "WAIT",
        "Duration::from_secs(60)",
    ),
    (
        "docs/metadata.md",
        "at most 120",
        "LONGEST_WAIT",
        "Duration::from_secs(120)",
    ),
];

/// The defaults that more than one document tells: a document, what it says, the setting, its default.
const SETTINGS: &[(&str, &str, &str, &str)] = &[
    (
        "docs/DATABASE.md",
        "processes that ended a day ago",
        "process_instance.purge.after.seconds",
        "86400",
    ),
    (
        "docs/DATABASE.md",
        "events older than 14 days or beyond a million",
        "events.purge.after.seconds",
        "1209600",
    ),
    (
        "docs/DATABASE.md",
        "rows of the audit log older than 30 days or beyond a million",
        "audit_log.purge.after.seconds",
        "2592000",
    ),
    (
        "docs/DATABASE.md",
        "service logs older than 7 days",
        "service_log.purge.after.seconds",
        "604800",
    ),
    (
        "docs/DATABASE.md",
        "removed resources after 2 days",
        "main_tables.purge.after.seconds",
        "172800",
    ),
    (
        "docs/operating.md",
        "| change events | 14 days, and at most 1,000,000 |",
        "events.keep.rows",
        "1000000",
    ),
    (
        "docs/operating.md",
        "| the audit log | 30 days, and at most 1,000,000 rows |",
        "audit_log.keep.rows",
        "1000000",
    ),
    (
        "docs/operating.md",
        "| service logs | 7 days |",
        "service_log.purge.after.seconds",
        "604800",
    ),
    ("docs/events.md", "(14 days, a million)", "events.keep.rows", "1000000"),
    (
        "docs/access-control.md",
        "A login lasts 16 hours",
        "api.auth.jwt.token.expiry",
        "57600000",
    ),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The text with every break of a line as a space.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values of all constants of a name.
fn values<'s>(sources: &'s [Source], constant: &str) -> Vec<&'s str> {
    let declared = |line: &'s str| {
        let (before, rest) = line.split_once(&format!("const {constant}: "))?;
        let (_, value) = rest.split_once(" = ").filter(|_| !before.contains("//"))?;
        value.strip_suffix(';')
    };
    sources
        .iter()
        .flat_map(|source| source.text.lines())
        .filter_map(declared)
        .collect()
}

/// A figure whose document says something else, or whose constant is something else.
fn wrong(
    (document, said, constant, value): (&str, &str, &str, &str),
    text: &str,
    sources: &[Source],
) -> Option<String> {
    let values = values(sources, constant);
    if !flat(text).contains(said) {
        return Some(format!("{document} does not say {said:?} ({constant})"));
    }
    (!values.contains(&value)).then(|| format!("{document} says {said:?}, and {constant} is {values:?}"))
}

#[test]
fn figures_in_documents_are_those_of_the_program() {
    let sources = sources();
    none(
        FIGURES
            .iter()
            .filter_map(|figure| wrong(*figure, &read(figure.0), &sources))
            .collect(),
    );
}

#[test]
fn a_figure_that_is_not_the_programs_is_found() {
    let sources = [Source::planted(
        "a.rs",
        "/// How many.\nconst STEPS: usize = 50;\n// const STEPS: usize = 25;\n",
    )];
    let check = |said, value, text| wrong(("a.md", said, "STEPS", value), text, &sources);
    assert_eq!(check("50 steps", "50", "it takes 50\nsteps"), None);
    assert_eq!(
        check("50 steps", "50", "25 steps").as_deref(),
        Some("a.md does not say \"50 steps\" (STEPS)")
    );
    assert_eq!(
        check("25 steps", "25", "25 steps").as_deref(),
        Some("a.md says \"25 steps\", and STEPS is [\"50\"]")
    );
}

#[actix_web::test]
async fn defaults_that_documents_tell_are_those_of_the_settings() {
    let world = crate::support::World::new().await;
    let mut problems = Vec::new();
    for (document, said, setting, default) in SETTINGS {
        if !flat(&read(document)).contains(said) {
            problems.push(format!("{document} does not say {said:?} ({setting})"));
        }
        let is = world.show(&format!("/v2-beta/settings/{setting}")).await["value"].clone();
        if is != *default {
            problems.push(format!("{document} says {said:?}, and {setting} is {is}"));
        }
    }
    none(problems);
}

/// The tables that migrations make.
fn tables(migrations: &[Source]) -> BTreeSet<&str> {
    let lines = migrations.iter().flat_map(|migration| migration.text.lines());
    lines
        .filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split([' ', '(']).next())
        .collect()
}

/// The tables under `## Tables` of the document: the names in bold code at the beginning of a sentence.
fn told(document: &str) -> BTreeSet<&str> {
    let part = document
        .split("\n## ")
        .find(|part| part.starts_with("Tables\n"))
        .unwrap_or_default();
    part.split("**`")
        .skip(1)
        .filter_map(|rest| rest.split_once("`**"))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn the_tables_of_the_document_are_those_of_the_migrations() {
    let elsewhere = files(&["migrations/postgres"], &["up.sql"], "");
    let migrations = files(&["migrations/sqlite"], &["up.sql"], "");
    let names = |all: &[Source]| -> Vec<String> {
        let folders = all.iter().filter_map(|source| source.path.rsplit('/').nth(1));
        folders.map(str::to_owned).collect()
    };
    assert_eq!(names(&migrations), names(&elsewhere), "each database has them all");
    let own = BTreeSet::from(["number_given", "last_commit", "member", "lease"]);
    assert_eq!(&tables(&elsewhere) - &own, tables(&migrations));
    let document = read("docs/DATABASE.md");
    assert_eq!(told(&document), tables(&elsewhere));
    let indexes = migrations.iter().flat_map(|migration| migration.text.lines());
    let indexes = indexes.filter_map(|line| line.split_once("INDEX ")?.1.split(' ').next());
    none(
        indexes
            .filter(|index| !document.contains(&format!("`{index}")))
            .map(|index| format!("{index} is in no document"))
            .collect(),
    );
    let said = format!("({} migration(s) applied)", migrations.len());
    assert!(read("README.md").contains(&said), "the README does not say {said:?}");
}

#[test]
fn a_table_that_no_document_tells_of_is_found() {
    let migrations = [Source::planted(
        "up.sql",
        "-- Two.\nCREATE TABLE one (\n  id INTEGER\n);\nCREATE TABLE two (id INTEGER);\n",
    )];
    assert_eq!(tables(&migrations), BTreeSet::from(["one", "two"]));
    assert_eq!(
        told("# A\n\n## Tables\n\n**`one`** (`id`): the first. **`three`**: gone.\n\n## Indexes\n\n**`two`**\n"),
        BTreeSet::from(["one", "three"])
    );
}

#[test]
fn the_limits_of_the_document_are_those_of_the_program() {
    let text = read("docs/limits.md");
    let thousands = |number: i64| match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    };
    let rows = drover::schema::limits::LIMITS.iter().map(|(field, measure, most)| {
        let what = match measure {
            drover::schema::limits::Measure::Number => "value",
            drover::schema::limits::Measure::Entries => "entries",
        };
        format!("| `{field}` | {what} | {} |", thousands(*most))
    });
    let said: BTreeSet<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let meant: BTreeSet<String> = rows.collect();
    assert_eq!(said, meant.iter().map(String::as_str).collect());
    for (what, most) in [
        (
            "keys and passwords of an account, or of a project",
            drover::schema::limits::KEYS,
        ),
        (
            "projects that somebody has made who does not run the server",
            drover::schema::limits::PROJECTS,
        ),
        ("receivers of a project", drover::schema::limits::RECEIVERS),
    ] {
        let row = format!("| {what} | {most} |");
        assert!(text.lines().any(|line| line == row), "{row}");
    }
}
