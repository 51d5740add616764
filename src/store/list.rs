//! What is asked of lists: filters, order and pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::ResourceId;
use crate::schema::Column;

/// Offsets deeper than this are answered with the first page: a marker of our own costs nothing at any depth.
const MAX_OFFSET: i64 = 10_000;

/// What a list is to contain.
#[derive(Debug, Clone, Default)]
pub struct ListSpec {
    /// The root type.
    pub root: String,
    /// Only these types; empty is all of the root.
    pub kinds: Vec<String>,
    /// Only this account's; none is all.
    pub account: Option<ResourceId>,
    /// With `account`: and those of nobody, which are everybody's.
    pub with_shared: bool,
    /// Only live rows, unless set.
    pub with_removed: bool,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The order.
    pub order: Order,
    /// Rows per page.
    pub limit: i64,
    /// The client's marker.
    pub marker: Option<String>,
}

/// The order of a list; ties are broken by id in the same direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What decides.
    pub key: SortKey,
    /// Descending.
    pub descending: bool,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SortKey {
    /// The id.
    #[default]
    Id,
    /// A column.
    Column(Column),
    /// A field in the row's JSON; the name is the registry's.
    Json(String),
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A column.
    Column(Column),
    /// A field in the row's JSON; the name is the registry's.
    Json(String),
}

/// A value, as the database compares it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Text, dates in JSON and references in JSON.
    Text(String),
    /// Numbers, times and references in columns, booleans.
    Int(i64),
}

/// One condition of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// `modifier` is one of `eq ne lt lte gt gte prefix like notlike`.
    Compare {
        /// What is compared.
        target: Target,
        /// How.
        modifier: String,
        /// With what.
        value: Scalar,
    },
    /// The value is one of these texts.
    OneOf(Target, Vec<String>),
    /// The value is absent.
    Null(Target),
    /// The value is there.
    NotNull(Target),
    /// Matches nothing: a value that cannot be.
    Never,
}

impl Condition {
    /// A comparison; for the modifiers see [`Condition::Compare`].
    pub fn compare(target: Target, modifier: &str, value: Scalar) -> Self {
        Self::Compare {
            target,
            modifier: modifier.to_owned(),
            value,
        }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Marker {
    /// After this row in the order.
    After {
        /// The row's key.
        key: serde_json::Value,
        /// The row.
        id: i64,
    },
    /// After so many rows: the form older clients make up.
    Offset(i64),
}

impl Marker {
    /// Reads a marker that fits this order; anything else is the first page.
    pub(super) fn parse(text: &str, order: &Order) -> Option<Self> {
        let rest = text.strip_prefix('m')?;
        if let Some(token) = rest.strip_prefix('k') {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            let (version, sort, key, id): (u8, String, serde_json::Value, i64) = serde_json::from_slice(&bytes).ok()?;
            return (version == 1 && sort == order.name()).then_some(Self::After { key, id });
        }
        rest.parse()
            .ok()
            .filter(|n| (1..=MAX_OFFSET).contains(n))
            .map(Self::Offset)
    }

    /// The marker of the page behind the row with this key in the order.
    pub(super) fn write(order: &Order, key: &serde_json::Value, id: ResourceId) -> String {
        let token = serde_json::json!([1, order.name(), key, id.0]).to_string();
        format!("mk{}", URL_SAFE_NO_PAD.encode(token))
    }
}

impl Order {
    /// By what an order is known again.
    fn name(&self) -> String {
        let key = match &self.key {
            SortKey::Id => "id".to_owned(),
            SortKey::Column(column) => format!("c.{}", column_name(*column)),
            SortKey::Json(name) => format!("j.{name}"),
        };
        format!("{key}{}", if self.descending { "-" } else { "" })
    }
}

/// The name of a column in the tables of resources.
pub(super) fn column_name(column: Column) -> &'static str {
    match column {
        Column::Id => "id",
        Column::Kind => "kind",
        Column::AccountId => "account_id",
        Column::ParentId => "parent_id",
        Column::HostId => "host_id",
        Column::Uuid => "uuid",
        Column::Name => "name",
        Column::State | Column::Transitioning => "state",
        Column::Health => "health",
        Column::Message => "message",
        Column::Progress => "progress",
        Column::Created => "created_ms",
        Column::Removed => "removed_ms",
        Column::PurgeAfter => "purge_after_ms",
    }
}
