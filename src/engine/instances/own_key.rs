//! Containers that ask the API themselves (`io.rancher.container.create_agent`): each has a key of its own, for its project alone,
//! from when it is made until it is removed. Its program finds it in the environment; no row shows the secret.

use std::time::Duration;

use serde_json::Value;

use crate::engine::access::NewKey;
use crate::engine::core::{Core, Input, Outcome, Scope, fenced, new_row, notes, retire, write_notes};
use crate::model::launch::LaunchConfig;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::schema::Role;
use crate::store::{Changes, NewResource, Process, Tx};

use super::container_rows::InstanceNotes;

/// Asks for a key.
const WANTED: &str = "io.rancher.container.create_agent";

/// What the key may do: `environment`, if nothing is said, or `environmentAdmin`.
const ROLE: &str = "io.rancher.container.agent.role";

/// What the secret of such a key is sealed for: it is the key of an agent.
const CONTEXT: &str = "agentApiKey.secretValue";
const KIND: &str = "agentApiKey";

/// By which address whoever is elsewhere reaches the API.
const API_HOST: &str = "api.host";

/// Before somebody may have said the address.
const ADDRESS_WAIT: Duration = Duration::from_secs(10);

/// What a container is told of its key.
pub(super) type Told = [(&'static str, String); 3];

/// The role of the key that labels ask for.
fn role_of(wanted: Option<&str>, role: Option<&str>) -> Result<Option<Role>> {
    match (wanted, role) {
        (Some("true"), None | Some("" | "environment" | "agent")) => Ok(Some(Role::Environment)),
        (Some("true"), Some("environmentAdmin")) => Ok(Some(Role::ProjectAdmin)),
        (Some("true"), Some(_)) => Err(Error::invalid("InvalidOption", "labels")
            .with_message(format!("{ROLE} is environment or environmentAdmin"))),
        _ => Ok(None),
    }
}

fn role_in(launch: &LaunchConfig) -> Result<Option<Role>> {
    role_of(launch.label(WANTED), launch.label(ROLE))
}

/// The rights that each of a body's configurations asks for.
fn asked_roles(input: &Input) -> impl Iterator<Item = Result<Option<Role>>> {
    let label = |config: &Input, name: &str| {
        let label = config.get("labels").and_then(|labels| labels.get(name));
        label.and_then(Value::as_str).map(str::to_owned)
    };
    let primary = input.get("launchConfig").and_then(Value::as_object);
    let sidekicks = input.get("secondaryLaunchConfigs").and_then(Value::as_array);
    let sidekicks = sidekicks.into_iter().flatten().filter_map(Value::as_object);
    let all = std::iter::once(input).chain(primary).chain(sidekicks);
    all.map(move |config| role_of(label(config, WANTED).as_deref(), label(config, ROLE).as_deref()))
}

/// Refuses a configuration whose containers ask for keys of their own, where nobody is there whose rights could be compared.
pub(crate) fn refuse_own_key(input: &Input) -> Result<()> {
    for role in asked_roles(input) {
        if role?.is_some() {
            let why = format!("{WANTED}: only a request of its own gives containers a key");
            return Err(Error::invalid("InvalidOption", "labels").with_message(why));
        }
    }
    Ok(())
}

/// Refuses a configuration whose containers would get more rights than whoever asks for it has.
pub(crate) fn check_own_key(scope: &Scope, input: &Input) -> Result<()> {
    for role in asked_roles(input) {
        let allowed = match role? {
            None => true,
            Some(Role::ProjectAdmin) => !matches!(
                scope.role,
                Role::Member | Role::Environment | Role::Restricted | Role::Readonly | Role::ReadAdmin | Role::User
            ),
            Some(_) => !matches!(
                scope.role,
                Role::Restricted | Role::Readonly | Role::ReadAdmin | Role::User
            ),
        };
        if !allowed {
            let why = "this role may not give a container rights in the project that it has not itself";
            return Err(Error::new(ErrorKind::Forbidden).with_message(why));
        }
    }
    Ok(())
}

impl Core {
    /// The key of a container that wants one, made if it is not there yet.
    ///
    /// # Errors
    /// What becomes of the process if there can be none now.
    pub(super) async fn own_key(
        &self,
        process: &Process,
        row: &Resource,
        launch: &LaunchConfig,
    ) -> Result<std::result::Result<Option<Told>, Outcome>> {
        let Some(role) = role_in(launch).ok().flatten() else {
            return Ok(Ok(None));
        };
        let host = self.setting(API_HOST)?.and_then(|setting| setting.active_value);
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            let why = format!("Waiting for the setting {API_HOST}: the container is to ask the API by it");
            return Ok(Err(Outcome::Again(ADDRESS_WAIT, why)));
        };
        let Some(project) = row.account_id else {
            return Ok(Ok(None));
        };
        let account = match notes::<InstanceNotes>(row).own_key {
            Some(account) => Some(account),
            None => self.make_own_key(process, row, project, role).await?,
        };
        let Some((public, secret)) = account.map(|account| self.kept_key(account)).transpose()?.flatten() else {
            return Ok(Err(Outcome::Again(
                super::making::SIBLING_WAIT,
                "Waiting for its key".into(),
            )));
        };
        let host = if host.contains("://") {
            host
        } else {
            format!("http://{host}")
        };
        Ok(Ok(Some([
            ("CATTLE_URL", format!("{}/v1", host.trim_end_matches('/'))),
            ("CATTLE_ACCESS_KEY", public),
            ("CATTLE_SECRET_KEY", secret),
        ])))
    }

    async fn make_own_key(
        &self,
        process: &Process,
        row: &Resource,
        project: ResourceId,
        role: Role,
    ) -> Result<Option<ResourceId>> {
        let key: NewKey = self.new_key(CONTEXT)?;
        let (account, credential) = (self.type_of("account")?.clone(), self.type_of("credential")?.clone());
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(None);
            };
            let note: InstanceNotes = notes(&row);
            if note.own_key.is_some() {
                return Ok(note.own_key);
            }
            let acting = serde_json::json!({"actsFor": project.0, "actsAs": role.as_str()});
            let made = tx.insert(NewResource {
                kind: "agent".into(),
                name: row.name.clone(),
                state: State::ACTIVE,
                internal: acting.to_string(),
                ..new_row(&account, None, Fields::default())
            })?;
            let new = NewResource {
                state: State::ACTIVE,
                name: row.name.clone(),
                ..new_row(&credential, Some(made.id), Fields::default())
            };
            key.insert(tx, &credential, KIND, new)?;
            let changes = Changes {
                internal: Some(write_notes(&InstanceNotes {
                    own_key: Some(made.id),
                    ..note
                })?),
                ..Changes::default()
            };
            tx.update_if(&row, &changes)?;
            Ok(Some(made.id))
        })
        .await
    }

    fn kept_key(&self, account: ResourceId) -> Result<Option<(String, String)>> {
        let keys = self.store.all("credential", Some(account))?;
        let Some(key) = keys.iter().find(|key| key.kind == KIND && key.state == State::ACTIVE) else {
            return Ok(None);
        };
        let kept = self.store.credential(key.id)?;
        Ok(kept.and_then(|kept| {
            let secret = self.config.secrets.unseal(CONTEXT, &kept.secret)?;
            Some((kept.public_value, secret))
        }))
    }
}

/// Ends the key of a container that goes.
pub(super) fn end_own_key(tx: &mut Tx<'_>, note: &InstanceNotes, keep: Duration) -> Result<()> {
    let Some(account) = note.own_key.map(|id| tx.find(id)).transpose()?.flatten() else {
        return Ok(());
    };
    for key in tx.all("credential", Some(account.id))? {
        tx.delete_credential(key.id)?;
        retire(tx, &key, keep)?;
    }
    if account.removed.is_none() {
        retire(tx, &account, keep)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::*;
    use crate::engine::core::{Account, AuthType, Proof, Reach};
    use crate::schema::Version;

    fn scope(role: Role) -> Scope {
        let project = Account {
            id: ResourceId(5),
            kind: "project".into(),
            name: "p".into(),
        };
        Scope {
            version: Version::V2Beta,
            project: Some(project.id),
            role,
            reach: Reach::Account(project.id),
            auth: AuthType::Basic,
            proof: Proof::Open,
            user: project.clone(),
            effective: project,
            attempt: None,
        }
    }

    #[test]
    fn nobody_gives_a_container_more_than_they_have() {
        let labels = |role: &str| json!({WANTED: "true", ROLE: role});
        let (plain, admin) = (labels("environment"), labels("environmentAdmin"));
        for (role, may_plain, may_admin) in [
            (Role::Owner, true, true),
            (Role::Project, true, true),
            (Role::Admin, true, true),
            (Role::Member, true, false),
            (Role::Environment, true, false),
            (Role::Restricted, false, false),
            (Role::Readonly, false, false),
        ] {
            for (labels, may) in [(&plain, may_plain), (&admin, may_admin)] {
                for body in [
                    json!({"labels": labels}),
                    json!({"launchConfig": {"labels": labels}}),
                    json!({"secondaryLaunchConfigs": [{"labels": {}}, {"labels": labels}]}),
                ] {
                    let input: Input = serde_json::from_value(body).unwrap();
                    assert_eq!(check_own_key(&scope(role), &input).is_ok(), may, "{role:?} {input:?}");
                }
            }
        }
        let check = |labels: Value| {
            check_own_key(
                &scope(Role::Readonly),
                &serde_json::from_value(json!({"labels": labels})).unwrap(),
            )
        };
        assert!(check(json!({WANTED: "false", ROLE: "environmentAdmin"})).is_ok());
        assert!(
            check_own_key(
                &scope(Role::Owner),
                &serde_json::from_value(json!({"labels": labels("king")})).unwrap()
            )
            .is_err()
        );
    }
}
