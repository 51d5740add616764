//! Rows as the whole of an answer: one, or all there are.

use actix_web::http::StatusCode;

use super::chosen::Chosen;
use super::collection::{self, Head};
use super::resource::{Included, Writer};
use crate::api::wire::call::{Call, Reply};
use crate::model::{Error, Resource, Result};
use crate::schema::TypeView;

/// How rows of the answer are written.
pub fn writer<'c>(call: &'c Call<'_>, chosen: Option<&'c Chosen>) -> Writer<'c> {
    Writer {
        engine: call.engine,
        scope: call.scope,
        view: call.view,
        root: &call.base.root,
        actions_key: call.actions_key,
        chosen,
        key: call.query.first("key"),
    }
}

/// One row. Reads what is computed for it, inline: a point read is cheaper than a change of threads.
pub fn row(call: &Call<'_>, status: StatusCode, row: &Resource) -> Result<Reply> {
    row_with(call, status, row, None)
}

/// One row and what comes along with it.
pub fn row_with(call: &Call<'_>, status: StatusCode, row: &Resource, included: Option<&Included<'_>>) -> Result<Reply> {
    let derived = call.engine.derive(call.scope, std::slice::from_ref(row))?;
    let mut body = String::with_capacity(row.fields.len() + 2048);
    let chosen = Chosen::asked(call.view, call.query)?;
    if !writer(call, chosen.as_ref()).row_with(&mut body, row, &derived, included) {
        return Err(Error::not_found());
    }
    Ok(Reply::new(status, body))
}

/// Rows that are all there are. `preset` is the field and value that new elements begin with.
pub fn rows(
    call: &Call<'_>,
    status: StatusCode,
    ty: &TypeView,
    rows: &[Resource],
    preset: Option<(&str, &str)>,
) -> Result<Reply> {
    let mut body = listed(call, ty, rows)?;
    collection::close(&mut body, preset);
    Ok(Reply::new(status, body))
}

/// Rows that one request made.
pub fn made(call: &Call<'_>, ty: &TypeView, rows: &[Resource]) -> Result<Reply> {
    let mut body = listed(call, ty, rows)?;
    collection::close_whole(&mut body, &call.url(), ty, call.query, &[]);
    Ok(Reply::new(StatusCode::CREATED, body))
}

/// A collection up to the end of its rows.
fn listed(call: &Call<'_>, ty: &TypeView, rows: &[Resource]) -> Result<String> {
    let derived = call.engine.derive(call.scope, rows)?;
    let mut body = String::with_capacity(1024 + rows.iter().map(|r| r.fields.len() + 2048).sum::<usize>());
    let head = Head {
        resource_type: &ty.id,
        url: &call.url(),
        create_types: Some((&**call.view, ty)),
        root: &call.base.root,
        actions_key: call.actions_key,
    };
    collection::open(&mut body, &head);
    writer(call, None).rows(&mut body, rows, &derived, None);
    Ok(body)
}
