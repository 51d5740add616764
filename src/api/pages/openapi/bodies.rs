//! The schemas of bodies: resources and collections as they are answered, and what is sent to create and to change.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::capital;
use crate::schema::{Field, FieldType, Registry, TypeView, View};

/// Collects the schemas that a document's operations name, each once, and those that they lead to.
pub struct Bodies<'a> {
    registry: &'a Registry,
    view: &'a View,
    actions_key: &'static str,
    done: BTreeMap<String, Value>,
}

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Shown,
    Create,
    Update,
}

/// A reference to a schema of the document.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Names to addresses.
pub fn links() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string", "format": "uri"}})
}

impl<'a> Bodies<'a> {
    /// With the schemas that every document has.
    pub fn new(registry: &'a Registry, view: &'a View, actions_key: &'static str) -> Self {
        let done = BTreeMap::from([
            ("Error".to_owned(), error()),
            ("Collection".to_owned(), collection(actions_key)),
        ]);
        Self {
            registry,
            view,
            actions_key,
            done,
        }
    }

    /// All that were named.
    pub fn finish(self) -> Map<String, Value> {
        self.done.into_iter().collect()
    }

    /// A resource, or an object inside one.
    pub fn shown(&mut self, ty: &TypeView) -> Value {
        self.named(capital(&ty.id), ty, Use::Shown)
    }

    /// What is sent to create one.
    pub fn create(&mut self, ty: &TypeView) -> Value {
        self.named(format!("{}Create", capital(&ty.id)), ty, Use::Create)
    }

    /// What is sent to change one.
    pub fn update(&mut self, ty: &TypeView) -> Value {
        self.named(format!("{}Update", capital(&ty.id)), ty, Use::Update)
    }

    /// The body of an action of `ty`; none if the view does not have that type.
    pub fn input(&mut self, ty: &TypeView, input: &str) -> Option<Value> {
        let view = self.registry.input_view(self.view, ty);
        view.types.get(input).map(|input| self.create(input))
    }

    /// A list of them; rows of types below it come as what they are.
    pub fn collection(&mut self, ty: &TypeView) -> Value {
        let name = format!("{}Collection", capital(&ty.id));
        if !self.done.contains_key(&name) {
            self.done.insert(name.clone(), Value::Null);
            let below: Vec<_> = self
                .view
                .types
                .values()
                .filter(|t| t.id == ty.id || ty.kinds.contains(&t.def.id))
                .cloned()
                .collect();
            // Members of projects are listed as identities.
            let identity = self
                .view
                .find_by_kind("identity")
                .filter(|_| ty.def.id == "projectMember");
            let mut items: Vec<Value> = match identity {
                Some(identity) => vec![self.shown(identity)],
                None => below.iter().map(|t| self.shown(t)).collect(),
            };
            let items = if items.len() == 1 {
                items.swap_remove(0)
            } else {
                json!({"anyOf": items})
            };
            let schema = json!({"allOf": [reference("Collection"), {"type": "object", "properties": {"data": {"type": "array", "items": items}}}]});
            self.done.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// A reference to the schema, which is made at the first mention.
    fn named(&mut self, name: String, ty: &TypeView, purpose: Use) -> Value {
        if !self.done.contains_key(&name) {
            // Types may hold themselves; the place is taken first.
            self.done.insert(name.clone(), Value::Null);
            let schema = match purpose {
                Use::Shown => self.shown_schema(ty),
                Use::Create | Use::Update => self.sent_schema(ty, purpose),
            };
            self.done.insert(name.clone(), schema);
        }
        reference(&name)
    }

    fn shown_schema(&mut self, ty: &TypeView) -> Value {
        let mut properties = Map::new();
        for (name, field) in &ty.fields {
            properties.insert(name.clone(), self.shown_field(ty, name, field));
            if field.ty == FieldType::Date {
                let description = format!("`{name}` in milliseconds since 1970; absent while that is null.");
                properties.insert(
                    format!("{name}TS"),
                    json!({"type": "integer", "description": description}),
                );
            }
        }
        properties.insert("type".to_owned(), json!({"type": "string"}));
        let mut required = Vec::new();
        if !ty.is_embedded {
            // On the wire ids are text, whatever the schema calls them; what is no row has none.
            properties.insert("id".to_owned(), json!({"type": ["string", "null"]}));
            properties.insert("baseType".to_owned(), json!({"type": "string"}));
            properties.insert("links".to_owned(), links());
            properties.insert(self.actions_key.to_owned(), links());
            required = vec!["id", "type", "links", self.actions_key];
        }
        let mut schema =
            json!({"type": "object", "description": self.registry.text_of(&ty.def), "properties": properties});
        if !required.is_empty() {
            add(&mut schema, "required", json!(required));
        }
        without_null_description(schema)
    }

    fn shown_field(&mut self, ty: &TypeView, name: &str, field: &Field) -> Value {
        let view = self.view;
        // Quirk: the number of a row that may be of any type is an id on the wire.
        let is_any_id = name == "resourceId" && field.ty == FieldType::Int;
        // The status of an answer is a number, also where the schema of v1 says text.
        let is_status = name == "responseCode";
        let ty_shown = if is_any_id {
            &FieldType::String
        } else if is_status {
            &FieldType::Int
        } else {
            &field.ty
        };
        let mut schema = self.of_type(ty_shown, view, Use::Shown);
        // What is not set is null, whatever may be sent; only flags are always true or false.
        if field.ty != FieldType::Boolean || field.nullable {
            schema = or_null(schema);
        }
        self.describe(&mut schema, ty, name);
        schema
    }

    fn sent_schema(&mut self, ty: &TypeView, purpose: Use) -> Value {
        let view = self.registry.input_view(self.view, ty);
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, field) in ty.input_fields() {
            let is_writable = if purpose == Use::Update {
                field.update && name != "id"
            } else {
                field.create
            };
            if !is_writable {
                continue;
            }
            let is_required = purpose == Use::Create && field.required && field.default.is_none();
            let mut schema = limited(self.of_type(&field.ty, view, Use::Create), field);
            if field.nullable && !is_required {
                schema = or_null(schema);
            }
            if let Some(default) = field.default.as_ref().filter(|_| purpose == Use::Create)
                && let Some(object) = schema.as_object_mut()
            {
                object.insert("default".to_owned(), default.clone());
            }
            self.describe(&mut schema, ty, name);
            properties.insert(name.clone(), schema);
            if is_required {
                required.push(name.clone());
            }
        }
        let mut schema =
            json!({"type": "object", "description": self.registry.text_of(&ty.def), "properties": properties});
        // One name or the other (v1's environment of a service is its stack).
        for (from, to) in &ty.copies {
            if required.contains(to) {
                required.retain(|name| name != to && name != from);
                add(&mut schema, "anyOf", json!([{"required": [from]}, {"required": [to]}]));
            }
        }
        if !required.is_empty() {
            add(&mut schema, "required", json!(required));
        }
        without_null_description(schema)
    }

    fn of_type(&mut self, ty: &FieldType, view: &'a View, purpose: Use) -> Value {
        match ty {
            FieldType::String | FieldType::Enum | FieldType::Blob => json!({"type": "string"}),
            FieldType::Password => json!({"type": "string", "format": "password"}),
            FieldType::Int => json!({"type": "integer", "format": "int64"}),
            FieldType::Float => json!({"type": "number"}),
            FieldType::Date => json!({"type": "string", "format": "date-time"}),
            FieldType::Boolean => json!({"type": "boolean"}),
            FieldType::Json => json!({}),
            FieldType::Reference(kind) if kind.is_empty() => json!({"type": "string"}),
            FieldType::Reference(kind) => json!({"type": "string", "x-reference": kind}),
            FieldType::Array(of) => json!({"type": "array", "items": self.inner(of, view, purpose)}),
            FieldType::Map(of) => json!({"type": "object", "additionalProperties": self.inner(of, view, purpose)}),
            FieldType::Embedded(name) => match view.types.get(name) {
                // A part that is called after a type of rows has what the row it stands in says of it, and no links.
                Some(ty) if purpose == Use::Shown && !ty.is_embedded => json!({"type": "object"}),
                Some(ty) if purpose == Use::Shown => self.shown(ty),
                Some(ty) => self.create(ty),
                None => json!({"type": "object"}),
            },
        }
    }

    /// An element; those of an answer may be null as fields may.
    fn inner(&mut self, ty: &FieldType, view: &'a View, purpose: Use) -> Value {
        let schema = self.of_type(ty, view, purpose);
        if purpose == Use::Shown { or_null(schema) } else { schema }
    }

    fn describe(&self, schema: &mut Value, ty: &TypeView, name: &str) {
        if let (Some(text), Some(object)) = (self.registry.text_of_field(&ty.def, name), schema.as_object_mut()) {
            object.insert("description".to_owned(), Value::from(text));
        }
    }
}

/// Adds a member to an object.
fn add(schema: &mut Value, key: &str, value: Value) {
    if let Some(members) = schema.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

fn without_null_description(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.retain(|name, value| name != "description" || !value.is_null());
    }
    schema
}

/// The same, or null.
fn or_null(mut schema: Value) -> Value {
    let Some(object) = schema.as_object_mut() else {
        return schema;
    };
    if object.contains_key("$ref") {
        return json!({"anyOf": [schema, {"type": "null"}]});
    }
    if let Some(ty) = object.get_mut("type") {
        *ty = json!([ty.take(), "null"]);
    }
    if let Some(Value::Array(options)) = object.get_mut("enum") {
        options.push(Value::Null);
    }
    schema
}

/// The limits of a field that is sent. Length and letters are those of the text form, so they are told of texts only.
fn limited(mut schema: Value, field: &Field) -> Value {
    // The options of a list are those of its elements.
    let target = match &field.ty {
        FieldType::Array(_) => schema.get_mut("items"),
        _ => Some(&mut schema),
    };
    if let Some(object) = target.and_then(Value::as_object_mut)
        && let Some(options) = &field.options
    {
        object.insert("enum".to_owned(), json!(options));
    }
    let Some(object) = schema.as_object_mut() else {
        return schema;
    };
    let mut limit = |name: &str, value: Option<i64>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), Value::from(value));
        }
    };
    match field.ty {
        FieldType::Int | FieldType::Float => {
            limit("minimum", field.min);
            limit("maximum", field.max);
        }
        FieldType::String | FieldType::Password | FieldType::Enum => {
            limit("minLength", field.min_length);
            limit("maxLength", field.max_length);
            if let Some(chars) = &field.valid_chars {
                object.insert("pattern".to_owned(), Value::from(format!("^[{chars}]*$")));
            }
        }
        FieldType::Date
        | FieldType::Blob
        | FieldType::Boolean
        | FieldType::Json
        | FieldType::Reference(_)
        | FieldType::Array(_)
        | FieldType::Map(_)
        | FieldType::Embedded(_) => {}
    }
    schema
}

fn error() -> Value {
    let nullable = json!({"type": ["string", "null"]});
    json!({
        "type": "object",
        "required": ["id", "type", "status", "code"],
        "properties": {
            "id": {"type": "string", "description": "What the server's log has it under."},
            "type": {"const": "error"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "That of the answer."},
            "code": {"type": "string", "description": "What went wrong, for programs. Without a better one it is the reason phrase of the status.",
                "examples": ["Not Found", "MissingRequired", "InvalidOption", "InvalidReference", "NotUnique", "NotNullable", "InvalidFormat", "InvalidCharacters",
                    "MinLengthExceeded", "MaxLengthExceeded", "MinLimitExceeded", "MaxLimitExceeded", "InvalidAction", "ActionNotAvailable", "InvalidBodyContent", "NotImplemented"]},
            "message": nullable, "detail": nullable,
            "fieldName": {"type": "string", "description": "The field that it is about."},
            "baseType": {"const": "error"}, "links": links(), "actions": links(),
        },
    })
}

fn collection(actions_key: &str) -> Value {
    let nullable = |ty: &str| json!({"type": [ty, "null"]});
    json!({
        "type": "object",
        "required": ["type", "resourceType", "links", actions_key, "data", "createTypes", "sortLinks", "pagination", "sort", "filters", "createDefaults"],
        "properties": {
            "type": {"const": "collection"},
            "resourceType": {"type": "string"},
            "links": links(), actions_key: links(), "createTypes": links(), "sortLinks": links(),
            "data": {"type": "array", "items": {"type": "object"}},
            "createDefaults": {"type": "object"},
            "pagination": {"type": ["object", "null"], "properties": {
                "first": nullable("string"), "previous": nullable("string"), "next": nullable("string"),
                "limit": nullable("integer"), "total": nullable("integer"), "partial": {"type": "boolean"}}},
            "sort": {"type": ["object", "null"], "properties": {"name": {"type": "string"}, "order": {"enum": ["asc", "desc"]}, "reverse": {"type": "string"}}},
            "filters": {"type": "object", "additionalProperties": {"type": ["array", "null"], "items": {
                "type": "object", "properties": {"modifier": {"type": "string"}, "value": {}}}}},
        },
    })
}
