//! Services that are jobs: their units run until they have succeeded, so many at once.

use super::draft::Draft;
use super::roster::Roster;
use super::unit::{Unit, is_over};
use super::*;

/// How many more units of a job may begin.
pub(super) fn room_of_job(draft: &Draft<'_>, roster: &Roster<'_>) -> usize {
    let Some(most) = draft.shape.job.max_concurrent else {
        return usize::MAX;
    };
    let goes_on = |unit: &&Unit<'_>| {
        let primary = unit.live.iter().find(|i| i.config.is_none());
        let is_over = |i: &&Instance| draft.shape.config_of(i).is_some_and(|config| is_over(i, config));
        !primary.copied().is_some_and(|i| is_over(&i))
    };
    let going = roster.kept.iter().filter(goes_on).count();
    usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(going)
}

/// Whether it has to end: the primary of a job.
pub(super) fn is_of_job(draft: &Draft<'_>, config: &UnitConfig) -> bool {
    draft.shape.job.is_job && config.name.is_none()
}
