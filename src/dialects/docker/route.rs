//! Paths: a project may stand first, then a version, then what is asked for.

use super::API_VERSION;
use super::refusal::{Outcome, Refusal};
use super::system::LEAST;
use crate::dialects::paths::{self, Path};

/// Reads a path behind the place where the interface is mounted.
///
/// # Errors
/// 400 for a version that is too new or too old.
pub fn parse(path: &str) -> Outcome<Path<'_>> {
    let read = Path::read(path);
    if let Some((major, minor)) = read.version {
        check(major, minor)?;
    }
    // Docker takes `/services/` for another path than `/services`.
    match path.ends_with('/') && !read.rest.is_empty() {
        true => Err(Refusal::nowhere()),
        false => Ok(read),
    }
}

fn check(major: u32, minor: u32) -> Outcome<()> {
    let number = |text: &str| paths::number(text).unwrap_or_default();
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
            assert_eq!(parse(path).unwrap(), Path { project, version, rest }, "{path}");
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
