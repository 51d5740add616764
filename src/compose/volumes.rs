//! Volumes that a file declares at its top.

use std::collections::BTreeMap;

use super::limits::MAX_VOLUMES;
use super::parts::Reader;
use super::problem::{Problem, Read};
use super::yaml::{Kind, Node};

/// A volume that the services of a stack share, or of which each of their containers has its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// As services name it.
    pub name: String,
    /// None is the host's own.
    pub driver: Option<String>,
    /// Options for the driver.
    pub options: BTreeMap<String, String>,
    /// Whether it is there already, under this very name.
    pub external: bool,
    /// Whether each container has its own.
    pub per_container: bool,
}

/// Reads `volumes`. What is there already may be called otherwise: services then name it as it is.
pub(super) fn declared(reader: &mut Reader<'_>, node: &Node) -> Read<Vec<Volume>> {
    let mut volumes = Vec::new();
    if node.as_map()?.len() > MAX_VOLUMES {
        return Err(node
            .wrong(format!("there are more than {MAX_VOLUMES}"))
            .within("volumes"));
    }
    for (alias, node) in node.as_map()? {
        let within = |problem: Problem| problem.within(format!("volume {alias}"));
        let volume = volume(reader, alias, node).map_err(within)?;
        if volume.name != *alias {
            reader.volumes.insert(alias.clone(), volume.name.clone());
        }
        volumes.push(volume);
    }
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes.dedup_by(|a, b| a == b);
    Ok(volumes)
}

fn volume(reader: &mut Reader<'_>, alias: &str, node: &Node) -> Read<Volume> {
    let mut volume = Volume {
        name: alias.to_owned(),
        ..Volume::default()
    };
    let mut other_name = None;
    for (key, value) in node.as_map()? {
        let within = |problem: Problem| problem.within(key.as_str());
        match key.as_str() {
            _ if value.is_null() => {}
            "driver" => volume.driver = Some(value.as_text().map_err(within)?.to_owned()),
            "driver_opts" => {
                for (option, text) in value.as_map().map_err(within)? {
                    volume
                        .options
                        .insert(option.clone(), text.as_text().map_err(within)?.to_owned());
                }
            }
            "external" => match value.get("name") {
                Some(inner) => {
                    volume.external = true;
                    other_name = Some((inner.as_text().map_err(within)?.to_owned(), value));
                }
                None if matches!(value.kind, Kind::Map(_)) => return Err(within(value.wrong("a name is missing"))),
                None => volume.external = value.as_bool().map_err(within)?,
            },
            "name" => other_name = Some((value.as_text().map_err(within)?.to_owned(), value)),
            "per_container" => volume.per_container = value.as_bool().map_err(within)?,
            "labels" => reader.warn(
                None,
                &format!("volumes.{alias}.labels"),
                "only containers have labels here",
            ),
            other => reader.warn(None, &format!("volumes.{alias}.{other}"), "is not known"),
        }
    }
    if volume.external && volume.per_container {
        return Err(node
            .wrong("one that is external belongs to no container")
            .within("per_container"));
    }
    match other_name {
        Some((_, place)) if !volume.external => Err(place
            .wrong("only one that is external has a name of its own")
            .within("name")),
        Some((name, _)) => Ok(Volume { name, ..volume }),
        None => Ok(volume),
    }
}
