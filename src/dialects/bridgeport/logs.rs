//! What a container wrote, as one text.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::caller::Asker;
use super::refusal::{Code, Outcome, Refusal};
use super::{BridgeportApi, Call, placed, services};
use crate::engine::{Answer, Input, OpenStream, Piece};

/// The most lines.
const MOST: usize = 10_000;
/// The longest text, in bytes: what came last stays.
const LONGEST: usize = 1024 * 1024;
/// How long an engine may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GET …/logs`.
pub async fn read(state: &BridgeportApi, asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, template) = services::reach(asker, call).await?;
    let placed = placed::find(&caller, &template, call.param("depId")).await?;
    let tail = call.query.number("tail", 100, 1, MOST)?;
    if call.query.first("before").is_some_and(|before| !before.is_empty()) {
        return Err(Refusal::not_built("before: a log is read to its end in this build").about("before"));
    }
    let ty = caller.view_of("container")?;
    if !ty.actions.contains_key("logs") {
        return Err(Refusal::new(Code::Role, "This role reads no logs"));
    }
    let container = placed.container.as_ref();
    let container = container.filter(|row| caller.engine.offers(caller.scope.version, &ty, row, "logs"));
    let Some(container) = container else {
        return Ok(json!({"logs": ""}));
    };
    let asked = Input::from_iter([("follow".to_owned(), json!(false)), ("lines".to_owned(), json!(tail))]);
    let answer = caller
        .engine
        .act(&caller.scope, &ty, container.id, "logs", asked)
        .await?;
    let Answer::Access { path, token, .. } = answer else {
        return Ok(json!({"logs": ""}));
    };
    let ticket = caller.engine.stream_ticket(path, &token)?;
    let _place = state.entry.sockets.admit(caller.scope.user.id)?;
    let OpenStream::Logs(mut pieces) = caller.engine.open_stream(&ticket).await? else {
        return Ok(json!({"logs": ""}));
    };
    let mut out: Vec<u8> = Vec::new();
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(PATIENCE, pieces.next()).await {
        match &piece {
            Piece::Out(text) | Piece::Err(text) | Piece::Terminal(text) => out.extend_from_slice(text),
        }
        let surplus = out.len().saturating_sub(LONGEST);
        out.drain(..surplus);
    }
    Ok(json!({"logs": String::from_utf8_lossy(&out)}))
}
