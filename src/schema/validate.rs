//! Checks and converts what a client sends, by the fields of the type in the client's view.
//!
//! Follows cattle's `ValidationHandler`: what the view does not know or does not let be written is dropped without a
//! word, scalars are coerced, and for each field the first broken rule is reported. Rules that need other rows are asked
//! of [`Refs`]; nothing here knows where those are kept.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::model::{Clock, Error, Result, Timestamp, WireId};

use super::{Column, Field, FieldType, Source, TypeView, View, limits};

/// What may be nested in a value. Real bodies stay below ten; the limit keeps the recursion of all readers harmless.
const MAX_DEPTH: usize = 64;

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new row, or the input of an action.
    Create,
    /// A change of a row: no defaults, nothing is required.
    Update,
    /// An object inside a field: as for a new row, but nothing in it is unique.
    Embedded,
}

/// What validation asks about other rows.
pub trait Refs {
    /// Whether the caller sees a row with this wire id that is of the type `kind` (canonical id) or derived from it.
    fn exists(&self, kind: &str, wire: &str) -> Result<bool>;

    /// Whether another row already has this value in a field that must be unique.
    fn is_taken(&self, field: &str, value: &str) -> Result<bool>;

    /// What the date `"now"` means.
    fn now(&self) -> Timestamp {
        crate::model::time::SystemClock.now()
    }
}

/// Validates a body: the answer has only fields that may be written, converted, with references as canonical wire ids.
///
/// `view` is the one whose schemas embedded types are read by: [`super::Registry::input_view`]. An embedded object gets
/// its `type` as the first key, as the wire shows it. Refuses with 422 and the field.
pub fn input(
    view: &View,
    ty: &TypeView,
    body: &Map<String, Value>,
    purpose: Purpose,
    refs: &dyn Refs,
) -> Result<Map<String, Value>> {
    input_by([view, view], ty, body, purpose, refs)
}

/// The same, where a second view has the schemas that the first does not know: those of the version in the path, if another one
/// serves the type.
pub fn input_by(
    [view, other]: [&View; 2],
    ty: &TypeView,
    body: &Map<String, Value>,
    purpose: Purpose,
    refs: &dyn Refs,
) -> Result<Map<String, Value>> {
    let checker = Checker { view, other, refs };
    if !ty.copies.iter().any(|(from, _)| body.contains_key(from)) {
        return checker.object(ty, body, purpose);
    }
    // v1 calls a service's stack its environment; the engine knows one name only (cattle: `RequestReRouterHandler`).
    let mut body = body.clone();
    for (from, to) in &ty.copies {
        if let Some(value) = body.shift_remove(from)
            && !body.contains_key(to)
        {
            body.insert(to.clone(), value);
        }
    }
    checker.object(ty, &body, purpose)
}

struct Checker<'a> {
    view: &'a View,
    other: &'a View,
    refs: &'a dyn Refs,
}

impl<'a> Checker<'a> {
    fn object(&self, ty: &TypeView, body: &Map<String, Value>, purpose: Purpose) -> Result<Map<String, Value>> {
        let is_update = purpose == Purpose::Update;
        let mut result = Map::new();
        for (name, value) in body {
            let Some((name, field)) = ty.input_fields().get_key_value(name) else {
                continue;
            };
            let writable = if is_update {
                field.update && name != "id"
            } else {
                field.create
            };
            if !writable {
                continue;
            }
            if let Some(value) = self.value(name, field, value, purpose)?.filter(|_| field.kept) {
                result.insert(name.to_owned(), value);
            }
        }
        if is_update {
            return Ok(result);
        }
        for (name, field) in ty.input_fields() {
            if let Some(default) = &field.default
                && !result.contains_key(name)
                && takes_default(field)
            {
                result.insert(name.clone(), default_of(field, default));
            }
        }
        for (name, _) in ty.input_fields().iter().filter(|(_, f)| f.required && f.create) {
            let is_missing = match result.get(name) {
                None | Some(Value::Null) => true,
                Some(Value::Array(list)) => list.is_empty(),
                Some(_) => false,
            };
            if is_missing {
                return Err(Error::invalid("MissingRequired", name.as_str()));
            }
        }
        Ok(result)
    }

    /// One field's value; `None` if it counts as not given.
    fn value(&self, name: &str, field: &Field, value: &Value, purpose: Purpose) -> Result<Option<Value>> {
        if !fits_depth(value, MAX_DEPTH) {
            return Err(Error::invalid("InvalidFormat", name));
        }
        let is_blank_date = field.ty == FieldType::Date && value.as_str().is_some_and(|t| t.trim().is_empty());
        if is_blank_date {
            return Ok(None);
        }
        let converted = if value.is_null() {
            Value::Null
        } else {
            self.convert(name, &field.ty, value)?
        };
        if converted.is_null() {
            // A row that has this field must not lose it.
            if purpose == Purpose::Update && field.required {
                return Err(Error::invalid("NotNullable", name));
            }
            return match (&field.ty, field.nullable, &field.default) {
                (_, true, _) => Ok(Some(Value::Null)),
                (_, false, Some(_)) => Ok(None),
                (_, false, None) => Err(Error::invalid("NotNullable", name)),
            };
        }
        if field.unique && purpose != Purpose::Embedded && self.refs.is_taken(name, &text_of(&converted))? {
            return Err(Error::invalid("NotUnique", name));
        }
        if field.unavailable && is_used(field, &converted) {
            return Err(Error::not_implemented(format!("{name} is not part of this build")).with_field(name));
        }
        match &converted {
            Value::Array(list) => list.iter().try_for_each(|element| check_limits(name, field, element))?,
            other => check_limits(name, field, other)?,
        }
        limits::check(name, &converted)?;
        Ok(Some(converted))
    }

    fn convert(&self, name: &str, ty: &FieldType, value: &Value) -> Result<Value> {
        let refuse = |code| Err(Error::invalid(code, name));
        match ty {
            FieldType::Json => Ok(value.clone()),
            FieldType::String | FieldType::Password | FieldType::Blob | FieldType::Enum => match value {
                Value::String(text) => Ok(Value::String(text.clone())),
                Value::Number(number) => Ok(Value::String(number.to_string())),
                Value::Bool(flag) => Ok(Value::String(flag.to_string())),
                Value::Null | Value::Array(_) | Value::Object(_) => refuse("InvalidFormat"),
            },
            FieldType::Int => to_int(value).map_or_else(|| refuse("InvalidFormat"), |n| Ok(n.into())),
            FieldType::Float => to_float(value).map_or_else(|| refuse("InvalidFormat"), |n| Ok(Value::Number(n))),
            FieldType::Boolean => to_bool(value).map_or_else(|| refuse("InvalidFormat"), |b| Ok(b.into())),
            FieldType::Date => self
                .to_date(value)
                .map_or_else(|| refuse("InvalidDateFormat"), |t| Ok(t.to_wire().into())),
            FieldType::Reference(kind) => match value {
                Value::String(wire) => self.reference(name, kind, wire),
                _ => refuse("InvalidReference"),
            },
            FieldType::Array(of) => {
                let list = match value {
                    Value::Array(list) => list.as_slice(),
                    // What is not a list becomes a list of one.
                    one => std::slice::from_ref(one),
                };
                list.iter()
                    .map(|element| self.element(name, of, element))
                    .collect::<Result<Vec<_>>>()
                    .map(Value::Array)
            }
            FieldType::Map(of) => match value {
                Value::Object(map) => {
                    let values = map.iter().map(|(key, value)| match **of {
                        // Anything goes as JSON, null too; and a text may be none: a variable without a value.
                        FieldType::Json => Ok((key.clone(), value.clone())),
                        FieldType::String if value.is_null() => Ok((key.clone(), Value::Null)),
                        _ => self.element(name, of, value).map(|v| (key.clone(), v)),
                    });
                    values.collect::<Result<Map<_, _>>>().map(Value::Object)
                }
                _ => refuse("InvalidFormat"),
            },
            FieldType::Embedded(schema) => {
                let known = |view: &'a View| view.types.get(schema).or_else(|| view.find_by_kind(schema));
                match known(self.view).or_else(|| known(self.other)) {
                    Some(ty) => self.embedded(ty, value),
                    None => refuse("InvalidFormat"),
                }
            }
        }
    }

    fn element(&self, name: &str, ty: &FieldType, value: &Value) -> Result<Value> {
        if value.is_null() {
            return Err(Error::invalid("NotNullable", name));
        }
        self.convert(name, ty, value)
    }

    /// An object described by another schema: what is no object counts as an empty one.
    fn embedded(&self, ty: &TypeView, value: &Value) -> Result<Value> {
        let none = Map::new();
        let checked = self.object(ty, value.as_object().unwrap_or(&none), Purpose::Embedded)?;
        // Sorted, so that equal objects have equal texts whatever the order they were sent in.
        let sorted: BTreeMap<String, Value> = checked.into_iter().collect();
        let mut object = Map::new();
        if !ty.fields.contains_key("type") {
            object.insert("type".to_owned(), Value::String(ty.def.id.clone()));
        }
        object.extend(sorted);
        Ok(Value::Object(object))
    }

    fn reference(&self, name: &str, kind: &str, wire: &str) -> Result<Value> {
        let invalid = || Error::invalid("InvalidReference", name);
        let id = WireId::parse(wire).ok_or_else(invalid)?;
        let far = self.view.types.get(kind).or_else(|| self.view.find_by_kind(kind));
        let canonical = match (far, kind) {
            (Some(far), _) => far.def.id.as_str(),
            (None, "environment") => "stack",
            (None, kind) => kind,
        };
        if !self.refs.exists(canonical, wire)? {
            return Err(invalid());
        }
        // The letters a client wrote are decoration; what is stored has the far type's own.
        Ok(Value::String(far.map_or_else(
            || wire.to_owned(),
            |far| super::render::wire_id(&far.def.prefix, id.id),
        )))
    }

    fn to_date(&self, value: &Value) -> Option<Timestamp> {
        let at = match value {
            Value::String(text) if text == "now" => self.refs.now(),
            Value::String(text) => Timestamp::parse(text.trim())?,
            Value::Number(number) => Timestamp(number.as_i64()?),
            _ => return None,
        };
        // The wire's four digits of year.
        (at.0.abs() <= 253_402_300_799_000 && Timestamp::parse(&at.to_wire()).is_some()).then_some(at)
    }
}

/// Whether a value asks for something: what is empty, or the default, does not.
fn is_used(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty() && field.default.as_ref() != Some(value),
        Value::Bool(true) | Value::Number(_) => field.default.as_ref() != Some(value),
    }
}

/// Kinds come from the URL and computed fields from other rows: neither is ever set by a default.
fn takes_default(field: &Field) -> bool {
    !matches!(
        field.source,
        Source::Column(Column::Kind | Column::Id) | Source::Computed
    )
}

/// Schemas write some defaults as text (`"0"` of an int).
fn default_of(field: &Field, default: &Value) -> Value {
    let converted = match field.ty {
        FieldType::Int => to_int(default).map(Value::from),
        FieldType::Boolean => to_bool(default).map(Value::from),
        _ => None,
    };
    converted.unwrap_or_else(|| default.clone())
}

fn fits_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(list) => levels > 0 && list.iter().all(|v| fits_depth(v, levels - 1)),
        Value::Object(map) => levels > 0 && map.values().all(|v| fits_depth(v, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Whole numbers, also as text or with an empty fraction; nothing is rounded and nothing overflows.
fn to_int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    // Beyond 2^53 a float no longer says which whole number was meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

fn to_float(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => text.trim().parse().ok().and_then(Number::from_f64),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.trim().parse().ok(),
        // Some languages have no other words for it.
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The rules about a value by itself, in the order in which they are reported.
fn check_limits(name: &str, field: &Field, value: &Value) -> Result<()> {
    let refuse = |code| Err(Error::invalid(code, name));
    if let Some(number) = value.as_f64() {
        // Converted whole numbers are compared exactly; floats have no finer limits than whole ones.
        let is_below = |limit: i64| value.as_i64().map_or_else(|| number < float(limit), |n| n < limit);
        let is_above = |limit: i64| value.as_i64().map_or_else(|| number > float(limit), |n| n > limit);
        if field.min.is_some_and(is_below) {
            return refuse("MinLimitExceeded");
        }
        if field.max.is_some_and(is_above) {
            return refuse("MaxLimitExceeded");
        }
    }
    // A name stands in logs, in lists and on pages.
    if matches!(name, "name" | "publicValue") && value.as_str().is_some_and(|text| text.chars().any(char::is_control)) {
        return refuse("InvalidCharacters");
    }
    let has_text_rules = field.min_length.is_some()
        || field.max_length.is_some()
        || field.options.is_some()
        || field.valid_chars.is_some()
        || field.invalid_chars.is_some();
    if !has_text_rules {
        return Ok(());
    }
    let text = text_of(value);
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if field.min_length.is_some_and(|limit| length < limit) {
        return refuse("MinLengthExceeded");
    }
    if field.max_length.is_some_and(|limit| length > limit) {
        return refuse("MaxLengthExceeded");
    }
    if value.is_object() {
        return Ok(());
    }
    if field
        .options
        .as_ref()
        .is_some_and(|options| !options.is_empty() && !options.contains(&text))
    {
        return refuse("InvalidOption");
    }
    if field
        .valid_chars
        .as_ref()
        .is_some_and(|class| !text.chars().all(|c| is_in_class(class, c)))
    {
        return refuse("InvalidCharacters");
    }
    if field
        .invalid_chars
        .as_ref()
        .is_some_and(|class| text.chars().any(|c| is_in_class(class, c)))
    {
        return refuse("InvalidCharacters");
    }
    Ok(())
}

/// Limits are small numbers; only floats are compared with these.
fn float(limit: i64) -> f64 {
    limit as f64
}

/// Whether `c` is in the character class whose inside is `class`: `a-zA-Z0-9-._`. A `-` that ends no range, or stands
/// last, is itself; a backslash takes the next character as it is.
fn is_in_class(class: &str, c: char) -> bool {
    let mut rest = class.chars();
    let is_negated = class.starts_with('^') && rest.next().is_some();
    let literal = |rest: &mut std::str::Chars<'_>| match rest.next() {
        Some('\\') => Some(rest.next().unwrap_or('\\')),
        other => other,
    };
    while let Some(low) = literal(&mut rest) {
        let mut ahead = rest.clone();
        let high = if ahead.next() == Some('-') {
            literal(&mut ahead)
        } else {
            None
        };
        let is_match = match high {
            Some(high) => {
                rest = ahead;
                (low..=high).contains(&c)
            }
            None => low == c,
        };
        if is_match {
            return !is_negated;
        }
    }
    is_negated
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
