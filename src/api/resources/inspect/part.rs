//! A part of the document, read by what its members have to be.

use crate::model::{Error, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// An object of the document; one that is not there is empty.
pub(super) struct Part<'d> {
    pub(super) name: &'d str,
    pub(super) fields: Option<&'d Map<String, Value>>,
}

impl<'d> Part<'d> {
    /// A value that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'d Value> {
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn wrong(&self, name: &str) -> Error {
        let field = if self.name.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.name)
        };
        Error::invalid("InvalidFormat", field)
    }

    pub(super) fn read<T>(&self, name: &str, read: impl FnOnce(&'d Value) -> Option<T>) -> Result<Option<T>> {
        self.get(name)
            .map(|value| read(value).ok_or_else(|| self.wrong(name)))
            .transpose()
    }

    pub(super) fn part(&self, name: &'static str) -> Result<Part<'d>> {
        Ok(Part {
            name,
            fields: self.read(name, Value::as_object)?,
        })
    }

    pub(super) fn parts(&self, name: &'static str) -> Result<Vec<Part<'d>>> {
        let read = |value: &'d Value| {
            value
                .as_array()?
                .iter()
                .map(|one| {
                    Some(Part {
                        name,
                        fields: Some(one.as_object()?),
                    })
                })
                .collect()
        };
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    /// An empty text is none.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self
            .read(name, Value::as_str)?
            .filter(|text| !text.is_empty())
            .map(str::to_owned))
    }

    /// Zero is none: it is what the engine takes for not said.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.read(name, Value::as_i64)?.filter(|n| *n != 0))
    }

    pub(super) fn optional_flag(&self, name: &str) -> Result<Option<bool>> {
        self.read(name, Value::as_bool)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.optional_flag(name)?.unwrap_or_default())
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<String>> {
        let read = |value: &Value| {
            value
                .as_array()?
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect()
        };
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    /// A list, or a single text for a list of one.
    pub(super) fn words(&self, name: &str) -> Result<Vec<String>> {
        match self.get(name).and_then(Value::as_str) {
            Some(word) => Ok(vec![word.to_owned()]),
            None => self.list(name),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let read = |value: &Value| {
            value
                .as_object()?
                .iter()
                .map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                .collect()
        };
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    /// The keys of an object whose values say nothing.
    pub(super) fn keys(&self, name: &str) -> Result<BTreeSet<String>> {
        Ok(self
            .read(name, Value::as_object)?
            .map(|object| object.keys().cloned().collect())
            .unwrap_or_default())
    }

    /// `K=V` as a map; a name alone has the empty value.
    pub(super) fn environment(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let pair = |text: &String| {
            text.split_once('=')
                .map_or((text.clone(), String::new()), |(k, v)| (k.to_owned(), v.to_owned()))
        };
        Ok(self.list(name)?.iter().map(pair).collect())
    }
}
