//! Compose files of all kinds, and what they mean: `tests/compose/` and `tests/golden/compose/`.
//!
//! `NAME.yml` is a docker-compose.yml, `NAME.rancher.yml` the rancher-compose.yml beside it, `NAME.env` the values of variables.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use drover::compose::{Document, KEYS, Service, Texts, Treatment, read, write};
use serde_json::{Map, Value, json};

use crate::source::root;

struct Case {
    name: String,
    texts: Texts,
    environment: BTreeMap<String, String>,
}

fn cases() -> Vec<Case> {
    let folder = root().join("tests/compose");
    let text = |name: String| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder is read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| {
            name.strip_suffix(".yml")
                .filter(|name| !name.ends_with(".rancher"))
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    let case = |name: String| Case {
        texts: Texts {
            docker: text(format!("{name}.yml")),
            rancher: text(format!("{name}.rancher.yml")),
        },
        environment: text(format!("{name}.env"))
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        name,
    };
    names.into_iter().map(case).collect()
}

fn meaning(service: &Service) -> Value {
    let links: Vec<String> = service
        .links
        .iter()
        .map(|link| format!("{}:{}", link.service, link.alias))
        .collect();
    let mut meaning = json!({"name": service.name, "kind": service.kind, "fields": service.fields});
    for (key, value) in [
        ("links", json!(links)),
        ("balancing", json!(service.balancing)),
        ("pace", json!(service.pace)),
    ] {
        if says(&value) {
            meaning[key] = value;
        }
    }
    meaning
}

/// Whether a value says anything.
fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    }
}

fn picture(document: &Document) -> String {
    let mut out = String::new();
    for service in &document.services {
        writeln!(out, "{:#}", meaning(service)).expect("a string grows");
    }
    for volume in &document.volumes {
        writeln!(out, "{volume:?}").expect("a string grows");
    }
    for warning in &document.warnings {
        writeln!(out, "warning: {warning}").expect("a string grows");
    }
    out
}

#[test]
fn files_mean_what_was_reviewed() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for case in cases {
        let path: PathBuf = root().join(format!("tests/golden/compose/{}.txt", case.name));
        let meant = match read("shop", &case.texts, &case.environment) {
            Ok(document) => picture(&document),
            Err(problem) => format!("refused: {problem}\n"),
        };
        assert_eq!(
            case.name.starts_with("bad-"),
            meant.starts_with("refused: "),
            "{}: {meant}",
            case.name
        );
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
            std::fs::write(&path, &meant).expect("the golden is written");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != meant {
            wrong.push(format!("{}:\n{meant}", case.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "UPDATE_GOLDEN=1 writes what is meant now:\n{}",
        wrong.join("\n")
    );
}

/// Whether a value is what the field is where nothing is said.
fn is_default(key: &str, value: &Value) -> bool {
    key == "networkMode" && value == "managed"
}

/// A service without what says nothing, and without what an export leaves away.
fn plain(service: &Service) -> Value {
    fn strip(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (key.clone(), strip(value)));
                Value::Object(
                    entries
                        .filter(|(key, value)| (says(value) && !is_default(key, value)) || key == "command")
                        .collect::<Map<_, _>>(),
                )
            }
            Value::Array(list) => Value::Array(list.iter().map(strip).collect()),
            other => other.clone(),
        }
    }
    let mut service = service.clone();
    service.pace.clear();
    service.links.sort();
    let launch = service.fields.get("launchConfig").unwrap_or(&Value::Null);
    let is_global = launch["labels"]["io.rancher.scheduler.global"] == "true";
    if is_global {
        service.fields.shift_remove("scale");
    }
    strip(&meaning(&service))
}

#[test]
fn what_is_written_of_a_file_means_the_same() {
    let mut wrong = Vec::new();
    for case in cases() {
        let Ok(document) = read("shop", &case.texts, &case.environment) else {
            continue;
        };
        let texts = write(&document.services, &document.volumes);
        let again = read("shop", &texts, &BTreeMap::new())
            .unwrap_or_else(|problem| panic!("{}: {problem}\n{}\n{}", case.name, texts.docker, texts.rancher));
        let sorted = |document: &Document| {
            let mut all: Vec<Value> = document.services.iter().map(plain).collect();
            all.sort_by_key(|service| service["name"].to_string());
            all
        };
        if sorted(&again) != sorted(&document) {
            let (found, wanted) = (json!(sorted(&again)), json!(sorted(&document)));
            wrong.push(format!(
                "{}:\n{found}\n{wanted}\n{}\n{}",
                case.name, texts.docker, texts.rancher
            ));
        }
        assert_eq!(again.volumes, document.volumes, "{}", case.name);
        assert_eq!(again.warnings, [], "{}", case.name);
        assert_eq!(write(&again.services, &again.volumes), texts, "{}", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_has_every_key_and_what_becomes_of_it() {
    let document = std::fs::read_to_string(root().join("docs/compose.md")).expect("the document is read");
    let mut expected: Vec<String> = KEYS
        .iter()
        .map(|key| {
            let file = format!("{:?}", key.file).to_lowercase();
            let becomes = match key.treatment {
                Treatment::Config(field, _) => format!("`launchConfig.{field}`"),
                Treatment::Service(field, _) => format!("`{field}`"),
                Treatment::Special(what) => what.to_owned(),
                Treatment::Ignored(why) => format!("ignored, with a warning: {why}"),
                Treatment::Refused(why) => format!("refused: {why}"),
            };
            format!("| `{}` | {file} | {becomes} |", key.name)
        })
        .collect();
    let mut found: Vec<String> = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(str::to_owned)
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() && found != expected {
        let (before, rest) = document
            .split_once("| Key | File | Becomes |\n|---|---|---|\n")
            .expect("a table");
        let (_, after) = rest.split_once("\n\n").expect("a line after the table");
        let table = expected.join("\n");
        let text = format!("{before}| Key | File | Becomes |\n|---|---|---|\n{table}\n\n{after}");
        std::fs::write(root().join("docs/compose.md"), text).expect("the document is written");
        found = expected.clone();
    }
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert!(KEYS.is_sorted_by_key(|key| (format!("{:?}", key.file), key.name)));
}
