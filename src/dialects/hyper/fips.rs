//! Floating addresses: allocated, listed, led to services and containers, given back.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::caller::{Caller, Deed, fields, named};
use super::containers;
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::shown::{Service, all};
use crate::model::launch::parse_reference;
use crate::model::{Error, Resource};

const KIND: &str = "floatingAddress";
/// The most that are allocated at once.
const MOST: usize = 64;

/// The address of a row.
fn address(row: &Resource) -> Outcome<String> {
    Ok(fields(row)?.text("address").unwrap_or_default())
}

async fn find(caller: &Caller, ip: &str) -> Outcome<Resource> {
    for row in caller.lasting(KIND).await? {
        if address(&row)? == ip {
            return Ok(row);
        }
    }
    Err(Refusal::new(
        StatusCode::NOT_FOUND,
        format!("No such floating IP: {ip}"),
    ))
}

/// Notes for the audit log what is done to an address.
fn note(caller: &mut Caller, row: Option<&Resource>, operation: &str, name: &str) {
    if let Some(ty) = caller.engine.registry().find_type(KIND).cloned() {
        caller.note(&ty, row, operation, &named(name));
    }
}

/// `POST /fips/allocate`.
pub async fn allocate(caller: &mut Caller, query: &Query) -> Outcome<Value> {
    caller.may("service", Deed::Create)?;
    let count = match query.text("count") {
        "" => 1,
        text => text
            .parse()
            .ok()
            .filter(|count| (1..=MOST).contains(count))
            .ok_or_else(|| Refusal::field("count", format!("a number from 1 to {MOST}")))?,
    };
    note(caller, None, "create", "");
    let rows = caller.engine.allocate_addresses(&caller.scope, count).await?;
    let all = rows.iter().map(address).collect::<Outcome<Vec<_>>>()?;
    Ok(json!(all))
}

/// What has an address: the names of a container and of a service, each empty for none.
async fn holders(caller: &Caller, rows: &[Resource]) -> Outcome<Vec<(String, String)>> {
    let services = caller.lasting("service").await?;
    let containers = caller.lasting("instance").await?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let own = fields(row)?;
        let named = |all: &[Resource], field: &str| {
            let id = own.text(field).and_then(|wire| parse_reference(&wire));
            let found = all.iter().find(|row| Some(row.id) == id);
            found.map_or(String::new(), |row| row.name.clone())
        };
        out.push((named(&containers, "instanceId"), named(&services, "serviceId")));
    }
    Ok(out)
}

/// `GET /fips`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let filters = query.filters(&["dangling", "name", "fip"])?;
    let dangling = filters.truth("dangling")?;
    let rows = caller.lasting(KIND).await?;
    let mut out = Vec::new();
    for (row, (container, service)) in rows.iter().zip(holders(caller, &rows).await?) {
        let ip = address(row)?;
        let is_dangling = container.is_empty() && service.is_empty();
        if dangling.is_none_or(|wanted| wanted == is_dangling)
            && filters.fits("name", |name| name == row.name)
            && filters.fits("fip", |fip| fip == ip)
        {
            out.push(json!({"fip": ip, "name": row.name, "container": container, "service": service}));
        }
    }
    Ok(Value::Array(out))
}

/// `POST /fips/attach`: to a container, or to a service, by its name or id.
pub async fn attach(caller: &mut Caller, query: &Query) -> Outcome<()> {
    caller.may("service", Deed::Update)?;
    let (ip, wanted) = (query.needed("ip")?.to_owned(), query.needed("container")?.to_owned());
    let row = find(caller, &ip).await?;
    note(caller, Some(&row), "update", &wanted);
    let to = holder(caller, &wanted).await?;
    caller.engine.lead_address(&caller.scope, &row, Some(&to)).await?;
    Ok(())
}

/// Who is meant by a word: a container, or a service.
async fn holder(caller: &Caller, wanted: &str) -> Outcome<Resource> {
    match containers::find(caller, wanted).await {
        Ok(row) => Ok(row),
        Err(missing) => {
            let services = all(caller).await?;
            let found = services
                .into_iter()
                .find(|service| service.row.name.eq_ignore_ascii_case(wanted));
            found.map(|service| service.row).ok_or(missing)
        }
    }
}

/// `POST /fips/detach`: gives the address that a container, or a service, had.
pub async fn detach(caller: &mut Caller, query: &Query) -> Outcome<Value> {
    caller.may("service", Deed::Update)?;
    let wanted = query.needed("container")?.to_owned();
    let holder = holder(caller, &wanted).await?;
    let row = held_by(caller, &holder).await?;
    let none = || Refusal::new(StatusCode::NOT_FOUND, format!("{wanted} has no floating IP"));
    let row = row.ok_or_else(none)?;
    note(caller, Some(&row), "update", &wanted);
    caller.engine.lead_address(&caller.scope, &row, None).await?;
    Ok(json!(address(&row)?))
}

/// The address that a service or a container has.
async fn held_by(caller: &Caller, holder: &Resource) -> Outcome<Option<Resource>> {
    let field = if holder.root == "service" {
        "serviceId"
    } else {
        "instanceId"
    };
    for row in caller.lasting(KIND).await? {
        let id = fields(&row)?.text(field).and_then(|wire| parse_reference(&wire));
        if id == Some(holder.id) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Leads an address to a service; an empty one takes away the one that it has.
pub async fn lead_to_service(caller: &mut Caller, service: &Service, ip: &str) -> Outcome<()> {
    let led = match ip {
        "" => match held_by(caller, &service.row).await? {
            Some(row) => caller.engine.lead_address(&caller.scope, &row, None).await,
            None => return Ok(()),
        },
        ip => {
            let row = find(caller, ip).await?;
            caller
                .engine
                .lead_address(&caller.scope, &row, Some(&service.row))
                .await
        }
    };
    Ok(led.map(drop)?)
}

/// `POST /fips/release`.
pub async fn release(caller: &mut Caller, query: &Query) -> Outcome<()> {
    caller.may("service", Deed::Remove)?;
    let row = find(caller, query.needed("ip")?).await?;
    note(caller, Some(&row), "delete", "");
    caller.engine.release_address(&caller.scope, &row).await?;
    Ok(())
}

/// `POST /fips/name`.
pub async fn name(caller: &mut Caller, query: &Query) -> Outcome<()> {
    caller.may("service", Deed::Update)?;
    let row = find(caller, query.needed("ip")?).await?;
    let name = query.text("name").to_owned();
    let is_good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.len() > 64 || !name.chars().all(is_good) {
        return Err(Refusal::field(
            "name",
            "at most 64 letters, digits, dots, hyphens and underscores",
        ));
    }
    note(caller, Some(&row), "update", &name);
    let named = caller.engine.name_address(&caller.scope, &row, name.clone()).await;
    let taken = |error: Error| match error.code.as_deref() {
        Some("NotUnique") => Refusal::new(StatusCode::CONFLICT, format!("another floating IP has the name {name}")),
        _ => error.into(),
    };
    named.map(drop).map_err(taken)
}
