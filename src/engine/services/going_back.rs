//! How a rollback proceeds: as the upgrade did, but for what the labels of the version that is left say of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::own_labels::RollbackPace;
use crate::plan::Batches;

use super::snapshot::UpgradeFields;

/// What is read of the launch configuration that is left.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Left {
    labels: Option<BTreeMap<String, String>>,
}

/// The batches of a rollback, made of those of its upgrade. Labels were checked before they were stored.
pub(super) fn going_back(forth: Batches, upgrade: Option<&UpgradeFields>) -> Batches {
    let strategy = upgrade.and_then(|upgrade| upgrade.in_service_strategy.as_ref());
    let left = strategy.and_then(|strategy| strategy.launch_config.as_ref());
    let left: Left = left
        .and_then(|text| serde_json::from_str(text.get()).ok())
        .unwrap_or_default();
    let pace = left.labels.and_then(|labels| RollbackPace::of(&labels).ok());
    let pace = pace.unwrap_or_default();
    Batches {
        size: pace.size.unwrap_or(forth.size),
        interval: pace.interval.unwrap_or(forth.interval),
        start_first: pace.start_first.unwrap_or(forth.start_first),
        ..forth
    }
}
