//! Paths: a project may stand first, then a version, then what is asked for.

use super::API_VERSION;
use super::refusal::{Outcome, Refusal};
use super::system::LEAST;

/// A path taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Route<'p> {
    /// The project it names.
    pub project: Option<&'p str>,
    /// The version it names.
    pub version: Option<(u32, u32)>,
    /// The rest, by segments.
    pub rest: Vec<&'p str>,
}

/// Reads a path behind the place where the interface is mounted.
///
/// # Errors
/// 400 for a version that is too new or too old.
pub fn parse(path: &str) -> Outcome<Route<'_>> {
    let mut rest: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut project = None;
    if let [first, id, ..] = rest.as_slice()
        && *first == "projects"
    {
        project = Some(*id);
        rest.drain(..2);
    }
    let version = rest.first().and_then(|first| version(first));
    if let Some((major, minor)) = version {
        check(major, minor)?;
        rest.remove(0);
    }
    // Docker takes `/services/` for another path than `/services`.
    match path.ends_with('/') && !rest.is_empty() {
        true => Err(Refusal::nowhere()),
        false => Ok(Route { project, version, rest }),
    }
}

/// `v1.41`: never `v1`, which is Rancher's.
fn version(segment: &str) -> Option<(u32, u32)> {
    let (major, minor) = segment.strip_prefix('v')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn check(major: u32, minor: u32) -> Outcome<()> {
    let number = |text: &str| {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
    };
    let asked = (major, minor);
    if asked > number(API_VERSION) {
        return Err(Refusal::bad(format!(
            "client version {major}.{minor} is too new. Maximum supported API version is {API_VERSION}"
        )));
    }
    if asked < number(LEAST) {
        let words = format!(
            "client version {major}.{minor} is too old. Minimum supported API version is {LEAST}, please upgrade your client to a newer version"
        );
        return Err(Refusal::bad(words).plain());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn project_and_version_stand_before_what_is_asked_for() {
        for (path, project, version, rest) in [
            ("/_ping", None, None, vec!["_ping"]),
            (
                "/v1.41/services/create",
                None,
                Some((1, 41)),
                vec!["services", "create"],
            ),
            ("/projects/1a7/v1.24/nodes", Some("1a7"), Some((1, 24)), vec!["nodes"]),
            ("/v1/services", None, None, vec!["v1", "services"]),
        ] {
            assert_eq!(parse(path).unwrap(), Route { project, version, rest }, "{path}");
        }
        assert_eq!(parse("/v1.41/services/").unwrap_err().status, 404);
        let new = parse("/v1.99/x").unwrap_err();
        assert_eq!(
            new.message,
            "client version 1.99 is too new. Maximum supported API version is 1.41"
        );
        assert!(!new.is_plain && parse("/v1.10/x").unwrap_err().is_plain);
    }
}
