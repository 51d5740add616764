//! Bearer tokens: one text that proves an account, for as long as it was made for, in a role that is never more than the
//! account's own, and in all of the account's projects or only in some. Only a digest of it is kept.

use crate::engine::core::{Core, Holder, Reach, Scope, live, new_row, retire_part};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, Timestamp, WireId};
use crate::schema::{Role, limits};
use crate::secret;
use crate::store::{Changes, CredentialSecret, NewResource, Priority};

/// The type, and the kind of what is kept beside its rows.
pub(crate) const BEARER: &str = "bearerToken";

/// What a bearer token may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BearerRole {
    /// To look.
    Viewer,
    /// To change what runs.
    Operator,
    /// All that its account may.
    Admin,
}

impl BearerRole {
    /// All of them, from the least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The one of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// What is left of what an account is: as who only looks, as a member, or as it is.
    fn narrow(self, role: Role, in_project: bool) -> Role {
        match (self, role) {
            (Self::Admin, role) => role,
            (_, Role::Readonly | Role::ReadAdmin) => role,
            (Self::Viewer, _) if in_project => Role::Readonly,
            (Self::Viewer, Role::Superadmin | Role::Admin | Role::Service) => Role::ReadAdmin,
            (Self::Operator, Role::Owner | Role::Superadmin | Role::Service) if in_project => Role::Member,
            (_, Role::Superadmin | Role::Admin | Role::Service) => Role::User,
            (_, role) => role,
        }
    }
}

/// A token to be made.
pub struct NewBearer {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub account: ResourceId,
    /// What it may do at most.
    pub role: BearerRole,
    /// Where; none is everywhere.
    pub projects: Option<Vec<ResourceId>>,
    /// Until when; none is for good.
    pub expires: Option<Timestamp>,
    /// What its text begins with, so that people see what it is for.
    pub prefix: &'static str,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Its row.
    pub id: ResourceId,
    /// Whose it is.
    pub account: ResourceId,
    /// What it is called.
    pub name: String,
    /// What it may do at most.
    pub role: BearerRole,
    /// Where; none is everywhere.
    pub projects: Option<Vec<ResourceId>>,
    /// Until when; none is for good.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// The public half, by which it is found.
    pub public_value: String,
}

impl Bearer {
    fn of(row: &Resource) -> Result<Self> {
        let fields = Fields::parse(&row.fields)?;
        let time = |name: &str| fields.text(name).and_then(|text| Timestamp::parse(&text));
        let ids: Vec<String> = fields.read("projectIds")?.unwrap_or_default();
        let ids = ids.iter().filter_map(|wire| WireId::parse(wire)).map(|wire| wire.id);
        let is_everywhere: bool = fields.read("allProjects")?.unwrap_or(false);
        let role = fields.text("role").and_then(|role| BearerRole::parse(&role));
        Ok(Self {
            id: row.id,
            account: row.account_id.unwrap_or(ResourceId(0)),
            name: row.name.clone(),
            role: role.unwrap_or(BearerRole::Viewer),
            projects: (!is_everywhere).then(|| ids.collect()),
            expires: time("expires"),
            last_used: time("lastUsed"),
            created: row.created,
            public_value: fields.text("publicValue").unwrap_or_default(),
        })
    }

    /// Whether it opens this project.
    pub fn opens(&self, project: ResourceId) -> bool {
        self.projects.as_ref().is_none_or(|some| some.contains(&project))
    }
}

impl Core {
    /// A new token and its text, which nobody is told again.
    ///
    /// # Errors
    /// 422 for an account that has as many as one may have.
    pub(crate) async fn create_bearer(&self, scope: &Scope, new: NewBearer) -> Result<(Bearer, String)> {
        let def = self.type_of(BEARER)?.clone();
        let (public, plain) = (secret::access_key()?, secret::secret_key()?);
        let text = format!("{}{public}_{plain}", new.prefix);
        let kept = self.config.secrets.digest(&text);
        let wires = |ids: &[ResourceId]| -> Vec<String> { ids.iter().map(|id| self.wire_id("project", *id)).collect() };
        let mut fields = Fields::default();
        fields.set("allProjects", &new.projects.is_none())?;
        fields.set("projectIds", &wires(new.projects.as_deref().unwrap_or_default()))?;
        fields.set("role", new.role.as_str())?;
        fields.set("publicValue", &public)?;
        fields.set("expires", &new.expires.map(Timestamp::to_wire))?;
        fields.set("lastUsed", &None::<String>)?;
        let (account, name) = (new.account, new.name);
        let row = self
            .write_for(scope, move |tx| {
                if tx.all(BEARER, Some(account))?.len() >= limits::KEYS {
                    return Err(Error::invalid("MaxLimitExceeded", "accountId"));
                }
                let row = tx.insert(NewResource {
                    name,
                    ..new_row(&def, Some(account), fields)
                })?;
                tx.set_credential(&CredentialSecret {
                    id: row.id,
                    kind: BEARER.to_owned(),
                    public_value: public,
                    secret: kept,
                })?;
                Ok(row)
            })
            .await?;
        Ok((Bearer::of(&row)?, text))
    }

    /// The token that a text is, if it is one that holds.
    pub(crate) fn bearer(&self, text: &str) -> Result<Option<Bearer>> {
        let Some((left, _)) = text.rsplit_once('_') else {
            return Ok(None);
        };
        let public = left.rsplit('_').next().unwrap_or_default();
        for kept in self.store.credentials(public)? {
            if kept.kind == BEARER && self.config.secrets.matches(text, &kept.secret) {
                return self.bearer_of(kept.id);
            }
        }
        Ok(None)
    }

    /// The token of a row, if it is there and its time is not over.
    pub(crate) fn bearer_of(&self, id: ResourceId) -> Result<Option<Bearer>> {
        let row = self.store.find(id)?;
        let row = row.filter(|row| row.root == BEARER && row.removed.is_none());
        let bearer = row.map(|row| Bearer::of(&row)).transpose()?;
        Ok(bearer.filter(|bearer| bearer.expires.is_none_or(|end| end > self.now())))
    }

    /// All tokens, or those of one account.
    pub(crate) fn bearers(&self, account: Option<ResourceId>) -> Result<Vec<Bearer>> {
        self.store.all(BEARER, account)?.iter().map(Bearer::of).collect()
    }

    /// Ends a token at once.
    pub(crate) async fn end_bearer(&self, scope: &Scope, id: ResourceId) -> Result<()> {
        let keep = self.keep_removed();
        self.write_for(scope, move |tx| {
            let row = live(tx, id)?;
            if row.root != BEARER {
                return Err(Error::not_found());
            }
            retire_part(tx, id, keep)?;
            tx.get(id)
        })
        .await
        .map(drop)
    }

    /// Notes that a token was used now.
    pub(crate) async fn note_bearer_use(&self, id: ResourceId) -> Result<()> {
        let written = self.store.write(Priority::Background, move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            let mut patch = Fields::default();
            patch.set("lastUsed", &tx.now().to_wire())?;
            let changes = Changes {
                patch,
                ..Changes::default()
            };
            tx.update_if(&row, &changes).map(drop)
        });
        written.await
    }

    /// What a token leaves of what its account is.
    ///
    /// # Errors
    /// 401 for one that is over, 403 for a project that it does not open, and for one that opens only some where no project is named.
    pub(super) fn narrowed(&self, id: ResourceId, holder: &Holder) -> Result<(Role, Reach)> {
        let bearer = self.bearer_of(id)?.filter(|bearer| bearer.account == holder.user.id);
        let bearer = bearer.ok_or_else(|| Error::new(ErrorKind::Unauthorized))?;
        let is_open = match holder.project {
            Some(project) => bearer.opens(project),
            None => bearer.projects.is_none(),
        };
        if !is_open {
            return Err(Error::new(ErrorKind::Forbidden));
        }
        let role = bearer.role.narrow(holder.role, holder.project.is_some());
        let reach = match role {
            Role::User => Reach::Account(holder.user.id),
            _ => holder.reach,
        };
        Ok((role, reach))
    }
}
