//! Secrets: those that a file declares, and which of them a service wants as files.
//!
//! They are named here by their names; who has rows makes ids of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::parts::{Parts, Reader};
use super::problem::{Problem, Read};
use super::yaml::{Kind, Node};

/// The member of a reference that names its secret.
pub const SECRET: &str = "secret";

/// `(in the file, in the reference)` of a secret's file. Numbers are texts there.
const FILE: &[(&str, &str)] = &[("gid", "gid"), ("mode", "mode"), ("target", "name"), ("uid", "uid")];

/// Reads `secrets` at the top: what a file calls a secret, and what the project calls it.
pub(super) fn declared(reader: &mut Reader<'_>, node: &Node) -> Read<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for (alias, node) in node.as_map()? {
        let within = |problem: Problem| problem.within(format!("secret {alias}"));
        names.insert(alias.clone(), external(reader, alias, node).map_err(within)?);
    }
    Ok(names)
}

fn external(reader: &mut Reader<'_>, alias: &str, node: &Node) -> Read<String> {
    let (mut is_external, mut name) = (false, None);
    for (key, value) in node.as_map()? {
        let within = |problem: Problem| problem.within(key.as_str());
        match key.as_str() {
            _ if value.is_null() => {}
            "external" => match value.get("name") {
                Some(inner) => {
                    is_external = true;
                    name = Some(inner.as_text().map_err(within)?.to_owned());
                }
                None if matches!(value.kind, Kind::Map(_)) => return Err(within(value.wrong("a name is missing"))),
                None => is_external = value.as_bool().map_err(within)?,
            },
            "name" => name = Some(value.as_text().map_err(within)?.to_owned()),
            "file" => return Err(within(value.wrong("the server has no files of yours"))),
            "content" | "environment" => {
                return Err(within(value.wrong("a secret's value is given by request only")));
            }
            other => reader.warn(None, &format!("secrets.{alias}.{other}"), "is not known"),
        }
    }
    match is_external {
        true => Ok(name.unwrap_or_else(|| alias.to_owned())),
        false => Err(node.wrong("is not external: a secret is made by request")),
    }
}

/// Reads `secrets` of a service: names, or maps.
pub(super) fn wanted(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    let mut list = Vec::new();
    for item in node.as_list()? {
        let mut reference = Map::new();
        let alias = match &item.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if let Some((_, field)) = FILE.iter().find(|(name, _)| name == key) {
                        let text = value.as_text().map_err(|problem| problem.within(key.as_str()))?;
                        reference.insert((*field).to_owned(), json!(text.trim_start_matches("0o")));
                    } else if key != "source" {
                        return Err(value.wrong(format!("{key} is not known")));
                    }
                }
                let source = item.get("source").ok_or_else(|| item.wrong("source is missing"))?;
                source.as_text()?.to_owned()
            }
            _ => item.as_text()?.to_owned(),
        };
        // One that is not declared is taken by its very name, as a volume is.
        let name = reader.secrets.get(&alias).unwrap_or(&alias).clone();
        if name != alias && !reference.contains_key("name") {
            reference.insert("name".to_owned(), json!(alias));
        }
        reference.insert(SECRET.to_owned(), json!(name));
        list.push(Value::Object(reference));
    }
    parts.config.insert("secrets".into(), Value::Array(list));
    Ok(())
}

/// `secrets` of a service.
pub(super) fn write(references: &Value) -> Option<Node> {
    let list = references.as_array().filter(|list| !list.is_empty())?;
    let text = |reference: &Value, member: &str| -> Option<String> {
        let text = reference.get(member)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let nodes = list.iter().filter_map(|reference| {
        let name = text(reference, SECRET)?;
        let mut entries: Vec<(String, Node)> = FILE
            .iter()
            .filter_map(|(key, member)| Some(((*key).to_owned(), Node::text(text(reference, member)?))))
            .collect();
        if entries.is_empty() {
            return Some(Node::text(name));
        }
        entries.push(("source".to_owned(), Node::text(name)));
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Some(Node::of(Kind::Map(entries)))
    });
    Some(Node::of(Kind::List(nodes.collect())))
}

/// `secrets` at the top: all that services name are there already.
pub(super) fn write_declared<'a>(configs: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<(String, Node)> {
    let references = configs.filter_map(|config| config.get("secrets")?.as_array());
    let names: BTreeSet<&str> = references
        .flatten()
        .filter_map(|reference| reference.get(SECRET)?.as_str())
        .collect();
    let external = || Node::of(Kind::Map(vec![("external".to_owned(), Node::plain(true))]));
    names.into_iter().map(|name| (name.to_owned(), external())).collect()
}
