//! The words of a request: who asks, what for, and what the answer can be.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{Resource, ResourceId};
use crate::schema::{Role, Version};

use super::audit::Attempt;

/// The code of a refusal because somebody else was faster.
pub const FASTER: &str = "ChangedMeanwhile";

/// Who asks, for what project, in what version.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The version of the path.
    pub version: Version,
    /// The project that the request is for: named by the path, a header or the query, or the one a key belongs to.
    pub project: Option<ResourceId>,
    /// The role that decides the view.
    pub role: Role,
    /// Whose rows there are for the caller.
    pub reach: Reach,
    /// How the caller proved who it is.
    pub auth: AuthType,
    /// By what.
    pub proof: Proof,
    /// The authenticated account.
    pub user: Account,
    /// The account the request acts for: the project if there is one, else the user.
    pub effective: Account,
    /// What the audit log will say of the request; none if it changes nothing, or is of no account.
    pub attempt: Option<Arc<Attempt>>,
}

/// Whose rows a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Those of every account.
    All,
    /// Those of one account.
    Account(ResourceId),
}

/// How a caller proved who it is; the audit log has the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// Access is open: everybody is the first admin.
    Admin,
    /// A key or a password, by HTTP Basic.
    Basic,
    /// The token of a login.
    Token,
    /// A registration token in the place of a key.
    Registration,
    /// Nobody yet: may log in.
    None,
}

impl AuthType {
    /// The name in the audit log (cattle: the classes of its authenticators).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "AdminAuth",
            Self::Basic => "BasicAuth",
            Self::Token => "TokenAuth",
            Self::Registration => "RegistrationToken",
            Self::None => "TokenAccount",
        }
    }
}

/// What a caller proved who it is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Nothing: access is open.
    Open,
    /// A credential.
    Key(ResourceId),
    /// A login.
    Session(i64),
    /// A bearer token.
    Bearer(ResourceId),
    /// A registration token.
    Registration(ResourceId),
    /// Nothing, and it may only log in.
    Nobody,
}

/// An account as the identity headers show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: ResourceId,
    /// `admin`, `project` …
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A list request, read from the query string; names are already checked against the view.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// All must hold.
    pub filters: Vec<Filter>,
    /// The field to sort by; none is by id.
    pub sort: Option<String>,
    /// Descending instead of ascending.
    pub descending: bool,
    /// Rows per page, 1–3000.
    pub limit: u32,
    /// The client's marker, unread.
    pub marker: Option<String>,
    /// Lists include removed rows.
    pub with_removed: bool,
    /// Projects that the caller is no member of, too.
    pub all: bool,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The field, as this view names it.
    pub field: String,
    /// `eq`, `ne` …
    pub modifier: String,
    /// As the client wrote it.
    pub value: String,
}

/// One page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In order.
    pub rows: Vec<Arc<Resource>>,
    /// The marker of the next page, if there is more.
    pub next: Option<String>,
    /// The filters as they were understood: reference values as plain numbers, dates as ISO strings.
    pub filters: Vec<Filter>,
}

/// The computed fields of a page's rows: row → field → JSON text. Absent fields are null.
pub type Derived = HashMap<ResourceId, Vec<(&'static str, String)>>;

/// A setting, as the wire shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// What it is addressed by.
    pub name: String,
    /// What is set; none if nothing is, or if it must not be shown.
    pub value: Option<String>,
    /// What is in effect.
    pub active_value: Option<String>,
    /// Where the value in effect comes from.
    pub source: Option<String>,
    /// Whether it is stored here, and not only a default.
    pub in_db: bool,
    /// Whether everybody may read it.
    pub is_public: bool,
}

/// A validated body: field → converted value. References stay wire ids.
pub type Input = Map<String, Value>;

/// What an action answers.
#[derive(Debug)]
pub enum Answer {
    /// 202 with the row as it is now: a process has started.
    Accepted(Box<Resource>),
    /// 200 with the row.
    Done(Box<Resource>),
    /// 200 with another object of this type.
    Object(&'static str, Map<String, Value>),
    /// 200 with rows of this type.
    Rows(&'static str, Vec<Resource>),
    /// 200 with where a stream is, and what opens it.
    Access {
        /// What its address begins with, where the server has no TLS: `ws`, or `http`.
        scheme: &'static str,
        /// The last part of its address: `logs`, `exec`.
        path: &'static str,
        /// Good for a few minutes, or hours.
        token: String,
    },
}

impl Scope {
    /// The account whose rows this caller sees; none is all.
    pub(crate) fn owner(&self) -> Option<ResourceId> {
        match self.reach {
            Reach::All => None,
            Reach::Account(id) => Some(id),
        }
    }

    /// Whether the caller sees a row.
    pub(crate) fn sees(&self, row: &Resource) -> bool {
        match (self.owner(), row.account_id) {
            (Some(owner), Some(account)) => owner == account || row.id == owner,
            (Some(owner), None) => row.id == owner || row.root != "account",
            (None, _) => true,
        }
    }
}

impl Proof {
    pub(crate) fn auth_type(self) -> AuthType {
        match self {
            Self::Open => AuthType::Admin,
            Self::Key(_) => AuthType::Basic,
            Self::Session(_) | Self::Bearer(_) => AuthType::Token,
            Self::Registration(_) => AuthType::Registration,
            Self::Nobody => AuthType::None,
        }
    }
}

impl Scope {
    /// Whether the caller may turn access control on and off.
    pub fn rules(&self) -> bool {
        self.reach == Reach::All
            && (matches!(self.user.kind.as_str(), "admin" | "superadmin") || self.proof == Proof::Open)
    }
}
