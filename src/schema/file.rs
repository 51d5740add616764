//! What is written in `schemas/`: the files as they are read, before anything is inherited or checked.
//!
//! The format is explained in `schemas/README.md`. Everything here refuses keys that it does not know.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

use super::{Role, Summary, Version};

/// `null` removes, absence leaves alone.
pub(super) type Change<T> = Option<Option<T>>;

/// One `types/<id>.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TypeFile {
    pub id: String,
    pub plural: Option<String>,
    pub parent: Option<String>,
    pub prefix: Option<String>,
    pub process: Option<String>,
    pub common: Option<Vec<String>>,
    #[serde(default)]
    pub embedded: bool,
    #[serde(default)]
    pub hidden: bool,
    pub only: Option<Version>,
    #[serde(default)]
    pub unavailable: Unavailable,
    #[serde(default)]
    pub actions_in_code: Vec<String>,
    /// In which states rows name actions without a process, those that are unavailable among them; no state is all.
    #[serde(default)]
    pub offered: BTreeMap<String, Vec<String>>,
    pub collection: Option<Vec<String>>,
    pub resource: Option<Vec<String>>,
    #[serde(default)]
    pub fields: FieldPatches,
    #[serde(default)]
    pub filters: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub actions: BTreeMap<String, Option<ActionPatch>>,
    #[serde(default)]
    pub links: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub versions: BTreeMap<Version, TypePart>,
    /// Not inherited.
    pub summary: Option<Summary>,
}

/// Fields by name; `null` removes an inherited one.
pub(super) type FieldPatches = BTreeMap<String, Option<FieldPatch>>;

/// What a version adds to or changes in a type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypePart {
    pub collection: Option<Vec<String>>,
    pub resource: Option<Vec<String>>,
    #[serde(default)]
    pub fields: FieldPatches,
    #[serde(default)]
    pub filters: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub actions: BTreeMap<String, Option<ActionPatch>>,
    #[serde(default)]
    pub links: BTreeMap<String, Option<String>>,
}

/// What this build does not have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unavailable {
    #[serde(default)]
    pub create: bool,
    #[serde(default)]
    pub actions: Vec<String>,
    /// Those of the actions that no state of a row here allows.
    #[serde(default)]
    pub never: Vec<String>,
}

/// A field as a file has it: only what differs from the inherited one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct FieldPatch {
    #[serde(rename = "type")]
    pub ty: Option<String>,
    pub can: Option<String>,
    pub required: Option<bool>,
    pub nullable: Option<bool>,
    pub unique: Option<bool>,
    #[serde(deserialize_with = "change")]
    pub default: Change<Value>,
    #[serde(deserialize_with = "change")]
    pub min: Change<i64>,
    #[serde(deserialize_with = "change")]
    pub max: Change<i64>,
    #[serde(deserialize_with = "change")]
    pub min_length: Change<i64>,
    #[serde(deserialize_with = "change")]
    pub max_length: Change<i64>,
    #[serde(deserialize_with = "change")]
    pub options: Change<Vec<String>>,
    #[serde(deserialize_with = "change")]
    pub valid_chars: Change<String>,
    #[serde(deserialize_with = "change")]
    pub invalid_chars: Change<String>,
    #[serde(deserialize_with = "change")]
    pub description: Change<String>,
    pub filter: Option<FilterPatch>,
    pub schedule_update: Option<bool>,
    pub unavailable: Option<bool>,
    pub kept: Option<bool>,
    #[serde(deserialize_with = "change")]
    pub source: Change<String>,
    pub hidden: Option<bool>,
    pub shown: Option<bool>,
    pub unlisted: Option<bool>,
    pub only: Option<Version>,
}

/// `true`, `false`, or the name of the type whose modifiers it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FilterPatch {
    No,
    AsField,
    As(String),
}

/// An action as a file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ActionPatch {
    #[serde(deserialize_with = "change")]
    pub input: Change<String>,
    #[serde(deserialize_with = "change")]
    pub output: Change<String>,
    pub only: Option<Version>,
}

/// One `processes/<name>.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessFile {
    pub about: String,
    pub transitions: Vec<TransitionLine>,
    #[serde(default)]
    pub then: BTreeMap<String, String>,
}

/// One edge of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransitionLine {
    pub process: String,
    pub from: Vec<String>,
    pub via: String,
    pub done: String,
    #[serde(default)]
    pub versions: Vec<Version>,
    #[serde(default)]
    pub joins: bool,
    #[serde(default)]
    pub anew: Vec<String>,
}

/// `common.json`: named groups of fields that types take over.
pub(super) type CommonFile = BTreeMap<String, TypePart>;

/// `versions.json`: how the versions differ as a whole.
pub(super) type VersionsFile = BTreeMap<Version, VersionPart>;

/// One version of `versions.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct VersionPart {
    /// Canonical type id → its name in this version.
    pub names: BTreeMap<String, String>,
    /// Canonical type id → what its ids begin with in this version.
    pub prefixes: BTreeMap<String, String>,
    /// Process set → state → the state that is shown instead.
    pub states: BTreeMap<String, BTreeMap<String, String>>,
    /// `includeableLinks` are written in lower case.
    pub lower_case_includes: bool,
    /// Types that are served by the schemas of another version.
    pub served: Option<Served>,
}

/// Types of one version that are validated and shown as another version has them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Served {
    pub version: Version,
    pub types: Vec<String>,
    /// Field of this version → field of the serving version that its value is copied to.
    pub copies: BTreeMap<String, String>,
}

fn change<'de, D, T>(deserializer: D) -> Result<Change<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for FilterPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = FilterPatch;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("true, false or the name of a type")
            }

            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<FilterPatch, E> {
                Ok(if yes { FilterPatch::AsField } else { FilterPatch::No })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FilterPatch, E> {
                Ok(FilterPatch::As(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text} is not a version of the API")))
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text} is not a role")))
    }
}
