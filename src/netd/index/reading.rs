//! Tables as text: read entry by entry, so that a large one is never there as a whole tree; and written in the same way.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Deserializer, Serialize, Serializer};

use crate::model::network_table::{Asked, Container, Delta, Service, Table};

use super::Index;
use super::changing::Lists;

/// A line of the feed, read.
#[derive(Debug)]
pub enum Line {
    /// A whole table.
    Snapshot(Box<Index>),
    /// What is different.
    Delta(Box<Delta>),
    /// A probe that is asked for: no table.
    Probe,
}

/// Reads a line of the feed.
pub fn read_line(line: &[u8]) -> serde_json::Result<Line> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let line = deserializer.deserialize_map(OfLine)?;
    deserializer.end()?;
    Ok(line)
}

/// Reads a table, and the changes that stand behind it. Also how many bytes of it could be read: what is behind them was
/// not written to its end.
pub fn read_table(from: impl io::Read) -> serde_json::Result<(Index, usize)> {
    let mut deserializer = serde_json::Deserializer::from_reader(from);
    let mut index = OfTable.deserialize(&mut deserializer)?;
    let mut changes = deserializer.into_iter::<Change>();
    let mut length = changes.byte_offset();
    while let Some(Ok(Change::Delta(delta))) = changes.next() {
        if !index.apply(*delta) {
            break;
        }
        length = changes.byte_offset();
    }
    Ok((index, length))
}

/// What stands behind a table in its file.
#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Delta(Box<Delta>),
}

struct OfLine;

impl<'de> Visitor<'de> for OfLine {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a snapshot, a delta or a probe")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
        let kind: Option<String> = map.next_key()?;
        let line = match kind.as_deref() {
            Some("snapshot") => Line::Snapshot(Box::new(map.next_value_seed(OfTable)?)),
            Some("delta") => Line::Delta(map.next_value()?),
            Some("probe") => {
                map.next_value::<Asked>()?;
                Line::Probe
            }
            Some(other) => return Err(A::Error::unknown_variant(other, &["snapshot", "delta", "probe"])),
            None => return Err(A::Error::custom("nothing is in it")),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(line),
            Some(_) => Err(A::Error::custom("more than one thing is in it")),
        }
    }
}

struct OfTable;

impl<'de> DeserializeSeed<'de> for OfTable {
    type Value = Index;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Index, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OfTable {
    type Value = Index;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Index, A::Error> {
        let (mut index, mut rest) = (Index::default(), Table::default());
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("{key} is there twice")));
            }
            match key.as_str() {
                "number" => rest.number = map.next_value()?,
                "environment" => rest.environment = map.next_value()?,
                "host_uuid" => rest.host_uuid = map.next_value()?,
                "subnet" => rest.subnet = map.next_value()?,
                "gateway" => rest.gateway = map.next_value()?,
                "containers" => map.next_value_seed(each(|uuid: String, container: Container| {
                    index.put_container(&uuid, container, Lists::Later);
                }))?,
                "services" => map.next_value_seed(each(|key: String, service: Service| {
                    index.put_service(&key, service, Lists::Later);
                }))?,
                "stacks" => rest.stacks = map.next_value()?,
                "hosts" => rest.hosts = map.next_value()?,
                "networks" => rest.networks = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        index.finish(rest);
        Ok(index)
    }
}

/// Does something with each entry of a map, and keeps none.
struct Each<T, F>(F, PhantomData<T>);

fn each<T: DeserializeOwned, F: FnMut(String, T)>(with: F) -> Each<T, F> {
    Each(with, PhantomData)
}

impl<'de, T: DeserializeOwned, F: FnMut(String, T)> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(String, T)> Visitor<'de> for Each<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries by key")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, entry)) = map.next_entry()? {
            (self.0)(key, entry);
        }
        Ok(())
    }
}

/// As the table that it was made of.
impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rest = self.rest();
        let mut table = serializer.serialize_struct("Table", 10)?;
        table.serialize_field("number", &rest.number)?;
        table.serialize_field("environment", &rest.environment)?;
        table.serialize_field("host_uuid", &rest.host_uuid)?;
        table.serialize_field("subnet", &rest.subnet)?;
        table.serialize_field("gateway", &rest.gateway)?;
        table.serialize_field("containers", &ContainersOf(self))?;
        table.serialize_field("services", &ServicesOf(self))?;
        table.serialize_field("stacks", &rest.stacks)?;
        table.serialize_field("hosts", &rest.hosts)?;
        table.serialize_field("networks", &rest.networks)?;
        table.end()
    }
}

struct ContainersOf<'i>(&'i Index);

impl Serialize for ContainersOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(index) = self;
        let mut map = serializer.serialize_map(None)?;
        for id in index.containers.ids() {
            if let Some(container) = index.container(id) {
                map.serialize_entry(&index.container_uuid(id), &container)?;
            }
        }
        map.end()
    }
}

struct ServicesOf<'i>(&'i Index);

impl Serialize for ServicesOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(index) = self;
        let mut map = serializer.serialize_map(None)?;
        for id in index.services.ids() {
            if let Some((key, service)) = index.whole_service(id) {
                map.serialize_entry(&key, &service)?;
            }
        }
        map.end()
    }
}
