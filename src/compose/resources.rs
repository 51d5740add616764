//! What a container may use of its host, where a file says it in maps: `deploy`, `cpus`, and the speed of devices.

use serde_json::json;

use super::forms::bytes;
use super::keys::{DEPLOY_IGNORED, DEPLOY_REASON};
use super::parts::{Parts, Reader};
use super::problem::{Problem, Read};
use super::special::GLOBAL;
use super::yaml::{Kind, Node};

/// Microseconds that shares of a processor are counted in.
const CPU_PERIOD: i64 = 100_000;

/// Where a device is kept short: the key, and the field.
pub(super) const BLKIO: &[(&str, &str)] = &[
    ("blkio_weight_device", "weight"),
    ("device_read_bps", "readBps"),
    ("device_read_iops", "readIops"),
    ("device_write_bps", "writeBps"),
    ("device_write_iops", "writeIops"),
];

/// Thousandths of a processor: `0.5` is 500.
fn milli_cpus(node: &Node) -> Read<i64> {
    let text = node.as_text()?;
    let refuse = || node.wrong(format!("{text:?} is no share of processors"));
    let number: f64 = text.parse().map_err(|_| refuse())?;
    let is_sensible = number > 0.0 && number <= 10_000.0;
    match is_sensible {
        // In range, and whole: the conversion loses nothing.
        true => (number * 1_000.0).round().to_string().parse().map_err(|_| refuse()),
        false => Err(refuse()),
    }
}

pub(super) fn cpus(parts: &mut Parts, node: &Node) -> Read<()> {
    let milli = milli_cpus(node)?;
    parts.config.insert("cpuPeriod".into(), json!(CPU_PERIOD));
    parts
        .config
        .insert("cpuQuota".into(), json!(milli * (CPU_PERIOD / 1_000)));
    Ok(())
}

/// What a swarm would do, as far as it means something here.
pub(super) fn deploy(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    for (key, value) in node.as_map()? {
        let within = |problem: Problem| problem.within(key.as_str());
        match key.as_str() {
            _ if value.is_null() => {}
            "replicas" => {
                let scale = value.as_int().map_err(within)?;
                parts.fields.insert("scale".into(), json!(scale));
            }
            "mode" => match value.as_text().map_err(within)? {
                "global" => parts.put("labels", GLOBAL, json!("true")),
                "replicated" => {}
                other => return Err(within(value.wrong(format!("{other} is not known")))),
            },
            "resources" => resources(reader, parts, value).map_err(within)?,
            "labels" => reader.warn(Some(&parts.name), "deploy.labels", "only containers have labels here"),
            key if DEPLOY_IGNORED.contains(&key) => {
                reader.warn(Some(&parts.name), &format!("deploy.{key}"), DEPLOY_REASON);
            }
            key => reader.warn(Some(&parts.name), &format!("deploy.{key}"), "is not known"),
        }
    }
    Ok(())
}

fn resources(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    for (group, values) in node.as_map()? {
        for (key, value) in values.as_map()? {
            match (group.as_str(), key.as_str()) {
                _ if value.is_null() => {}
                ("limits", "cpus") => cpus(parts, value)?,
                ("limits", "memory") => {
                    parts.config.insert("memory".into(), json!(bytes(value)?));
                }
                ("limits", "pids") => {
                    parts.config.insert("pidsLimit".into(), json!(value.as_int()?));
                }
                ("reservations", "memory") => {
                    parts.config.insert("memoryReservation".into(), json!(bytes(value)?));
                }
                ("reservations", "cpus") => {
                    parts
                        .config
                        .insert("milliCpuReservation".into(), json!(milli_cpus(value)?));
                }
                ("reservations", "devices" | "generic_resources") => {
                    return Err(value.wrong(format!("{key} cannot be had here")));
                }
                (group, key) => {
                    reader.warn(
                        Some(&parts.name),
                        &format!("deploy.resources.{group}.{key}"),
                        "is not known",
                    );
                }
            }
        }
    }
    Ok(())
}

/// `weight`, and what else v2 writes in one map.
pub(super) fn blkio_config(reader: &mut Reader<'_>, parts: &mut Parts, node: &Node) -> Read<()> {
    for (key, value) in node.as_map()? {
        let key = if key == "weight_device" {
            "blkio_weight_device"
        } else {
            key
        };
        match BLKIO.iter().find(|(name, _)| *name == key) {
            Some((_, field)) => {
                for limit in value.as_list()? {
                    limit_device(parts, field, limit)?;
                }
            }
            None if key == "weight" => {
                parts.config.insert("blkioWeight".into(), json!(value.as_int()?));
            }
            None => reader.warn(Some(&parts.name), &format!("blkio_config.{key}"), "is not known"),
        }
    }
    Ok(())
}

/// `/dev/sda:10mb`, or `path` and `rate`.
pub(super) fn limit_device(parts: &mut Parts, field: &str, limit: &Node) -> Read<()> {
    let (path, rate) = match &limit.kind {
        Kind::Map(_) => {
            let rate = limit.get("rate").or_else(|| limit.get("weight"));
            let path = limit.get("path").map(Node::as_text).transpose()?.map(str::to_owned);
            (path, rate.cloned())
        }
        _ => match limit.as_text()?.rsplit_once(':') {
            Some((path, rate)) => {
                let rate = Node {
                    line: limit.line,
                    ..Node::plain(rate)
                };
                (Some(path.to_owned()), Some(rate))
            }
            None => (None, None),
        },
    };
    let (Some(path), Some(rate)) = (path, rate) else {
        return Err(limit.wrong("a path and a rate are needed"));
    };
    let rate = bytes(&rate)?;
    let options = parts.config.entry("blkioDeviceOptions").or_insert_with(|| json!({}));
    if let Some(device) = options
        .as_object_mut()
        .map(|map| map.entry(path).or_insert_with(|| json!({})))
        && let Some(device) = device.as_object_mut()
    {
        device.insert(field.to_owned(), json!(rate));
    }
    Ok(())
}
