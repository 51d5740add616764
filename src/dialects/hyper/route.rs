//! Paths: a project may stand first, then a version, then what is asked for.

use actix_web::http::StatusCode;

use super::API_VERSION;
use super::refusal::{Outcome, Refusal};
use crate::dialects::paths::{Path, number};

/// Reads a path behind the place where the interface is mounted.
///
/// # Errors
/// 400 for a version that is newer than the one that is spoken.
pub fn parse(path: &str) -> Outcome<Path<'_>> {
    let read = Path::read(path);
    let own = number(API_VERSION).unwrap_or_default();
    match read.version.filter(|asked| *asked > own) {
        None => Ok(read),
        Some((major, minor)) => {
            let why = format!(
                "client is newer than server (client API version: {major}.{minor}, server API version: {API_VERSION})"
            );
            Err(Refusal::new(StatusCode::BAD_REQUEST, why))
        }
    }
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
            let read = parse(path).unwrap();
            assert_eq!((read.project, read.rest), (project, rest), "{path}");
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
