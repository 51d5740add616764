//! What only some files of the store may write: texts that the compiler cannot look into.

use std::path::{Path, PathBuf};

/// What each database spells in its own way: for the folders of both.
const DIALECT: &[&str] = &["SAVEPOINT", "ROLLBACK TO", "RELEASE ", "LIKE"];

/// What is PostgreSQL's own, by the words that give it away.
const POSTGRES: &[&str] = &[
    "jsonb",
    "pg_",
    "strpos",
    "hashtext",
    "ANY (",
    "FOR UPDATE",
    "diesel::pg",
    "diesel_async",
    "tokio_postgres",
];

/// What is SQLite's own, by the words that give it away.
const SQLITE: &[&str] = &[
    "PRAGMA",
    "IMMEDIATE",
    "immediate_transaction",
    "json_extract",
    "json_each",
    "ifnull",
    "sqlite_",
    "NOCASE",
    "GLOB",
    "replace_into",
    "insert_or_ignore",
    "INSERT OR",
    "REPLACE INTO",
    "VACUUM",
    "wal_checkpoint",
    "strftime",
    "group_concat",
    "rowid",
    "diesel::sqlite",
    "SqliteConnection",
    "Sqlite>",
];

/// Statements that write rows of `resource` or their states, as text: for `resource/write.rs` only. In diesel's words nobody
/// else can.
const ROW_WRITES: &[&str] = &[
    "UPDATE resource ",
    "INSERT INTO resource ",
    "DELETE FROM resource ",
    "UPDATE resource_state ",
    "INSERT INTO resource_state ",
    "DELETE FROM resource_state ",
];

/// The lines of a file that hold what is not for it. `path` is below `src/store`.
fn misplaced(path: &str, text: &str) -> Vec<String> {
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = program.lines().filter(|line| !line.trim_start().starts_with("//"));
    let forbidden = |line: &&str| {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        let (in_sqlite, in_postgres) = (path.starts_with("sqlite/"), path.starts_with("postgres/"));
        !in_sqlite && has(SQLITE)
            || !in_postgres && has(POSTGRES)
            || !in_sqlite && !in_postgres && has(DIALECT)
            || path != "body/resource/write.rs" && has(ROW_WRITES)
    };
    lines
        .filter(forbidden)
        .map(|line| format!("{path}: {}", line.trim()))
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => collect(&path, found),
            path => found.push(path),
        }
    }
}

#[test]
fn each_text_stands_in_its_file() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut paths = Vec::new();
    collect(&store, &mut paths);
    paths.retain(|path| !path.to_string_lossy().ends_with("_tests.rs"));
    assert!(paths.len() > 10, "{paths:?}");
    let problems: Vec<String> = paths
        .iter()
        .flat_map(|path| {
            let name = path
                .strip_prefix(&store)
                .unwrap_or(path)
                .to_string_lossy()
                .replace('\\', "/");
            misplaced(&name, &std::fs::read_to_string(path).unwrap_or_default())
        })
        .collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn a_text_in_another_file_is_found() {
    let own: [(&[&str], &[&str]); 3] = [
        (SQLITE, &["sqlite/line.rs"]),
        (POSTGRES, &["postgres/line.rs"]),
        (DIALECT, &["sqlite/line.rs", "postgres/line.rs"]),
    ];
    let places = ["body/session.rs", "sqlite/line.rs", "postgres/line.rs"];
    for (words, at_home) in own {
        for (word, place) in words.iter().flat_map(|word| places.map(|place| (word, place))) {
            let planted = format!("fn planted() {{\n    run(\"{word}\");\n}}\n");
            assert_eq!(
                misplaced(place, &planted).is_empty(),
                at_home.contains(&place),
                "{word} {place}"
            );
        }
    }
    for word in ROW_WRITES {
        let planted = format!("    Statement::new(\"{word}…\", values)");
        assert_eq!(misplaced("body/process.rs", &planted).len(), 1, "{word}");
        assert!(misplaced("body/resource/write.rs", &planted).is_empty());
    }
}
