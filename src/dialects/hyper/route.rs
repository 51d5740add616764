//! Paths: a project may stand first, then a version, then what is asked for.

use actix_web::http::StatusCode;

use super::API_VERSION;
use super::refusal::{Outcome, Refusal};

/// A path taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Route<'p> {
    /// The project it names.
    pub project: Option<&'p str>,
    /// The rest, by segments.
    pub rest: Vec<&'p str>,
}

/// Reads a path behind the place where the interface is mounted.
///
/// # Errors
/// 400 for a version that is newer than the one that is spoken.
pub fn parse(path: &str) -> Outcome<Route<'_>> {
    let mut rest: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut project = None;
    if let [first, id, ..] = rest.as_slice()
        && *first == "projects"
    {
        project = Some(*id);
        rest.drain(..2);
    }
    if let Some(asked) = rest.first().and_then(|first| version(first)) {
        let own = version(&format!("v{API_VERSION}")).unwrap_or_default();
        if asked > own {
            let (major, minor) = asked;
            let why = format!(
                "client is newer than server (client API version: {major}.{minor}, server API version: {API_VERSION})"
            );
            return Err(Refusal::new(StatusCode::BAD_REQUEST, why));
        }
        rest.remove(0);
    }
    Ok(Route { project, rest })
}

/// `v1.23`: never `v1`, which is Rancher's.
fn version(segment: &str) -> Option<(u32, u32)> {
    let (major, minor) = segment.strip_prefix('v')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn project_and_version_stand_before_what_is_asked_for() {
        for (path, project, rest) in [
            ("/services", None, vec!["services"]),
            ("/v1.23/services/create", None, vec!["services", "create"]),
            ("/v1.10//services/", None, vec!["services"]),
            ("/projects/1a7/v1.23/fips", Some("1a7"), vec!["fips"]),
            ("/v1/services", None, vec!["v1", "services"]),
        ] {
            assert_eq!(parse(path).unwrap(), Route { project, rest }, "{path}");
        }
        let new = parse("/v1.24/services").unwrap_err();
        assert_eq!(
            (new.status.as_u16(), new.message.as_str()),
            (
                400,
                "client is newer than server (client API version: 1.24, server API version: 1.23)"
            )
        );
    }
}
