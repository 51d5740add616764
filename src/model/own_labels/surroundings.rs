//! Labels about what is around a container's program: variables that its image sets and it is not to have, and volumes that a driver
//! makes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bad;
use crate::model::Result;

/// Names of variables, with commas between them, that an image sets and the container is not to have.
pub const UNSET: &str = "io.drover.environment.unset";
/// What the labels of volumes begin with; the name of one of `dataVolumes` follows.
pub const VOLUME: &str = "io.drover.volume.";

/// How a volume is made, if it is not there yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeMaker {
    /// The driver; empty is the engine's own.
    pub driver: String,
    /// What it is told.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// The variables that a container is not to have. Labels were checked before.
pub fn unset(labels: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let names = labels.get(UNSET).into_iter().flat_map(|text| text.split(','));
    names.map(str::trim).filter(|name| is_variable(name))
}

/// How the volume of this name is made, if labels say so. They were checked before.
pub fn volume_maker(labels: &BTreeMap<String, String>, name: &str) -> Option<VolumeMaker> {
    serde_json::from_str(labels.get(&format!("{VOLUME}{name}"))?).ok()
}

/// How volumes are made that labels speak of. They were checked before.
pub fn volume_makers(labels: &BTreeMap<String, String>) -> impl Iterator<Item = VolumeMaker> {
    let makers = labels.iter().filter(|(key, _)| key.starts_with(VOLUME));
    makers.filter_map(|(_, value)| serde_json::from_str(value).ok())
}

/// Checks these labels of whatever launch configuration. 422 that names the label.
pub fn check_surroundings(labels: &BTreeMap<String, String>) -> Result<()> {
    if let Some(text) = labels.get(UNSET)
        && !text.split(',').all(|name| is_variable(name.trim()))
    {
        return Err(bad(
            UNSET,
            "is the name of a variable, or some, with commas between them",
        ));
    }
    for (key, value) in labels.iter().filter(|(key, _)| key.starts_with(VOLUME)) {
        if key.len() == VOLUME.len() || serde_json::from_str::<VolumeMaker>(value).is_err() {
            let why =
                "is for the name of a volume, and JSON as {\"driver\": \"local\", \"options\": {\"type\": \"nfs\"}}";
            return Err(bad(key, why));
        }
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn labels_say_what_is_left_out_and_how_volumes_are_made() {
        let labels = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let both = labels(UNSET, "PATH, HOME");
        assert!(check_surroundings(&both).is_ok());
        assert_eq!(unset(&both).collect::<Vec<_>>(), ["PATH", "HOME"]);
        let key = "io.drover.volume.data";
        let made = labels(key, r#"{"driver": "nfs", "options": {"o": "a b,c"}}"#);
        assert!(check_surroundings(&made).is_ok());
        let maker = volume_maker(&made, "data").unwrap();
        assert_eq!((maker.driver.as_str(), maker.options["o"].as_str()), ("nfs", "a b,c"));
        assert_eq!(volume_maker(&made, "other"), None);
        assert_eq!(volume_makers(&made).count(), 1);
        for (key, value) in [
            (UNSET, ""),
            (UNSET, "A=1"),
            (key, "nfs"),
            (key, r#"{"size": "1"}"#),
            (VOLUME, "{}"),
        ] {
            let said = check_surroundings(&labels(key, value))
                .unwrap_err()
                .external
                .unwrap_or_default();
            assert!(said.contains(&format!("{key}:")), "{said}");
        }
    }
}
