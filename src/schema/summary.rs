//! What of a type a person sees and sets first: the part `summary` of its file.
//!
//! Nothing on the wire follows from it. Pages for people are made from it, so that they need no code for any type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::load::Files;
use super::{Problem, Version};

/// How a type is shown to people; every list is in the order in which it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Summary {
    /// Whether it stands among the things that are here.
    #[serde(skip_serializing_if = "is_false")]
    pub here: bool,
    /// Whether it stands among all types only when these are asked for: what only the engine and its agents make.
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Parts of a sentence with `{field}`, `{field.field}` or `{field|form}` in it; a part without all its values is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentence: Vec<String>,
    /// Fields that are told below the sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// Columns of its lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Links whose rows stand on its page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// Links that have more to tell in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<String>,
    /// The number that people change most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<String>,
    /// The link to what it uses, over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<String>,
    /// Actions that are taken back by another one: name → name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub undo: BTreeMap<String, String>,
    /// Fields that people set first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub form: Vec<String>,
    /// The other fields, by what they are about.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Vec<String>>,
}

/// For serde, which asks for a reference.
fn is_false(value: &bool) -> bool {
    !*value
}

/// All summaries as JSON: by type, under the names of every version.
pub(super) fn all(files: &Files) -> String {
    let mut all: BTreeMap<&str, &Summary> = BTreeMap::new();
    for file in files.types.values() {
        let Some(summary) = &file.summary else { continue };
        all.insert(&file.id, summary);
        for version in Version::ALL {
            if let Some(name) = files.versions.get(&version).and_then(|v| v.names.get(&file.id)) {
                all.entry(name).or_insert(summary);
            }
        }
    }
    serde_json::to_string(&all).unwrap_or_else(|_| "{}".to_owned())
}

/// The first name of a path: `launchConfig` of `{launchConfig.imageUuid|image}`.
fn first_name(path: &str) -> &str {
    path.split(['.', '|']).next().unwrap_or_default()
}

/// The paths in a part of a sentence.
fn places(part: &str) -> impl Iterator<Item = &str> {
    part.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(path, _)| path))
}

/// Whether all that a summary names is among the fields, links and actions of its type.
pub(super) fn check(id: &str, summary: &Summary, [fields, links, actions]: [&[&str]; 3], problems: &mut Vec<Problem>) {
    let named = summary
        .facts
        .iter()
        .chain(&summary.columns)
        .chain(&summary.form)
        .chain(&summary.scale)
        .chain(summary.groups.values().flatten())
        .map(|path| first_name(path))
        .chain(summary.sentence.iter().flat_map(|part| places(part)).map(first_name));
    let mut unknown = |what: &str, names: Vec<&str>, known: &[&str]| {
        for name in names.into_iter().filter(|name| !known.contains(name)) {
            problems.push(Problem::new(
                format!("types/{id}.json"),
                format!("sums up by {name}, which is no {what} of it"),
            ));
        }
    };
    unknown("field", named.collect(), fields);
    let linked = summary.related.iter().chain(&summary.story).chain(&summary.figures);
    unknown("link", linked.map(String::as_str).collect(), links);
    let undone = summary
        .undo
        .iter()
        .flat_map(|(one, other)| [one.as_str(), other.as_str()]);
    unknown("action", undone.collect(), actions);
}
