//! What a path means: one pure function from the text of a path to a [`Route`].
//!
//! Knows no types and no rows: whether `services` exists and `1s5` is a row is for the handlers to find out.
//! cattle: `gdapi/request/parser/DefaultApiRequestParser`, `api/parser/ApiRequestParser`.

use std::borrow::Cow;

use crate::http::path;
use crate::model::WireId;
use crate::schema::Version;
use crate::tunnel;

/// A path of the API, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'p> {
    /// The version of the path; the latest one for `/v1foo`, the oldest for `/`.
    pub version: Version,
    /// The project of `/projects/<id>/…`, as written.
    pub project: Option<Cow<'p, str>>,
    /// What is asked for.
    pub target: Target<'p>,
}

/// What a path asks for. Names and ids are as written (percent-decoded).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'p> {
    /// `/`: the versions.
    Root,
    /// `/v2-beta`.
    VersionIndex,
    /// `/v2-beta/schemas`.
    Schemas,
    /// `/v2-beta/schemas/<id>`: a type's name or plural, any case.
    Schema(Cow<'p, str>),
    /// `/v2-beta/openapi.json`.
    OpenApi,
    /// `/v2-beta/<type>`.
    Collection(Cow<'p, str>),
    /// `/v2-beta/<type>/<id>`.
    Resource {
        /// Singular or plural, any case.
        ty: Cow<'p, str>,
        /// Unchecked.
        id: Cow<'p, str>,
    },
    /// `/v2-beta/<type>/<id>/<link>`, whatever follows.
    Link {
        /// Singular or plural, any case.
        ty: Cow<'p, str>,
        /// Unchecked.
        id: Cow<'p, str>,
        /// camelCase or lower case.
        link: Cow<'p, str>,
    },
    /// `/v2-beta/scripts/<name>`: no type, but things that are asked for beside them.
    Script(Cow<'p, str>),
    /// `/v2-beta/agenttunnel`: where agents dial in.
    Tunnel,
    /// `/v1-catalog/<type>/<id>`, and what else Rancher runs beside the API: none of it does anything here.
    Beside {
        /// What the path begins with.
        service: &'static str,
        /// Singular or plural, any case; none for the index.
        ty: Option<Cow<'p, str>>,
        /// Unchecked.
        id: Option<Cow<'p, str>>,
    },
    /// `/v1-webhooks/<type>/<id>`.
    Receivers {
        /// Singular or plural, any case; none for the index.
        ty: Option<Cow<'p, str>>,
        /// Unchecked.
        id: Option<Cow<'p, str>>,
    },
    /// A path below the API's prefixes that can mean nothing: an unknown version, bytes that are no text.
    Nothing,
}

/// What the catalog's paths begin with.
pub const CATALOG: &str = "v1-catalog";

/// What the paths of logins by other providers begin with.
pub const AUTH: &str = "v1-auth";

/// What the paths of the reports to Rancher's makers begin with.
pub const TELEMETRY: &str = "v1-telemetry";

/// The services that Rancher runs beside the API, and that are empty here.
const BESIDE: [&str; 3] = [CATALOG, AUTH, TELEMETRY];

/// What the paths of receivers begin with.
pub const RECEIVERS: &str = "v1-webhooks";

impl Route<'_> {
    /// What the links of the answer begin with: the segment of the version, or of the service.
    pub fn prefix(&self) -> &'static str {
        match self.target {
            Target::Beside { service, .. } => service,
            Target::Receivers { .. } => RECEIVERS,
            _ => self.version.as_str(),
        }
    }
}

/// Takes a path apart; `None` if it is not the API's (the user interface, probes …).
pub fn parse(path: &str) -> Option<Route<'_>> {
    let mut segments = path.split('/').filter(|s| !s.is_empty());
    let Some(first) = segments.next() else {
        return Some(Route {
            version: Version::V1,
            project: None,
            target: Target::Root,
        });
    };
    let version = Version::parse(first);
    let service = BESIDE.into_iter().find(|service| *service == first);
    if version.is_none() && service.is_none() && first != RECEIVERS {
        // Quirk: the prefix decides (`/v1foo`), and what has no version of ours is answered as the latest one.
        let is_ours = Version::ALL.iter().any(|v| first.starts_with(v.as_str()));
        return is_ours.then_some(Route {
            version: Version::V2Beta,
            project: None,
            target: Target::Nothing,
        });
    }
    let is_beside = version.is_none();
    let version = version.unwrap_or(Version::V2Beta);
    let target = |ty, id, link| match (service, first) {
        // What follows an id (`templates/a:b/icon`) is of a template, and there is none.
        (Some(service), _) => Target::Beside { service, ty, id },
        (None, RECEIVERS) => Target::Receivers { ty, id },
        _ => target(ty, id, link),
    };
    let mut decoded = segments.map(path::decode);
    // Five: /projects/<id>/<type>/<id>/<link>; what follows is ignored.
    let mut parts: [Option<Cow<'_, str>>; 5] = Default::default();
    for slot in &mut parts {
        match decoded.next() {
            None => break,
            Some(None) => {
                return Some(Route {
                    version,
                    project: None,
                    target: Target::Nothing,
                });
            }
            Some(text) => *slot = text,
        }
    }
    Some(match parts {
        [Some(projects), Some(project), None, ..] if is_beside && projects.eq_ignore_ascii_case("projects") => Route {
            version,
            project: Some(project),
            target: target(None, None, None),
        },
        [Some(projects), Some(project), Some(ty), id, link] if is_scope(&projects, &ty, id.is_some()) => Route {
            version,
            project: Some(project),
            target: target(Some(ty), id, link),
        },
        [ty, id, link, _, _] => Route {
            version,
            project: None,
            target: target(ty, id, link),
        },
    })
}

/// The id of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathId<'a> {
    /// `1s5`.
    Row(WireId<'a>),
    /// What begins with a letter is a name (`settings/api.host`).
    Name(&'a str),
}

impl<'a> PathId<'a> {
    /// Reads an id; `None` can be nobody's.
    pub fn parse(text: &'a str) -> Option<Self> {
        match text.bytes().next() {
            Some(b) if b.is_ascii_alphabetic() => Some(Self::Name(text)),
            _ => WireId::parse(text).map(Self::Row),
        }
    }
}

/// Whether an id of a path, with these letters, may name a row whose ids begin with `prefix`.
///
/// In references the letters are decoration; a path with the wrong ones is 404, for clients look names up by asking for
/// them as ids, type after type. A stack answers to both versions' prefixes.
pub fn letters_fit(letters: &str, prefix: &str) -> bool {
    let own = prefix.strip_prefix('1').unwrap_or(prefix);
    letters == own || (own == "st" && letters == "e")
}

/// Whether `/projects/<id>/<next>` is the thing `next` in a project, and not a link of the project.
fn is_scope(first: &str, next: &str, has_id: bool) -> bool {
    first.eq_ignore_ascii_case("projects") && (has_id || !next.eq_ignore_ascii_case("projectmembers"))
}

fn target<'p>(ty: Option<Cow<'p, str>>, id: Option<Cow<'p, str>>, link: Option<Cow<'p, str>>) -> Target<'p> {
    let Some(ty) = ty else { return Target::VersionIndex };
    let is_schema = ty.eq_ignore_ascii_case("schemas") || ty.eq_ignore_ascii_case("schema");
    if ty == "openapi.json" && id.is_none() {
        return Target::OpenApi;
    }
    if ty.eq_ignore_ascii_case("scripts")
        && let Some(name) = id
    {
        return Target::Script(name);
    }
    if ty == tunnel::PATH && id.is_none() {
        return Target::Tunnel;
    }
    match (id, link) {
        (None, _) if is_schema => Target::Schemas,
        (Some(id), None) if is_schema => Target::Schema(id),
        (Some(_), Some(_)) if is_schema => Target::Nothing,
        (None, _) => Target::Collection(ty),
        (Some(id), None) => Target::Resource { ty, id },
        (Some(id), Some(link)) => Target::Link { ty, id, link },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    /// `version project target`, as one line.
    fn line(path: &str) -> String {
        let Some(route) = parse(path) else {
            return "elsewhere".into();
        };
        let target = match route.target {
            Target::Root => "root".into(),
            Target::VersionIndex => "index".into(),
            Target::Schemas => "schemas".into(),
            Target::Schema(id) => format!("schema {id}"),
            Target::Collection(ty) => format!("list {ty}"),
            Target::Resource { ty, id } => format!("row {ty} {id}"),
            Target::Link { ty, id, link } => format!("link {ty} {id} {link}"),
            Target::OpenApi => "openapi".into(),
            Target::Tunnel => "tunnel".into(),
            Target::Script(name) => format!("script {name}"),
            Target::Beside { service, ty, id } => format!(
                "{} {} {}",
                service.trim_start_matches("v1-"),
                ty.as_deref().unwrap_or("-"),
                id.as_deref().unwrap_or("-")
            ),
            Target::Receivers { ty, id } => format!(
                "receivers {} {}",
                ty.as_deref().unwrap_or("-"),
                id.as_deref().unwrap_or("-")
            ),
            Target::Nothing => "nothing".into(),
        };
        format!(
            "{} {} {target}",
            route.version.as_str(),
            route.project.as_deref().unwrap_or("-")
        )
    }

    #[test]
    fn paths_mean_what_cattle_takes_them_for() {
        let cases = [
            ("/", "v1 - root"),
            ("", "v1 - root"),
            ("//", "v1 - root"),
            ("/v1", "v1 - index"),
            ("/v2-beta/", "v2-beta - index"),
            ("//v2-beta//services//", "v2-beta - list services"),
            ("/v2-beta/schemas", "v2-beta - schemas"),
            ("/v2-beta/schema/", "v2-beta - schemas"),
            ("/v2-beta/SCHEMAS/Service", "v2-beta - schema Service"),
            ("/v2-beta/schemas/service/x", "v2-beta - nothing"),
            ("/v2-beta/projects/1a5/schemas/schemas", "v2-beta 1a5 schema schemas"),
            ("/v2-beta/projects/1a5/schemas", "v2-beta 1a5 schemas"),
            ("/v1/Containers", "v1 - list Containers"),
            ("/v1/container/1i7", "v1 - row container 1i7"),
            (
                "/v1/container/1i7/instanceLinks",
                "v1 - link container 1i7 instanceLinks",
            ),
            ("/v1/container/1i7/stats/a/b/c", "v1 - link container 1i7 stats"),
            ("/v2-beta/projects", "v2-beta - list projects"),
            ("/v2-beta/projects/1a5", "v2-beta - row projects 1a5"),
            ("/v2-beta/projects/1a5/", "v2-beta - row projects 1a5"),
            (
                "/v2-beta/projects/1a5/projectMembers",
                "v2-beta - link projects 1a5 projectMembers",
            ),
            (
                "/v2-beta/projects/1a5/projectmembers/1pm1",
                "v2-beta 1a5 row projectmembers 1pm1",
            ),
            ("/v2-beta/Projects/1a5/services", "v2-beta 1a5 list services"),
            ("/v2-beta/projects/1a5/services/1s5", "v2-beta 1a5 row services 1s5"),
            (
                "/v2-beta/projects/1a5/services/1s5/instances",
                "v2-beta 1a5 link services 1s5 instances",
            ),
            (
                "/v2-beta/projects/1a5/services/1s5/instances/1i1/x",
                "v2-beta 1a5 link services 1s5 instances",
            ),
            (
                "/v2-beta/projects/1a5/services/stack/web",
                "v2-beta 1a5 link services stack web",
            ),
            ("/v2-beta/projects/1a5/projects", "v2-beta 1a5 list projects"),
            ("/v2-beta/projects/1a5/projects/1a7", "v2-beta 1a5 row projects 1a7"),
            (
                "/v2-beta/projects/1a5/projects/1a5/hoststats",
                "v2-beta 1a5 link projects 1a5 hoststats",
            ),
            ("/v2-beta/project/1a5/services", "v2-beta - link project 1a5 services"),
            ("/v2-beta/services/a%2Fb", "v2-beta - row services a/b"),
            ("/v2-beta/services/%", "v2-beta - row services %"),
            ("/v2-beta/services/%zz%4", "v2-beta - row services %zz%4"),
            ("/v2-beta/services/%ff", "v2-beta - nothing"),
            ("/v2-beta/services/%C3%A9", "v2-beta - row services é"),
            ("/v1foo", "v2-beta - nothing"),
            ("/v2-beta/scripts/transform", "v2-beta - script transform"),
            ("/v1/projects/1a5/scripts/transform", "v1 1a5 script transform"),
            ("/v2-beta/scripts", "v2-beta - list scripts"),
            ("/v2-beta/projects/1a5/openapi.json", "v2-beta 1a5 openapi"),
            ("/v1/openapi.json/x", "v1 - row openapi.json x"),
            ("/v2-beta/agenttunnel", "v2-beta - tunnel"),
            ("/v2-beta/agenttunnel/x", "v2-beta - row agenttunnel x"),
            ("/v1-catalog", "v2-beta - catalog - -"),
            ("/v1-catalog/templates/x:y/icon", "v2-beta - catalog templates x:y"),
            ("/v1-catalog/projects/1a5/schemas", "v2-beta 1a5 catalog schemas -"),
            ("/v1-catalog/projects/1a5", "v2-beta 1a5 catalog - -"),
            ("/v1-catalogue", "v2-beta - nothing"),
            ("/v1-webhooks", "v2-beta - receivers - -"),
            ("/v1-webhooks/receivers", "v2-beta - receivers receivers -"),
            ("/v1-webhooks/receivers/1go5", "v2-beta - receivers receivers 1go5"),
            ("/v1-auth/token", "v2-beta - auth token -"),
            ("/v1-auth/projects/1a5/schemas", "v2-beta 1a5 auth schemas -"),
            ("/v1-telemetry", "v2-beta - telemetry - -"),
            ("/v2-betamax/services", "v2-beta - nothing"),
            ("/v2", "elsewhere"),
            ("/v3/services", "elsewhere"),
            ("/V1", "elsewhere"),
            ("/assets/app.js", "elsewhere"),
        ];
        for (path, expected) in cases {
            assert_eq!(line(path), expected, "{path}");
        }
    }

    #[test]
    fn ids_on_paths_are_wire_ids_or_names() {
        assert!(matches!(PathId::parse("api.host"), Some(PathId::Name("api.host"))));
        assert!(matches!(PathId::parse("1s5"), Some(PathId::Row(w)) if w.letters == "s" && w.id.0 == 5));
        for bad in ["", "5", "15", "-1s5", "é", "1s", "1s5/x", "%", "1s99999999999999999999"] {
            assert_eq!(PathId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn letters_must_be_the_rows_own_but_a_stack_has_two() {
        assert!(letters_fit("s", "1s"));
        assert!(letters_fit("st", "1st"));
        assert!(letters_fit("e", "1st"));
        assert!(!letters_fit("s", "1st"));
        assert!(!letters_fit("e", "1s"));
        assert!(!letters_fit("i", "1s"));
    }
}
