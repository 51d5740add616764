//! The types of a view, each made when it is first asked for: most callers ask for a few of them, and a start waits for none.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::{Arc, OnceLock};

use super::freeze::{Eyes, Unfrozen};
use super::{Type, TypeView};

/// Types by their names in a view.
pub struct TypeViews {
    places: BTreeMap<String, Place>,
    maker: Option<Maker>,
}

/// Where a type is, once it is made.
#[derive(Default)]
struct Place {
    /// Its canonical name.
    id: &'static str,
    made: OnceLock<Arc<TypeView>>,
}

/// What makes the types of a view.
pub(super) struct Maker {
    pub world: Unfrozen<'static>,
    pub eyes: Eyes<'static>,
    pub types: &'static BTreeMap<String, Arc<Type>>,
}

impl Maker {
    fn make(&self, id: &str) -> Arc<TypeView> {
        match self.world.shown(&self.eyes, self.types, id) {
            Some(shown) => Arc::new(shown),
            None => unreachable!("a view has places for what is seen in it"),
        }
    }
}

impl TypeViews {
    /// Types that are made later, by name; each with its canonical one.
    pub(super) fn to_make(names: BTreeMap<String, &'static str>, maker: Maker) -> Self {
        let place = |id| Place {
            id,
            made: OnceLock::new(),
        };
        Self {
            places: names.into_iter().map(|(name, id)| (name, place(id))).collect(),
            maker: Some(maker),
        }
    }

    /// Types that are made already.
    #[cfg(test)]
    pub(super) fn of(types: impl Iterator<Item = Arc<TypeView>>) -> Self {
        let place = |ty| Place {
            made: OnceLock::from(ty),
            ..Place::default()
        };
        Self {
            places: types.map(|ty| (ty.id.clone(), place(ty))).collect(),
            maker: None,
        }
    }

    #[cfg(test)]
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Arc<TypeView>> {
        self.places.get_mut(name)?.made.get_mut()
    }

    fn at<'a>(&'a self, place: &'a Place) -> &'a Arc<TypeView> {
        place.made.get_or_init(|| match &self.maker {
            Some(maker) => maker.make(place.id),
            None => unreachable!("without a maker all are made"),
        })
    }

    /// The type of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<TypeView>> {
        self.places.get(name).map(|place| self.at(place))
    }

    /// Whether there is a type of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// All of them, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Arc<TypeView>> {
        self.places.values().map(|place| self.at(place))
    }
}

impl Index<&str> for TypeViews {
    type Output = Arc<TypeView>;

    fn index(&self, name: &str) -> &Arc<TypeView> {
        match self.places.get(name) {
            Some(place) => self.at(place),
            None => unreachable!("no type {name} in this view"),
        }
    }
}

impl fmt::Debug for TypeViews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.places.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::super::{Registry, Role, Version};
    use super::*;

    fn made(types: &TypeViews) -> Vec<&str> {
        let places = types.places.iter().filter(|(_, place)| place.made.get().is_some());
        places.map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_type_is_made_when_it_is_asked_for() {
        let registry = Registry::built_in().unwrap();
        let view = registry.view(Version::V1, Role::ReadAdmin);
        assert!(view.find_by_path("noSuchThing").is_none() && view.types.contains_key("environment"));
        assert!(made(&view.types).is_empty(), "{:?}", made(&view.types));
        assert_eq!(view.find_by_path("environments").unwrap().def.id, "stack");
        assert_eq!(made(&view.types), ["environment"]);
        assert_eq!(view.types.values().count(), made(&view.types).len());
    }
}
