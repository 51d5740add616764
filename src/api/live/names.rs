//! Names of events: what a client asks for, and what it thereby gets.

use crate::model::{ResourceId, WireId};

/// What a client subscribes to when it wants to know what changes.
pub const RESOURCE_CHANGE: &str = "resource.change";

/// An event name that somebody subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName {
    /// `resource.change`; `*` stands for any text.
    pattern: String,
    /// Only events of this account.
    account: Confined,
}

/// Whose events a name is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confined {
    /// Everybody's.
    No,
    /// Those of one account.
    To(ResourceId),
    /// Those of something that has no events here.
    Away,
}

impl EventName {
    /// The name of a caller that is confined: whatever follows the semicolon is replaced.
    pub fn confined(text: &str, to: Confined) -> Self {
        Self {
            pattern: text.split(';').next().unwrap_or_default().to_owned(),
            account: to,
        }
    }

    /// The name of a caller that is not: `resource.change;account=5` is about one account, with or without its letters.
    pub fn raw(text: &str) -> Self {
        let account = match text
            .split_once(';')
            .map(|(_, rest)| rest.split_once('=').unwrap_or((rest, "")))
        {
            None => Confined::No,
            Some(("account", id)) => {
                let id = WireId::parse(id)
                    .map(|w| w.id)
                    .or_else(|| id.parse().ok().map(ResourceId));
                id.map_or(Confined::Away, Confined::To)
            }
            Some(_) => Confined::Away,
        };
        Self::confined(text, account)
    }

    /// Whether an event of this name is asked for, if it is of the right account.
    pub fn is_about(&self, name: &str) -> bool {
        matches(&self.pattern, name)
    }

    /// Whether the name is about events of this account; an account's own changes are its events too.
    pub fn admits(&self, account: Option<ResourceId>, resource: Option<ResourceId>) -> bool {
        match self.account {
            Confined::No => true,
            Confined::To(own) => account == Some(own) || resource == Some(own),
            Confined::Away => false,
        }
    }

    /// The account to which the name is confined.
    pub fn account(&self) -> Option<ResourceId> {
        match self.account {
            Confined::To(account) => Some(account),
            Confined::No | Confined::Away => None,
        }
    }
}

/// Whether `name` fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    // The shortest way through the middle parts leaves most for the end.
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = name.find(part) else { return false };
        name = name.get(at + part.len()..).unwrap_or_default();
        rest = after;
    }
    name.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("resource.change", "resource.change", true),
            ("resource.change", "resource.changes", false),
            ("", "resource.change", false),
            ("*", "resource.change", true),
            ("*", "", true),
            ("resource.*", "resource.change", true),
            ("*.change", "service.kubernetes.change", true),
            ("service.*.change", "service.kubernetes.change", true),
            ("service.*.change", "service.change", false),
            ("a*a", "a", false),
            ("*a*b*", "xxaybz", true),
            ("*a*b*", "xxbyaz", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_follows_the_semicolon_confines() {
        let admits = |name: EventName| {
            let account = |id| Some(ResourceId(id));
            [
                name.admits(account(5), None),
                name.admits(account(6), None),
                name.admits(None, account(5)),
                name.admits(None, None),
            ]
        };
        let own = Confined::To(ResourceId(5));
        assert_eq!(
            admits(EventName::confined("resource.change;account=6", own)),
            [true, false, true, false]
        );
        assert_eq!(admits(EventName::raw("*;account=1a5")), [true, false, true, false]);
        assert_eq!(admits(EventName::raw("*;account=5")), [true, false, true, false]);
        assert_eq!(admits(EventName::raw("*")), [true; 4]);
        assert_eq!(admits(EventName::raw("*;agent=5")), [false; 4]);
        assert_eq!(admits(EventName::raw("*;account=x")), [false; 4]);
        assert!(
            EventName::raw("resource.change;account=5").is_about(RESOURCE_CHANGE),
            "the rest is no part of the name"
        );
    }
}
