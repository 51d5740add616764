//! How a file says where a link leads; `schemas/README.md` has the table.

/// A link's notation, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notation<'a> {
    One {
        field: &'a str,
    },
    Listed {
        field: &'a str,
    },
    Many {
        kind: &'a str,
        field: &'a str,
    },
    Through {
        map: &'a str,
        near: &'a str,
        far: &'a str,
    },
    Computed,
    /// To what is no row (statistics, files): it cannot be included, so schemas do not list it.
    Handled,
    /// One link for every type that can be listed.
    Types,
}

impl<'a> Notation<'a> {
    pub fn parse(text: &'a str) -> Self {
        if text == "computed" {
            return Self::Computed;
        }
        if text == "handled" {
            return Self::Handled;
        }
        if text == "types" {
            return Self::Types;
        }
        if let Some(field) = text.strip_prefix("list:") {
            return Self::Listed { field };
        }
        match text.split_once('.') {
            None => Self::One { field: text },
            Some((kind, rest)) => match rest.split_once('>') {
                None => Self::Many { kind, field: rest },
                Some((near, far)) => Self::Through { map: kind, near, far },
            },
        }
    }
}
