//! The crates that we stand on: their licences, the Rust that they need, and a reason for each.
//!
//! `deny.toml` says the same to `cargo deny`, which knows more and is not on every machine; this needs cargo alone.

use std::process::Command;

use serde_json::Value;

use crate::source::{none, root};

/// Licences that a binary under Apache-2.0 may be made of, as in `deny.toml`. None of them asks for our source.
const LICENCES: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What cargo knows of us and of every crate that is built here.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Crates for other systems need not be on this machine.
    let version = Command::new(&cargo).arg("-vV").output().expect("cargo says what it is");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("cargo knows its host");
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
        host,
    ];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    serde_json::from_value(metadata["packages"].take()).expect("packages")
}

fn text<'v>(package: &'v Value, key: &str) -> &'v str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an SPDX expression can be met with the licences that are allowed.
fn is_allowed(expression: &str) -> bool {
    // An old way to write it.
    let expression = expression
        .replace('/', " OR ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let (mut depth, mut parts) = (0usize, vec![String::new()]);
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        let is_inner = depth > 0;
        match word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            // Of both signs AND binds closer.
            "OR" if !is_inner => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            *last = format!("{last} {word}");
        }
    }
    if let [only] = &parts[..] {
        let all = factors(only.trim());
        return match &all[..] {
            [one] => match one.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
                Some(inner) => is_allowed(inner.trim()),
                None => LICENCES.contains(&one.as_str()),
            },
            several => several.iter().all(|factor| is_allowed(factor)),
        };
    }
    parts.iter().any(|part| is_allowed(part.trim()))
}

/// The parts of an expression between the `AND`s outside its parentheses.
fn factors(expression: &str) -> Vec<String> {
    let (mut depth, mut found) = (0usize, vec![Vec::new()]);
    for word in expression.split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "AND" if depth == 0 => {
                found.push(Vec::new());
                continue;
            }
            _ => {}
        }
        found
            .iter_mut()
            .next_back()
            .into_iter()
            .for_each(|last| last.push(word));
    }
    found.into_iter().map(|words| words.join(" ")).collect()
}

/// Crates whose licence is not on the list.
fn unlicensed(packages: &[Value]) -> Vec<String> {
    let bad = packages.iter().filter(|package| !is_allowed(text(package, "license")));
    bad.map(|package| {
        format!(
            "{} {}: {:?}",
            text(package, "name"),
            text(package, "version"),
            text(package, "license")
        )
    })
    .collect()
}

fn release(version: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    numbers.resize(3, 0);
    numbers
}

/// Crates that need a newer Rust than `Cargo.toml` promises.
fn too_new(packages: &[Value], ours: &str) -> Vec<String> {
    let new = packages
        .iter()
        .filter(|package| release(text(package, "rust_version")) > release(ours));
    let line = |package: &Value| {
        format!(
            "{} {} needs Rust {}",
            text(package, "name"),
            text(package, "version"),
            text(package, "rust_version")
        )
    };
    new.map(line).collect()
}

#[test]
fn every_licence_is_on_the_list() {
    none(unlicensed(&packages()));
}

#[test]
fn the_two_lists_of_licences_are_one() {
    let deny = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let (_, list) = deny.split_once("\nallow = [").expect("a list of licences");
    let (list, _) = list.split_once(']').expect("its end");
    let allowed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(allowed, LICENCES);
}

#[test]
fn the_rust_that_we_promise_is_enough_for_every_crate() {
    let ours = env!("CARGO_PKG_RUST_VERSION");
    none(too_new(&packages(), ours));
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    assert!(
        readme.contains(&format!("You need Rust {ours},")),
        "the README names another Rust than {ours}"
    );
}

#[test]
fn every_crate_that_we_chose_has_its_reason() {
    let reasons = std::fs::read_to_string(root().join("docs/decisions/dependencies.md")).expect("the reasons");
    let rows: Vec<&str> = reasons
        .split("\n\n")
        .filter(|table| table.starts_with("| Crate |"))
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .collect();
    let named: Vec<&str> = rows.iter().flat_map(|row| row.split(", ")).collect();
    let packages = packages();
    let us = packages
        .iter()
        .find(|package| text(package, "name") == "drover")
        .expect("ourselves");
    let chosen: Vec<&str> = us["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|dependency| text(dependency, "name"))
        .collect();
    let lacking = chosen
        .iter()
        .filter(|name| !named.contains(name))
        .map(|name| format!("{name} has no row"));
    let left = named
        .iter()
        .filter(|name| !chosen.contains(name) && !["Crate", "---"].contains(name));
    none(
        lacking
            .chain(left.map(|name| format!("{name} is no dependency any more")))
            .collect(),
    );
}

#[test]
fn a_licence_that_is_not_on_the_list_is_found() {
    for fine in [
        "MIT",
        "MIT/Apache-2.0",
        "Apache-2.0 / MIT",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        "Apache-2.0 AND ISC",
        "GPL-2.0 AND MIT OR MIT",
    ] {
        assert!(is_allowed(fine), "{fine}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT AND GPL-2.0) OR AGPL-3.0",
        "MIT AND (GPL-2.0 OR LGPL-3.0)",
        "GPL-3.0 WITH LLVM-exception",
        "MITX",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
    let planted = [
        serde_json::json!({"name": "a", "version": "1.0.0", "license": "GPL-3.0"}),
        serde_json::json!({"license": "MIT"}),
    ];
    assert_eq!(unlicensed(&planted), ["a 1.0.0: \"GPL-3.0\""]);
}

#[test]
fn a_crate_that_needs_a_newer_rust_is_found() {
    let planted = |rust: &str| serde_json::json!({"name": "a", "version": "1.0.0", "rust_version": rust});
    let all = ["1.9", "1.89", "1.89.0", "1.90.0", "1.100"].map(planted);
    assert_eq!(
        too_new(&all, "1.89"),
        ["a 1.0.0 needs Rust 1.90.0", "a 1.0.0 needs Rust 1.100"]
    );
    assert_eq!(
        too_new(&[serde_json::json!({"name": "a", "rust_version": null})], "1.89"),
        Vec::<String>::new()
    );
}
