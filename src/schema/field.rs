//! Fields and their types.

use serde_json::Value;

/// The type of a field: `string`, `reference[service]`, `array[portRule]` …
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    String,
    /// Text that is not shown.
    Password,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A point in time.
    Date,
    /// Bytes as text.
    Blob,
    /// true or false.
    Boolean,
    /// One of the options.
    Enum,
    /// Anything.
    Json,
    /// The id of a row of this type (or of one derived from it).
    Reference(String),
    /// A list.
    Array(Box<FieldType>),
    /// An object with values of one type.
    Map(Box<FieldType>),
    /// An object described by another schema.
    Embedded(String),
}

impl FieldType {
    /// Reads the wire form.
    pub fn parse(text: &str) -> Self {
        let inner = |prefix: &str| text.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']');
        if let Some(of) = inner("reference") {
            return Self::Reference(of.to_owned());
        }
        if let Some(of) = inner("array") {
            return Self::Array(Box::new(Self::parse(of)));
        }
        if let Some(of) = inner("map") {
            return Self::Map(Box::new(Self::parse(of)));
        }
        match text {
            "string" => Self::String,
            "password" => Self::Password,
            "int" => Self::Int,
            "float" => Self::Float,
            "date" => Self::Date,
            "blob" => Self::Blob,
            "boolean" => Self::Boolean,
            "enum" => Self::Enum,
            "json" => Self::Json,
            "array" => Self::Array(Box::new(Self::Json)),
            "map" => Self::Map(Box::new(Self::Json)),
            "reference" => Self::Reference(String::new()),
            other => Self::Embedded(other.to_owned()),
        }
    }

    /// The modifiers a filter on such a field knows, in wire order; none if it cannot be filtered.
    pub fn modifiers(&self) -> &'static [&'static str] {
        match self {
            Self::String | Self::Password => &["eq", "ne", "prefix", "like", "notlike", "null", "notnull"],
            Self::Int | Self::Float | Self::Date => &["eq", "ne", "lt", "lte", "gt", "gte", "null", "notnull"],
            Self::Boolean | Self::Enum | Self::Reference(_) => &["eq", "ne", "null", "notnull"],
            // What is looked up as a whole, in types that have no table of their own.
            Self::Blob => &["eq"],
            Self::Json | Self::Array(_) | Self::Map(_) | Self::Embedded(_) => &[],
        }
    }
}

/// Where a field's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A column of the `resource` table.
    Column(Column),
    /// The row's own JSON.
    Fields,
    /// Other rows, found by one query per page (`instanceIds`); made by `engine::derived`.
    Computed,
}

/// The columns that fields are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the columns of the resource table")]
pub enum Column {
    Id,
    Kind,
    AccountId,
    ParentId,
    HostId,
    Uuid,
    Name,
    State,
    Health,
    Created,
    Removed,
    /// `removeTime`: when the row may be purged.
    PurgeAfter,
    /// `transitioning`, derived from state and message.
    Transitioning,
    Message,
    Progress,
}

/// A field as one view of a type has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its type.
    pub ty: FieldType,
    /// The type as the wire writes it.
    pub ty_text: String,
    /// May be given on POST.
    pub create: bool,
    /// May be given on PUT.
    pub update: bool,
    /// Only shown in the answer to the POST.
    pub read_on_create_only: bool,
    /// Must be given on POST.
    pub required: bool,
    /// null is a legal input.
    pub nullable: bool,
    /// No two rows of an account may have the same.
    pub unique: bool,
    /// Set on POST when absent.
    pub default: Option<Value>,
    /// Smallest number.
    pub min: Option<i64>,
    /// Largest number.
    pub max: Option<i64>,
    /// Of the text form.
    pub min_length: Option<i64>,
    /// Of the text form.
    pub max_length: Option<i64>,
    /// The values of an enum.
    pub options: Option<Vec<String>>,
    /// The inside of a character class.
    pub valid_chars: Option<String>,
    /// The inside of a character class.
    pub invalid_chars: Option<String>,
    /// Wire `description`.
    pub description: Option<String>,
    /// Where values come from.
    pub source: Source,
    /// A change of it starts the `update` process.
    pub schedule_update: bool,
    /// This build does nothing with it: using it is answered 501.
    pub unavailable: bool,
    /// What a client sends is stored; else it is taken and forgotten, for the server itself writes the field.
    pub kept: bool,
    /// Rows show it, though schemas do not list it.
    pub unlisted: bool,
}

impl Field {
    /// A field of this type that nobody may write and nothing limits.
    pub fn new(ty_text: &str) -> Self {
        Self {
            ty: FieldType::parse(ty_text),
            ty_text: ty_text.to_owned(),
            create: false,
            update: false,
            read_on_create_only: false,
            required: false,
            nullable: false,
            unique: false,
            default: None,
            min: None,
            max: None,
            min_length: None,
            max_length: None,
            options: None,
            valid_chars: None,
            invalid_chars: None,
            description: None,
            source: Source::Fields,
            schedule_update: false,
            unavailable: false,
            kept: true,
            unlisted: false,
        }
    }
}
