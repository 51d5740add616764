//! What a role does not see inside structures: the fields of embedded types that its grants hide.
//!
//! A row keeps a structure whole, whoever wrote it and whoever reads it; what a view hides of the structure's type is taken
//! out when the row is written for that view. Most roles see all that anybody may write, and pay nothing for this.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::model::Fields;
use crate::model::json::push_string;

use super::grant::AllRights;
use super::inherit::Shapes;

use super::{FieldType, Type, Version};

/// How deep structures are followed: an upgrade holds a strategy, which holds launch configurations, which hold their parts.
const MAX_DEPTH: usize = 8;

/// What is taken out of the structures in a type's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trims {
    by_field: BTreeMap<String, Trim>,
    /// Every key that is taken out somewhere, with its quotes. A text without any of them is shown as it is.
    keys: Vec<String>,
}

/// What is taken out of one structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// The structures are the values of an object with free keys.
    is_map: bool,
    /// Fields that are not shown.
    gone: BTreeSet<String>,
    /// Fields that are shown, but not with all that is in them.
    inside: BTreeMap<String, Trim>,
}

/// What is taken out of structures, by version, type and how deep it may still be followed: many types hold the same ones.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<ByType>);

type ByType = HashMap<(Version, String, usize), Option<Trim>>;

impl Found {
    fn lock(&self) -> MutexGuard<'_, ByType> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a role has, and what there is to hide from it.
#[derive(Clone, Copy)]
pub(super) struct Eyes<'a> {
    pub version: Version,
    pub shapes: &'a Shapes,
    pub rights: &'a AllRights<'a>,
    pub types: &'a BTreeMap<String, Arc<Type>>,
    pub found: &'a Found,
}

impl Eyes<'_> {
    /// What is taken out of a field of this type; `None` if the role sees all of it.
    pub fn trim(&self, ty: &FieldType) -> Option<Trim> {
        self.field(ty, MAX_DEPTH)
    }

    fn field(&self, ty: &FieldType, depth: usize) -> Option<Trim> {
        match ty {
            FieldType::Array(of) => self.field(of, depth),
            FieldType::Map(of) => self.field(of, depth).map(|trim| Trim { is_map: true, ..trim }),
            FieldType::Embedded(id) => {
                let key = (self.version, id.clone(), depth.checked_sub(1)?);
                let found = self.found.lock().get(&key).cloned();
                if let Some(found) = found {
                    return found;
                }
                let trim = self.structure(id, key.2);
                self.found.lock().insert(key, trim.clone());
                trim
            }
            FieldType::String
            | FieldType::Password
            | FieldType::Int
            | FieldType::Float
            | FieldType::Date
            | FieldType::Blob
            | FieldType::Boolean
            | FieldType::Enum
            | FieldType::Json
            | FieldType::Reference(_) => None,
        }
    }

    fn structure(&self, id: &str, depth: usize) -> Option<Trim> {
        let (shape, rights, def) = (self.shapes.get(id)?, self.rights.get(id)?, self.types.get(id)?);
        let mut trim = Trim {
            is_map: false,
            gone: BTreeSet::new(),
            inside: BTreeMap::new(),
        };
        for (name, draft) in &shape.fields {
            if !rights.fields.has(name) {
                // What nobody may write is in no structure.
                if def.fields.get(name).is_some_and(|field| field.is_written) {
                    trim.gone.insert(name.clone());
                }
            } else if let Some(inner) = self.field(&draft.field.ty, depth) {
                trim.inside.insert(name.clone(), inner);
            }
        }
        (!trim.gone.is_empty() || !trim.inside.is_empty()).then_some(trim)
    }
}

impl Trims {
    pub(super) fn new(by_field: BTreeMap<String, Trim>) -> Self {
        let mut keys = BTreeSet::new();
        by_field.values().for_each(|trim| trim.collect(&mut keys));
        let keys = keys.into_iter().map(|key| format!("\"{key}\"")).collect();
        Self { by_field, keys }
    }

    /// Whether nothing is ever taken out.
    pub fn is_empty(&self) -> bool {
        self.by_field.is_empty()
    }

    fn may_touch(&self, members: &str) -> bool {
        self.keys.iter().any(|key| members.contains(key))
    }
}

impl Trim {
    fn collect<'t>(&'t self, keys: &mut BTreeSet<&'t str>) {
        keys.extend(self.gone.iter().map(String::as_str));
        self.inside.values().for_each(|inner| inner.collect(keys));
    }

    fn apply(&self, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|one| self.apply(one)),
            Value::Object(map) if self.is_map => map.values_mut().for_each(|one| self.structure(one)),
            _ => self.structure(value),
        }
    }

    fn structure(&self, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|one| self.structure(one)),
            Value::Object(map) => {
                map.retain(|name, _| !self.gone.contains(name));
                for (name, trim) in &self.inside {
                    if let Some(inner) = map.get_mut(name) {
                        trim.apply(inner);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Appends the members of an object, each behind a comma, without what is taken out. What cannot be read is not shown.
pub(super) fn push_trimmed(out: &mut String, members: &str, trims: &Trims) {
    if !trims.may_touch(members) {
        out.push(',');
        out.push_str(members);
        return;
    }
    let fields = Fields::parse(&format!("{{{members}}}")).unwrap_or_else(|e| {
        log::error!("fields that cannot be read are not shown: {e}");
        Fields::default()
    });
    for (name, raw) in &fields.0 {
        out.push(',');
        push_string(out, name);
        out.push(':');
        match trims.by_field.get(name) {
            None => out.push_str(raw.get()),
            Some(trim) => {
                let mut value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
                trim.apply(&mut value);
                out.push_str(&value.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::super::{Registry, Role, Version};
    use super::*;

    fn shown(version: Version, role: Role, field: &str, value: &Value) -> Value {
        let registry = Registry::load(None).unwrap();
        let view = registry.view(version, role);
        let mut out = String::new();
        push_trimmed(
            &mut out,
            &format!("\"{field}\":{value}"),
            &view.find_by_kind("service").unwrap().trims,
        );
        serde_json::from_str::<Value>(&format!("{{{}}}", out.trim_start_matches(','))).unwrap()[field].take()
    }

    #[test]
    fn a_role_sees_of_a_structure_what_it_sees_of_its_type() {
        let config =
            json!({"imageUuid": "docker:a", "environment": {"PASSWORD": "p"}, "secrets": [{"secretId": "1se1"}]});
        let without = |name: &str| {
            let mut config = config.clone();
            config.as_object_mut().unwrap().shift_remove(name);
            config
        };
        for version in Version::ALL {
            for (role, expected) in [
                (Role::Owner, config.clone()),
                (Role::Readonly, without("environment")),
                (Role::ProjectAdmin, without("secrets")),
            ] {
                let strategy = |config: &Value| json!({"inServiceStrategy": {"batchSize": 1, "previousLaunchConfig": config, "secondaryLaunchConfigs": [config]}});
                assert_eq!(shown(version, role, "launchConfig", &config), expected, "{role:?}");
                assert_eq!(
                    shown(version, role, "secondaryLaunchConfigs", &json!([config])),
                    json!([expected]),
                    "{role:?}"
                );
                assert_eq!(
                    shown(version, role, "upgrade", &strategy(&config)),
                    strategy(&expected),
                    "{role:?}"
                );
            }
        }
        let registry = Registry::load(None).unwrap();
        assert!(
            registry.view(Version::V2Beta, Role::Owner).types["service"]
                .trims
                .is_empty(),
            "owners pay nothing"
        );
    }
}
