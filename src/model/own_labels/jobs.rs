//! Labels of services that are jobs: their containers run until they have succeeded, and that is all: `io.drover.job`.

use std::collections::BTreeMap;

use super::{bad, only_known};
use crate::model::Result;

/// `true`: each unit runs until it has succeeded.
pub const JOB: &str = "io.drover.job";
/// So many units at once.
pub const MAX_CONCURRENT: &str = "io.drover.job.max_concurrent";

/// What the labels of a primary say of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobRule {
    /// Whether the service is one.
    pub is_job: bool,
    /// So many units at once; none is all of them.
    pub max_concurrent: Option<u32>,
}

impl JobRule {
    /// Reads the labels.
    ///
    /// # Errors
    /// 422 that names the label if one says nothing that can be done.
    pub fn of(labels: &BTreeMap<String, String>) -> Result<Self> {
        only_known(labels, JOB, &[JOB, MAX_CONCURRENT])?;
        let is_job = match labels.get(JOB).map(|value| value.trim()) {
            None => false,
            Some("true") => true,
            Some(_) => return Err(bad(JOB, "is true, or left out")),
        };
        let most = labels.get(MAX_CONCURRENT).map(|text| {
            let most = text.trim().parse().ok().filter(|most: &u32| is_job && *most > 0);
            most.ok_or_else(|| bad(MAX_CONCURRENT, "is a number of containers of a job, at least 1"))
        });
        Ok(Self {
            is_job,
            max_concurrent: most.transpose()?,
        })
    }

    /// What labels say that were checked before.
    pub fn checked(labels: &BTreeMap<String, String>) -> Self {
        Self::of(labels).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn labels_say_what_a_job_is() {
        let rule = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            JobRule::of(&pairs.collect())
        };
        assert_eq!(rule(&[]).unwrap(), JobRule::default());
        let two = rule(&[(JOB, "true"), (MAX_CONCURRENT, "2")]).unwrap();
        assert_eq!((two.is_job, two.max_concurrent), (true, Some(2)));
        for pairs in [
            &[(JOB, "yes")][..],
            &[(MAX_CONCURRENT, "2")],
            &[(MAX_CONCURRENT, "0"), (JOB, "true")],
            &[("io.drover.job.most", "2")],
        ] {
            let said = rule(pairs).unwrap_err().external.unwrap_or_default();
            assert!(said.contains(&format!("{}:", pairs[0].0)), "{said}");
        }
    }
}
