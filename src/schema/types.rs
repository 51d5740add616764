//! Types, and the views of them that a version and a role have.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use super::freeze;
use super::inherit::Shapes;
use super::load::Files;
use super::type_views::TypeViews;
use super::{Field, FieldType, LayoutCell, Machine, RowTemplateCell, Source, Trims};

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// `/v1`
    V1,
    /// `/v2-beta`
    V2Beta,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2Beta];

    /// The path segment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2Beta => "v2-beta",
        }
    }

    /// Reads the path segment.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

/// Whose eyes a view is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The server itself: everything.
    Superadmin,
    /// A service beside the server, for all accounts.
    Service,
    /// Who runs the server.
    Admin,
    /// Sees what an admin sees and changes nothing.
    ReadAdmin,
    /// Somebody with a login, outside any project.
    User,
    /// A project key.
    Project,
    /// The owner of a project; while access is open, everybody inside one.
    Owner,
    /// A member of a project.
    Member,
    /// A member who leaves the hosts alone.
    Restricted,
    /// A member who only looks.
    Readonly,
    /// An agent that acts for its project and reads its certificates and registries.
    ProjectAdmin,
    /// An agent that acts for its project.
    Environment,
    /// The agent of a host.
    Agent,
    /// A program that may only make an agent.
    AgentRegister,
    /// Who holds a registration token.
    Register,
    /// Nobody yet: may log in.
    Token,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Superadmin,
        Self::Service,
        Self::Admin,
        Self::ReadAdmin,
        Self::User,
        Self::Project,
        Self::Owner,
        Self::Member,
        Self::Restricted,
        Self::Readonly,
        Self::ProjectAdmin,
        Self::Environment,
        Self::Agent,
        Self::AgentRegister,
        Self::Register,
        Self::Token,
    ];

    /// The name in the files, and of the kind of account that has this role outside projects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superadmin => "superadmin",
            Self::Service => "service",
            Self::Admin => "admin",
            Self::ReadAdmin => "readAdmin",
            Self::User => "user",
            Self::Project => "project",
            Self::Owner => "owner",
            Self::Member => "member",
            Self::Restricted => "restricted",
            Self::Readonly => "readonly",
            Self::ProjectAdmin => "projectadmin",
            Self::Environment => "environment",
            Self::Agent => "agent",
            Self::AgentRegister => "agentRegister",
            Self::Register => "register",
            Self::Token => "token",
        }
    }

    /// Reads the name in the files.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// Whether it is a role of people and services outside any project, who may go into one.
    pub fn is_outside(self) -> bool {
        matches!(
            self,
            Self::Superadmin | Self::Service | Self::Admin | Self::ReadAdmin | Self::User
        )
    }
}

/// A type, whatever the version: what the engine and the store know it by.
#[derive(Debug, Clone)]
pub struct Type {
    /// The canonical name (v2-beta's, `stack`; v1's where only v1 has it).
    pub id: String,
    /// The type it inherits from.
    pub parent: Option<String>,
    /// The end of the line of parents; itself if it has none.
    pub root: String,
    /// `1s`: what the ids of its rows begin with.
    pub prefix: String,
    /// Its states and processes; none for types without.
    pub machine: Option<Arc<Machine>>,
    /// The union of its fields over all versions: where each comes from and how it is laid out.
    pub fields: BTreeMap<String, StoredField>,
    /// The sets of views that own fields are grouped by in the stored text, in order.
    pub classes: Vec<u32>,
    /// Whether rows of it can be made here (else creation answers 501).
    pub can_create: bool,
    /// Actions that this build does not have: kept in the schema, not offered, answered 501.
    pub unavailable_actions: Vec<String>,
    /// The states in which rows name actions, the unavailable ones of these too; none is all, or those of its process.
    pub offered_in: BTreeMap<String, Vec<String>>,
    /// Those of them that no state of a row here allows: answered as any other action that a state does not allow.
    pub never_actions: Vec<String>,
    /// Filled on first use; start with the default.
    pub layout: LayoutCell,
}

/// A field as rows store it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredField {
    /// Where its value comes from.
    pub source: Source,
    /// Its type (the latest version's).
    pub ty: FieldType,
    /// What an absent value is written as: the JSON text (`null`, `false`, `"0"`, `[]`).
    pub empty: String,
    /// The index into [`Type::classes`]; only for [`Source::Fields`].
    pub class: usize,
    /// Whether some role, the superadmin aside, may write it.
    pub is_written: bool,
}

/// All that one version shows to one role.
#[derive(Debug)]
pub struct View {
    /// The version.
    pub version: Version,
    /// The role.
    pub role: Role,
    /// The bit of this view in the masks of [`Type::classes`]: a mask with one bit set.
    pub bit: u32,
    /// By name as this view has it (`environment` on v1); each is made when it is first asked for.
    pub types: TypeViews,
    /// By canonical type id → the name in `types`.
    pub by_kind: HashMap<String, String>,
    /// Lower-cased name or plural → the name in `types`.
    pub by_path: HashMap<String, String>,
}

/// A type as one version shows it to one role.
#[derive(Debug)]
pub struct TypeView {
    /// The name in this view.
    pub id: String,
    /// The plural in this view.
    pub plural: String,
    /// The type behind it.
    pub def: Arc<Type>,
    /// What `baseType` says: the immediate parent's name in this view, or its own.
    pub base_type: String,
    /// Its fields.
    pub fields: BTreeMap<String, Field>,
    /// Its actions.
    pub actions: BTreeMap<String, Action>,
    /// What may be filtered (also some hidden fields), with the type that decides the modifiers.
    pub filters: BTreeMap<String, FieldType>,
    /// `GET`, `POST`.
    pub collection_methods: Vec<String>,
    /// `GET`, `PUT`, `DELETE`.
    pub resource_methods: Vec<String>,
    /// What can be followed from a resource, as links are shown (a superset of includeable ones), sorted by name.
    pub links: Vec<Link>,
    /// The names in the schema's `includeableLinks`.
    pub includeable_links: Vec<String>,
    /// Itself and the types right below it that have POST, for a collection's `createTypes` (empty without sub-types).
    pub create_types: Vec<String>,
    /// Canonical ids of itself and all types below it.
    pub kinds: Vec<String>,
    /// Whether a listing of this type is a listing of the whole root (no filter on kind needed).
    pub is_root: bool,
    /// Whether the schema has `links.collection`.
    pub is_listable: bool,
    /// Embedded in other types only: has no rows.
    pub is_embedded: bool,
    /// Filled on first use; start with the default.
    pub template: RowTemplateCell,
    /// What ids of its rows begin with in this view (`1e` for v1's environments, `1st` elsewhere).
    pub prefix: String,
    /// The names of the fields that its resources show: those of `fields`, or more where another version serves it.
    pub shown: Vec<String>,
    /// The fields that input is read by, where these are not `fields`; see [`TypeView::input_fields`].
    pub input: Option<BTreeMap<String, Field>>,
    /// The names that collections tell to be sorted and filtered by.
    pub told: Vec<String>,
    /// The version whose schemas serve it, if that is another one: nested input and the inputs of its actions are read
    /// by that version's schemas, too.
    pub served_as: Option<Version>,
    /// Input that is copied under another name before it is read: `environmentId` → `stackId`.
    pub copies: Vec<(String, String)>,
    /// What is taken out of the structures in its fields, for the role may not see it; by field.
    pub trims: Trims,
    /// States that are shown as others: stored → shown.
    pub states: Vec<(String, String)>,
}

impl TypeView {
    /// What input is validated by.
    pub fn input_fields(&self) -> &BTreeMap<String, Field> {
        self.input.as_ref().unwrap_or(&self.fields)
    }

    /// Whether a row is of this type, or of one below it.
    pub fn has(&self, row: &crate::model::Resource) -> bool {
        self.def.root == row.root && (self.is_root || self.kinds.contains(&row.kind))
    }

    /// The state that is shown for the stored one.
    pub fn shown_state<'a>(&'a self, stored: &'a str) -> &'a str {
        self.states
            .iter()
            .find(|(from, _)| from == stored)
            .map_or(stored, |(_, to)| to)
    }

    /// The stored states that are shown as `shown`: what a filter on the state must look for.
    pub fn stored_states<'a>(&'a self, shown: &'a str) -> impl Iterator<Item = &'a str> {
        let hidden = self.states.iter().any(|(from, _)| from == shown);
        let others = self
            .states
            .iter()
            .filter(move |(_, to)| to == shown)
            .map(|(from, _)| from.as_str());
        (!hidden).then_some(shown).into_iter().chain(others)
    }
}

/// An action in a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The schema of the body.
    pub input: Option<String>,
    /// The schema of the answer.
    pub output: Option<String>,
}

/// A relation that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name in this view (camelCase).
    pub name: String,
    /// What it leads to.
    pub to: Relation,
}

/// How a link finds its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// A reference field of this type: one row, if not null.
    One {
        /// The field as stored.
        field: String,
        /// The far type's canonical id.
        kind: String,
    },
    /// As `One`, but answered as a collection of one (`instance.hosts`).
    Listed {
        /// The field as stored.
        field: String,
        /// The far type's canonical id.
        kind: String,
    },
    /// The rows of `kind` whose `field` refers to this one (`Column(ParentId)` fields included).
    Many {
        /// The far type's canonical id.
        kind: String,
        /// The far type's reference field.
        field: String,
    },
    /// The rows at the other end of a map type: rows of `through` whose `near` is this one; their `far` is the answer.
    Through {
        /// The far type's canonical id.
        kind: String,
        /// The map type.
        through: String,
        /// The map's reference to this type.
        near: String,
        /// The map's reference to the far type.
        far: String,
    },
    /// Made by code (`schemas` of a project …); where there is no code, an empty collection.
    Computed,
    /// To what is no row, by code: statistics, files. Rows have the link, schemas do not list it.
    Handled,
}

/// What types and views are made of. The schemas of a process are there until it ends, so that whatever is made of them later can
/// refer to them.
#[derive(Debug)]
pub(super) struct Sources {
    pub files: Files,
    pub shapes: Vec<(Version, Shapes)>,
    pub types: BTreeMap<String, Arc<Type>>,
}

/// All types, and the views of them: frozen, each when it is first asked for.
#[derive(Debug)]
pub struct Registry {
    /// What types and fields are for, once somebody asks.
    pub(super) texts: OnceLock<super::Descriptions>,
    summaries: OnceLock<String>,
    /// By canonical id.
    pub types: &'static BTreeMap<String, Arc<Type>>,
    sources: &'static Sources,
    /// One per version and role.
    views: Vec<OnceLock<Arc<View>>>,
}

impl Registry {
    pub(super) fn new(sources: &'static Sources) -> Self {
        let views = (0..Version::ALL.len() * Role::ALL.len())
            .map(|_| OnceLock::new())
            .collect();
        Self {
            summaries: OnceLock::new(),
            texts: OnceLock::new(),
            types: &sources.types,
            sources,
            views,
        }
    }

    /// How types are shown to people, as JSON by name.
    pub fn summaries(&self) -> &str {
        self.summaries.get_or_init(|| super::summary::all(&self.sources.files))
    }

    /// The type of this canonical id.
    pub fn find_type(&self, kind: &str) -> Option<&Arc<Type>> {
        self.types.get(kind)
    }

    /// The type of a row: that of its kind, or of its root where the kind is a word of its own (`dockerHost`) or happens to be
    /// the name of a type elsewhere (an account of kind `agent`).
    pub fn type_of(&self, root: &str, kind: &str) -> Option<&Arc<Type>> {
        self.find_type(kind)
            .filter(|ty| ty.root == root)
            .or_else(|| self.find_type(root))
    }
    /// The view by whose schemas the input of `ty` is read: another version's, if that one serves the type.
    pub fn input_view<'a>(&'a self, view: &'a View, ty: &TypeView) -> &'a View {
        ty.served_as.map_or(view, |version| self.view(version, view.role))
    }

    /// The view of a version and role. Made the first time, which takes some milliseconds; its types when they are asked for.
    pub fn view(&self, version: Version, role: Role) -> &Arc<View> {
        let Some(cell) = self.views.get(view_index(version, role)) else {
            unreachable!("there is a cell for each version and role")
        };
        cell.get_or_init(|| Arc::new(freeze::view(self.sources, version, role)))
    }

    /// All views, made if they were not yet.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        Version::ALL
            .into_iter()
            .flat_map(move |version| Role::ALL.into_iter().map(move |role| self.view(version, role)))
    }
}

/// The place of a view among all: its bit in the masks of [`Type::classes`].
pub(super) fn view_index(version: Version, role: Role) -> usize {
    version as usize * Role::ALL.len() + role as usize
}

impl View {
    /// By a path segment: singular or plural, any case.
    pub fn find_by_path(&self, segment: &str) -> Option<&Arc<TypeView>> {
        self.by_path
            .get(&segment.to_ascii_lowercase())
            .and_then(|name| self.types.get(name))
    }

    /// By canonical type id; `None` if this view hides it.
    pub fn find_by_kind(&self, kind: &str) -> Option<&Arc<TypeView>> {
        self.by_kind.get(kind).and_then(|name| self.types.get(name))
    }
}
