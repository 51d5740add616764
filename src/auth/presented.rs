//! What a request shows of its sender, taken apart. Whatever cannot be read proves nothing.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// The longest header that may hold credentials.
const LONGEST: usize = 8 * 1024;
/// The user name of a login's token in the place of a key.
const BEARER: &str = "x-api-bearer";
/// The user name of a registration token in the place of a key.
const REGISTRATION: &str = "registrationtoken";

/// The parts of a request that say who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'r> {
    /// The header `Authorization`, if there is exactly one.
    pub authorization: Option<&'r str>,
    /// The cookie `token`.
    pub cookie: Option<&'r str>,
    /// The parameter `token`.
    pub parameter: Option<&'r str>,
    /// The project that the path, a header or a parameter names.
    pub project: Option<&'r str>,
    /// The header `X-API-Client-Access-Key`.
    pub client_key: Option<&'r str>,
    /// Whether the sender asks to be refused if it proves nothing (`X-ENFORCE-AUTHENTICATION`).
    pub enforce: bool,
    /// Where the request comes from.
    pub client: IpAddr,
}

/// A name and a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// The name.
    pub name: String,
    /// The secret.
    pub secret: String,
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Basic({})", self.name)
    }
}

impl<'r> Presented<'r> {
    /// The token of a login, and whether a cookie brought it: the first of cookie, header and parameter that is there.
    pub fn token(&self) -> Option<(&'r str, bool)> {
        let header = || self.authorization.filter(|text| scheme(text, "basic").is_none());
        let token = |text: &'r str| {
            Some(scheme(text, "bearer").unwrap_or(text)).filter(|t| !t.is_empty() && t.len() <= LONGEST)
        };
        self.cookie
            .and_then(token)
            .map(|t| (t, true))
            .or_else(|| header().and_then(token).map(|t| (t, false)))
            .or_else(|| self.parameter.and_then(token).map(|t| (t, false)))
    }

    /// The name and the secret of HTTP Basic.
    pub fn basic(&self) -> Option<Basic> {
        let text = self
            .authorization
            .filter(|t| t.len() <= LONGEST)
            .and_then(|t| scheme(t, "basic"))?;
        // Some leave the padding out.
        let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
        Basic::parse(&String::from_utf8(bytes).ok()?)
    }
}

impl Basic {
    /// Splits `name:secret` at the first colon; a name is not empty.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, secret) = text.split_once(':').filter(|(name, _)| !name.is_empty())?;
        Some(Self {
            name: name.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// For a token in the place of a key: the project that the name says, if it says one.
    pub fn bearer(&self) -> Option<Option<&str>> {
        let (name, project) = match self.name.split_once('=') {
            Some((name, project)) => (name, Some(project).filter(|p| !p.is_empty())),
            None => (self.name.as_str(), None),
        };
        name.eq_ignore_ascii_case(BEARER).then_some(project)
    }

    /// Whether the secret is a registration token.
    pub fn is_registration(&self) -> bool {
        self.name.eq_ignore_ascii_case(REGISTRATION)
    }

    /// Whether the name could be the access key that this server made for somebody.
    pub fn looks_like_key(&self) -> bool {
        self.name.len() == 20 && self.name.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

/// What follows the name of an authentication scheme.
fn scheme<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (first, rest) = text.trim().split_once(' ')?;
    first.eq_ignore_ascii_case(name).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::net::Ipv4Addr;

    use super::*;

    fn presented(authorization: Option<&str>) -> Presented<'_> {
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Presented {
            authorization,
            cookie: None,
            parameter: None,
            project: None,
            client_key: None,
            enforce: false,
            client,
        }
    }

    fn basic(authorization: &str) -> Option<Basic> {
        presented(Some(authorization)).basic()
    }

    #[test]
    fn basic_credentials_are_split_at_the_first_colon() {
        let expected = Some(Basic {
            name: "key".into(),
            secret: "a:b".into(),
        });
        assert_eq!(basic("Basic a2V5OmE6Yg=="), expected);
        assert_eq!(
            basic("basic   a2V5OmE6Yg=="),
            expected,
            "the scheme in any case, more spaces"
        );
        assert_eq!(basic("Basic a2V5OmE6Yg"), expected, "without padding");
    }

    #[test]
    fn what_cannot_be_read_is_no_credential() {
        let too_long = format!("Basic {}", STANDARD.encode("k:".to_owned() + &"x".repeat(LONGEST)));
        let no_text = format!("Basic {}", STANDARD.encode(b"k:\xff\xfe"));
        let no_colon = format!("Basic {}", STANDARD.encode("key"));
        let no_name = format!("Basic {}", STANDARD.encode(":secret"));
        for broken in [
            "",
            "Basic",
            "Basic ",
            "Basic =",
            "Basic a2V5OmE6Yg===",
            "Basic !!!!",
            "Basica2V5OmE6Yg==",
            "Digest a2V5OmE6Yg==",
        ]
        .into_iter()
        .chain([too_long.as_str(), &no_text, &no_colon, &no_name])
        {
            assert_eq!(basic(broken), None, "{}", &broken[..broken.len().min(40)]);
        }
    }

    #[test]
    fn a_token_comes_by_cookie_then_header_then_parameter() {
        let all = Presented {
            cookie: Some("c"),
            parameter: Some("p"),
            ..presented(Some("Bearer h"))
        };
        assert_eq!(all.token(), Some(("c", true)));
        assert_eq!(Presented { cookie: None, ..all }.token(), Some(("h", false)));
        assert_eq!(
            Presented {
                cookie: Some(""),
                authorization: Some("h"),
                ..all
            }
            .token(),
            Some(("h", false)),
            "Bearer may be left out"
        );
        assert_eq!(
            Presented {
                cookie: None,
                authorization: Some("Basic a2V5OmE6Yg=="),
                ..all
            }
            .token(),
            Some(("p", false))
        );
        assert_eq!(presented(None).token(), None);
    }

    #[test]
    fn names_that_are_no_keys_are_known_in_any_case() {
        let named = |name: &str| Basic {
            name: name.into(),
            secret: String::new(),
        };
        assert_eq!(named("x-api-bearer").bearer(), Some(None));
        assert_eq!(named("X-API-Bearer=1a5").bearer(), Some(Some("1a5")));
        assert_eq!(named("x-api-bearer=").bearer(), Some(None));
        assert_eq!(named("x-api-bearers").bearer(), None);
        assert!(named("registrationToken").is_registration() && !named("registration").is_registration());
        assert!(named("0123456789ABCDEF0123").looks_like_key() && !named("admin").looks_like_key());
    }
}
