//! How a rollback proceeds: as the upgrade did, but for what the labels of the version that is left say of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::own_labels::{RollbackPace, Watch};
use crate::model::{Fields, Result, Timestamp};
use crate::plan::Batches;

use super::snapshot::{GivenUp, UpgradeFields, UpgradeNotes, guard_of};

/// What is read of the launch configuration that is left.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Left {
    labels: Option<BTreeMap<String, String>>,
}

/// What the version that is left says of going back. Labels were checked before they were stored.
pub(super) fn pace_back(upgrade: Option<&UpgradeFields>) -> RollbackPace {
    let strategy = upgrade.and_then(|upgrade| upgrade.in_service_strategy.as_ref());
    let left = strategy.and_then(|strategy| strategy.launch_config.as_ref());
    let left: Left = left
        .and_then(|text| serde_json::from_str(text.get()).ok())
        .unwrap_or_default();
    let pace = left.labels.and_then(|labels| RollbackPace::of(&labels).ok());
    pace.unwrap_or_default()
}

/// The batches of a rollback, made of those of its upgrade.
pub(super) fn going_back(forth: Batches, upgrade: Option<&UpgradeFields>) -> Batches {
    let pace = pace_back(upgrade);
    Batches {
        size: pace.size.unwrap_or(forth.size),
        interval: pace.interval.unwrap_or(forth.interval),
        start_first: pace.start_first.unwrap_or(forth.start_first),
        guard: guard_of(pace.watch),
    }
}

/// What is noted of a rollback as it begins, because of a failure or not; `fields` are those of its service.
pub(super) fn first_notes(fields: &Fields, now: Timestamp, because: Option<&str>) -> Result<UpgradeNotes> {
    let upgrade: Option<UpgradeFields> = fields.read("upgrade")?;
    let is_watched = pace_back(upgrade.as_ref()).watch != Watch::default();
    let given_up = because.map(|why| GivenUp {
        at: now,
        why: why.to_owned(),
    });
    let notes = UpgradeNotes {
        given_up,
        ..UpgradeNotes::default()
    };
    Ok(match is_watched {
        true => UpgradeNotes {
            from: fields.read("createIndex")?.unwrap_or(0),
            since: Some(now),
            ..notes
        },
        false => notes,
    })
}
