//! The company, which is the account behind a key, and its clusters, which are projects.

use serde_json::{Value, json};

use super::caller::{Caller, list};
use super::refusal::Outcome;
use crate::model::Resource;

/// The fields of a company that settings say, and those settings.
const OF_SETTINGS: [(&str, &str); 6] = [
    ("street_address", "medstack.company.street.address"),
    ("city", "medstack.company.city"),
    ("province", "medstack.company.province"),
    ("country", "medstack.company.country"),
    ("postal_code", "medstack.company.postal.code"),
    ("phone_number", "medstack.company.phone.number"),
];
/// What it is called, if not as the account.
const NAME: &str = "medstack.company.name";
/// Of whom the machines of clusters are, and where.
const PROVIDER: &str = "medstack.provider";
const REGION: &str = "medstack.region";

fn setting(caller: &Caller, name: &str) -> String {
    caller.engine.setting(name).unwrap_or_default()
}

/// `GET /companies/current`.
pub fn current(caller: &Caller) -> Outcome<Value> {
    let row = caller.company()?;
    let name = Some(setting(caller, NAME)).filter(|name| !name.is_empty());
    let mut company = json!({
        "id": caller.ids.of("company", row.id), "object": "company", "name": name.unwrap_or_else(|| row.name.clone()),
    });
    if let Some(company) = company.as_object_mut() {
        company.extend(OF_SETTINGS.map(|(field, name)| (field.to_owned(), json!(setting(caller, name)))));
    }
    Ok(company)
}

/// `GET …/clusters`.
pub async fn clusters(caller: &Caller) -> Outcome<Value> {
    let rows = caller.clusters().await?;
    Ok(list(rows.iter().map(|row| shown(caller, row)).collect()))
}

/// `GET …/clusters/{cluster_id}`, by a caller that has entered it.
pub fn cluster(caller: &Caller) -> Outcome<Value> {
    Ok(shown(caller, &*caller.company()?))
}

fn shown(caller: &Caller, row: &Resource) -> Value {
    json!({
        "id": caller.ids.of("cluster", row.id),
        "object": "cluster",
        "label": row.name,
        "infrastructure_provider": {"id": setting(caller, PROVIDER)},
        "region": {"name": setting(caller, REGION)},
    })
}
