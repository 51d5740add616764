//! `fields=name,state`: a client says which fields of rows it wants, in answers and in events. Not in Rancher.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::api::wire::request::Query;
use crate::http::json::{push_comma, push_key};
use crate::model::{Error, Result};
use crate::schema::View;

/// The parameter.
const PARAMETER: &str = "fields";
/// Names at most.
const MAX_NAMES: usize = 64;
/// What each row keeps.
const ALWAYS: [&str; 2] = ["id", "type"];
/// What rows have beside their types' fields.
const BESIDE: [&str; 4] = ["actions", "actionLinks", "baseType", "links"];

/// The names, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chosen(Vec<String>);

impl Chosen {
    /// What a request asks for; none is everything.
    ///
    /// # Errors
    /// `InvalidOption` for what no type of the view has, `MaxLimitExceeded` for too many.
    pub fn asked(view: &View, query: &Query<'_>) -> Result<Option<Self>> {
        let Some(text) = query.first(PARAMETER).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let mut names: Vec<String> = ALWAYS.map(str::to_owned).into();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            // Dates stand in rows as numbers, too.
            let plain = name.strip_suffix("TS").unwrap_or(name);
            let is_field = || {
                let types = view.types.values();
                types
                    .flat_map(|ty| &ty.shown)
                    .any(|shown| shown == plain || shown == name)
            };
            if !BESIDE.contains(&name) && !is_field() {
                return Err(Error::invalid("InvalidOption", PARAMETER));
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        if names.len() > MAX_NAMES {
            return Err(Error::invalid("MaxLimitExceeded", PARAMETER));
        }
        Ok(Some(Self(names)))
    }

    /// Leaves only these of the object that begins at `start` and ends the text.
    pub fn cut(&self, out: &mut String, start: usize) {
        let Some(Ok(whole)) = out.get(start..).map(serde_json::from_str::<HashMap<&str, &RawValue>>) else {
            return;
        };
        let mut short = String::with_capacity(256);
        short.push('{');
        for name in &self.0 {
            if let Some(value) = whole.get(name.as_str()) {
                push_comma(&mut short);
                push_key(&mut short, name);
                short.push_str(value.get());
            }
        }
        short.push('}');
        out.truncate(start);
        out.push_str(&short);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_left_of_a_row() {
        let chosen = Chosen(["id", "type", "state", "links", "absent"].map(str::to_owned).into());
        let mut out = r#"[1,{"name":"a","links":{"self":"u"},"id":"1s1","state":null,"type":"service"}"#.to_owned();
        chosen.cut(&mut out, 3);
        assert_eq!(
            out,
            r#"[1,{"id":"1s1","type":"service","state":null,"links":{"self":"u"}}"#
        );
        let mut empty = "{}".to_owned();
        chosen.cut(&mut empty, 0);
        assert_eq!(empty, "{}");
    }
}
