//! A row of the `resource` table, and the text of its own fields.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::push_value;
use super::{Error, ResourceId, Result, State, Timestamp};

/// One resource as it is stored. What decides a query is a column; the rest is `fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The row's number.
    pub id: ResourceId,
    /// The root of its type's line of parents (`service` for a `dnsService`): what lists are indexed by.
    pub root: String,
    /// Its own type (`dnsService`).
    pub kind: String,
    /// The account (project) it belongs to.
    pub account_id: Option<ResourceId>,
    /// What it lives in: a service's stack, a volume template's stack.
    pub parent_id: Option<ResourceId>,
    /// The host it runs on.
    pub host_id: Option<ResourceId>,
    /// Never changes, unique.
    pub uuid: String,
    /// Empty for none.
    pub name: String,
    /// The state of its machine; empty for types without one.
    pub state: State,
    /// `healthState`; empty for none.
    pub health: String,
    /// What a client reads as `transitioningMessage`; empty for none. Left over outside a transition it is an error.
    pub message: String,
    /// `transitioningProgress`, 0–100.
    pub progress: Option<i32>,
    /// Grows with every change of the row: the fence of optimistic writes.
    pub version: i64,
    /// When the row was made.
    pub created: Timestamp,
    /// When its remove process ended.
    pub removed: Option<Timestamp>,
    /// When the row may be swept away.
    pub purge_after: Option<Timestamp>,
    /// The JSON object of its own fields in wire form, keys grouped by visibility class.
    pub fields: String,
    /// Where each class ends in `fields`, and the layout number (written and read by `schema::layout`).
    pub cuts: String,
    /// The engine's own notes, a JSON object; never on the wire.
    pub internal: String,
}

/// The own fields of a resource, one level taken apart: names and the text of their values.
///
/// Values stay text, so changing one field does not parse the others.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Takes a JSON object apart.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|e| Error::internal("reading a resource's fields", e))
    }

    /// The text of a field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.get())
    }

    /// Sets a field to anything that serialises.
    pub fn set<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let raw = serde_json::value::to_raw_value(value).map_err(|e| Error::internal("writing a field", e))?;
        self.0.insert(name.to_owned(), raw);
        Ok(())
    }

    /// The same for a value, in fewer steps.
    pub fn set_value(&mut self, name: &str, value: &Value) -> Result<()> {
        let mut text = String::with_capacity(64);
        push_value(&mut text, value);
        let raw = RawValue::from_string(text).map_err(|e| Error::internal("writing a field", e))?;
        self.0.insert(name.to_owned(), raw);
        Ok(())
    }

    /// Reads one field; absent and null are `None`.
    pub fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        match self.get(name) {
            None | Some("null") => Ok(None),
            Some(text) => serde_json::from_str(text)
                .map(Some)
                .map_err(|e| Error::internal(format!("reading field {name}"), e)),
        }
    }

    /// A map of texts; absent and null are empty, and so is a null in it.
    pub fn texts(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let map: Option<BTreeMap<String, Option<String>>> = self.read(name)?;
        let texts = map.into_iter().flatten();
        Ok(texts.map(|(key, value)| (key, value.unwrap_or_default())).collect())
    }

    /// A string field, or `None`.
    pub fn text(&self, name: &str) -> Option<String> {
        self.read(name).ok().flatten()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .0
                .iter()
                .zip(&other.0)
                .all(|((a, x), (b, y))| a == b && x.get() == y.get())
    }
}
