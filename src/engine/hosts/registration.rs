//! How hosts join: a token for a project, with it a registration, and from that an agent and its key.
//!
//! cattle: `RegistrationTokenAuthLookup`, `RegisterCreate`, `RegisterOutputFilter`.

use serde_json::Value;

use crate::engine::core::{Core, Derived, Input, Outcome, Scope, TOKEN_KIND, insert_and_start, row_from_input};
use crate::model::launch::parse_reference;
use crate::model::{Fields, Resource, ResourceId, Result, State, Timestamp};
use crate::schema::TypeView;
use crate::secret;

use super::agents::{KEY_CONTEXT, NewAgent, insert_agent, registered_fields};

/// What the secret of a token is sealed for.
const TOKEN_CONTEXT: &str = "registrationToken.secretValue";

/// Where agents are if a registration says nothing else; the register object's uuid comes into its place.
const AGENT_URI: &str = "event://%s";

/// Whose a new token or registration is: the caller's, or whoever's a caller for all accounts says.
fn owner(scope: &Scope, account: ResourceId, input: &Input) -> ResourceId {
    let named = input.get("accountId").and_then(Value::as_str).and_then(parse_reference);
    named.filter(|_| scope.owner().is_none()).unwrap_or(account)
}

/// A registration token: a key for the account, with no more in the body than a name.
pub(crate) async fn create_token(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: &Input,
) -> Result<Resource> {
    core.require_infrastructure(scope)?;
    let new = row_from_input(&ty.def, owner(scope, account, input), input)?;
    let key = core.new_key(TOKEN_CONTEXT)?;
    let def = ty.def.clone();
    core.write_for(scope, move |tx| key.insert(tx, &def, TOKEN_KIND, new))
        .await
}

/// A registration; what follows from it is done by its process.
pub(crate) async fn register(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: &Input,
) -> Result<Resource> {
    let new = row_from_input(&ty.def, owner(scope, account, input), input)?;
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| insert_and_start(tx, machine.as_deref(), new))
        .await
}

impl Core {
    /// `genericobject.create`: a registration makes its agent.
    pub(crate) async fn create_registration(&self, row: &Resource) -> Result<Outcome> {
        if row.kind != "register" {
            return Ok(Outcome::done());
        }
        let types = self.agent_types()?;
        let key = self.new_key(KEY_CONTEXT)?;
        let (id, wire) = (row.id, self.wire_id("register", row.id));
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|r| r.removed.is_none()) else {
                return Ok(());
            };
            if !tx.referrers(row.id, "registerId")?.is_empty() {
                return Ok(());
            }
            let fields = Fields::parse(&row.fields)?;
            let format = fields
                .text("agentUriFormat")
                .filter(|f| !f.is_empty())
                .unwrap_or_else(|| AGENT_URI.into());
            let key_text = fields.text("key").unwrap_or_default();
            let own = registered_fields(&format.replace("%s", &row.uuid), &key_text, row.account_id, &wire)?;
            let agent = insert_agent(
                tx,
                &types,
                NewAgent {
                    kind: "registeredAgent",
                    name: row.name.clone(),
                    uuid: None,
                    fields: own,
                },
                key,
            )?;
            let mut data: serde_json::Map<String, Value> = fields.read("data").ok().flatten().unwrap_or_default();
            data.insert("agentId".into(), agent.id.0.into());
            let mut patch = Fields::default();
            patch.set("data", &data)?;
            tx.update_if(
                &row,
                &crate::store::Changes {
                    patch,
                    ..Default::default()
                },
            )
            .map(drop)
        })
        .await?;
        Ok(Outcome::done())
    }

    /// The computed fields of registrations: the key of the agent that each made. The API shows them to who knows `key`.
    pub(crate) fn derive_registrations(&self, rows: &[&Resource], derived: &mut Derived) -> Result<()> {
        for row in rows.iter().filter(|r| r.kind == "register" && r.state == State::ACTIVE) {
            if let Some(key) = self.shown_key(row)? {
                derived.entry(row.id).or_default().extend(key);
            }
        }
        Ok(())
    }

    /// The computed fields of registration tokens, as far as they do not depend on how the server is reached.
    pub(crate) fn derive_tokens(&self, rows: &[&Resource], derived: &mut Derived) -> Result<()> {
        for row in rows.iter().filter(|r| r.kind == TOKEN_KIND) {
            let Some(kept) = self.store.credential(row.id)? else {
                continue;
            };
            let Some(secret) = self.config.secrets.unseal(TOKEN_CONTEXT, &kept.secret) else {
                continue;
            };
            let signed = format!("{}:{}", kept.public_value, issued_at(self.now()).0);
            let token = format!("{signed}:{}", secret::token_signature(&secret, &signed)?);
            derived
                .entry(row.id)
                .or_default()
                .push(("token", Value::from(token).to_string()));
        }
        Ok(())
    }
}

/// The time in a token: the last midnight of the year before, so that it changes once a year.
fn issued_at(now: Timestamp) -> Timestamp {
    let year: i32 = now.to_wire().get(..4).and_then(|y| y.parse().ok()).unwrap_or(1970);
    Timestamp::parse(&format!("{:04}-12-31T00:00:00Z", year - 1)).unwrap_or(Timestamp(0))
}
