//! What only some files of the store may write: texts that the compiler cannot look into.

use std::path::{Path, PathBuf};

/// What is SQLite's own, by the words that give it away: for `dialect.rs` only.
const SQLITE: &[&str] = &[
    "PRAGMA",
    "IMMEDIATE",
    "immediate_transaction",
    "SAVEPOINT",
    "ROLLBACK TO",
    "RELEASE ",
    "json_extract",
    "json_each",
    "ifnull",
    "sqlite_",
    "NOCASE",
    "LIKE",
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
        let is_dialect = path != "dialect.rs" && SQLITE.iter().any(|word| line.contains(word));
        is_dialect || path != "resource/write.rs" && ROW_WRITES.iter().any(|word| line.contains(word))
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
    paths.retain(|path| !path.ends_with("fence_tests.rs"));
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
    for word in SQLITE {
        let planted = format!("fn planted() {{\n    run(\"{word}\");\n}}\n");
        assert_eq!(
            misplaced("session.rs", &planted),
            [format!("session.rs: run(\"{word}\");")]
        );
        assert!(misplaced("dialect.rs", &planted).is_empty());
    }
    for word in ROW_WRITES {
        let planted = format!("    Statement::new(\"{word}…\", values)");
        assert_eq!(misplaced("process.rs", &planted).len(), 1, "{word}");
        assert!(misplaced("resource/write.rs", &planted).is_empty());
    }
}
