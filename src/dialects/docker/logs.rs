//! What the containers of a service wrote, in Docker's frames.

use std::pin::Pin;

use actix_web::body::BodyStream;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, body::MessageBody as _};
use bytes::BytesMut;
use futures_util::stream::{self, Stream, StreamExt as _};
use serde_json::json;

use super::DockerApi;
use super::caller::{Caller, Deed};
use super::containers;
use super::frames::{Outputs, framed as framed_whole};
use super::query::Query;
use super::record::Service;
use super::refusal::{Outcome, Refusal};
use super::{services, tasks};
use crate::engine::{Answer, Input, OpenStream, Piece, Pieces};
use crate::http::bursts::bursts;
use crate::http::sockets::Place;
use crate::model::{Error, Resource, Result};
use actix_web::http::StatusCode;

/// The most containers whose logs go into one answer.
const MOST: usize = 100;

/// So much of a log goes out at once.
const MOST_AT_ONCE: usize = 64 * 1024;

/// What is wanted of a log.
struct Wanted {
    out: bool,
    err: bool,
    details: bool,
    timestamps: bool,
    asked: Input,
}

impl Wanted {
    fn read(query: &Query) -> Outcome<Self> {
        let (out, err) = (query.is_on("stdout"), query.is_on("stderr"));
        if !out && !err {
            let words = "Bad parameters: you must choose at least one stream";
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words));
        }
        let mut asked = Input::new();
        asked.insert("follow".into(), json!(query.is_on("follow")));
        asked.insert("timestamps".into(), json!(query.is_on("timestamps")));
        if let Some(lines) = query.first("tail").and_then(|text| text.parse::<u64>().ok()) {
            asked.insert("lines".into(), json!(lines));
        }
        let since = query
            .first("since")
            .map(|text| text.split('.').next().unwrap_or_default());
        if let Some(since) = since.filter(|since| !since.is_empty() && *since != "0") {
            asked.insert("since".into(), json!(since));
        }
        Ok(Self {
            out,
            err,
            details: query.is_on("details"),
            timestamps: query.is_on("timestamps"),
            asked,
        })
    }
}

/// `GET /services/{id}/logs`.
pub async fn of_service(state: &DockerApi, caller: &Caller, id: &str, query: &Query) -> Outcome<HttpResponse> {
    let wanted = Wanted::read(query)?;
    let service = services::find(caller, id).await?;
    let containers = tasks::containers(caller, &service).await?;
    answer(state, caller, &service, containers, &wanted).await
}

/// `GET /tasks/{id}/logs`.
pub async fn of_task(state: &DockerApi, caller: &Caller, id: &str, query: &Query) -> Outcome<HttpResponse> {
    let wanted = Wanted::read(query)?;
    let (service, container) = tasks::container(caller, id).await?;
    answer(state, caller, &service, vec![container], &wanted).await
}

/// `GET /containers/{id}/logs`.
pub async fn of_container(state: &DockerApi, caller: &Caller, id: &str, query: &Query) -> Outcome<HttpResponse> {
    let ty = caller.may("container", Deed::Read)?;
    caller.may_act(&ty, "logs")?;
    let row = containers::find(caller, id).await?;
    let wanted = Wanted::read(query).map_err(|refusal| Refusal {
        status: StatusCode::BAD_REQUEST,
        ..refusal
    })?;
    if query.first("until").is_some_and(|until| !matches!(until, "" | "0")) {
        return Err(Refusal::not_built("until: a log is read to its end in this build"));
    }
    // One that has not got as far has an empty one.
    let Some(pieces) = open(caller, &row, &wanted).await? else {
        return Ok(HttpResponse::Ok().finish());
    };
    let place = state.entry.sockets.admit(caller.scope.user.id)?;
    let outputs = Outputs {
        out: wanted.out,
        err: wanted.err,
    };
    let told = bursts(pieces, MOST_AT_ONCE, |piece| piece.as_ref().map_or(0, Piece::len));
    let frames = told.map(move |burst| {
        let _held = &place;
        let mut all = BytesMut::new();
        for piece in burst {
            // What has been said stays said: the log ends here.
            let piece = piece.map_err(|error| std::io::Error::other(error.to_string()))?;
            all.extend(framed_whole(piece, outputs));
        }
        Ok::<_, std::io::Error>(all.freeze())
    });
    Ok(HttpResponse::with_body(StatusCode::OK, BodyStream::new(frames).boxed()))
}

async fn answer(
    state: &DockerApi,
    caller: &Caller,
    service: &Service,
    containers: Vec<Resource>,
    wanted: &Wanted,
) -> Outcome<HttpResponse> {
    let is_tty = service
        .spec
        .task_template
        .container_spec
        .as_ref()
        .is_some_and(|container| container.tty);
    let mut streams: Vec<Pin<Box<dyn Stream<Item = Result<Bytes>>>>> = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for container in containers.iter().take(MOST) {
        let Some(pieces) = open(caller, container, wanted).await? else {
            continue;
        };
        places.push(state.entry.sockets.admit(caller.scope.user.id)?);
        let about = about(caller, service, container);
        let (out, err, details, timestamps) = (wanted.out, wanted.err, wanted.details, wanted.timestamps);
        let frames = pieces.filter_map(move |piece| {
            let frame = match piece {
                Ok(piece) => framed(
                    &piece,
                    is_tty,
                    (out, err),
                    details.then_some(about.as_str()),
                    timestamps,
                )
                .map(Ok),
                // What has been said stays said: the log ends here.
                Err(error) => Some(Err(Error::conflict(error.to_string()))),
            };
            std::future::ready(frame)
        });
        streams.push(frames.boxed_local());
    }
    let all = stream::select_all(streams).map(move |frame| {
        let _held = &places;
        frame.map_err(|error| actix_web::Error::from(std::io::Error::other(error.to_string())))
    });
    let body = BodyStream::new(all);
    Ok(HttpResponse::with_body(StatusCode::OK, body.boxed()))
}

/// The log of a container; none if it has not got as far as to have one.
async fn open(caller: &Caller, container: &Resource, wanted: &Wanted) -> Outcome<Option<Pieces>> {
    let ty = caller.may("container", Deed::Read)?;
    caller.may_act(&ty, "logs")?;
    if !caller.engine.offers(caller.scope.version, &ty, container, "logs") {
        return Ok(None);
    }
    let asked = wanted.asked.clone();
    let Answer::Access { path, token, .. } = caller
        .engine
        .act(&caller.scope, &ty, container.id, "logs", asked)
        .await?
    else {
        return Ok(None);
    };
    let ticket = caller.engine.stream_ticket(path, &token)?;
    match caller.engine.open_stream(&ticket).await {
        Ok(OpenStream::Logs(pieces)) => Ok(Some(pieces)),
        Ok(OpenStream::Exec(_) | OpenStream::Stats(_) | OpenStream::Socket(_)) => Ok(None),
        // It went meanwhile.
        Err(_) => Ok(None),
    }
}

/// What stands before each line of a container where details are asked for.
fn about(caller: &Caller, service: &Service, container: &Resource) -> String {
    let node = container.host_id.map(|host| caller.ids.of(host)).unwrap_or_default();
    format!(
        "com.docker.swarm.node.id={node},com.docker.swarm.service.id={},com.docker.swarm.task.id={}",
        caller.ids.of(service.row.id),
        caller.ids.of(container.id)
    )
}

/// A piece as Docker sends it: as it is for a terminal, else behind its stream and its length.
fn framed(
    piece: &Piece,
    is_tty: bool,
    (wants_out, wants_err): (bool, bool),
    details: Option<&str>,
    timestamps: bool,
) -> Option<Bytes> {
    let (stream, text) = match piece {
        Piece::Out(text) | Piece::Terminal(text) => (1_u8, text),
        Piece::Err(text) => (2, text),
    };
    let is_wanted = if stream == 1 { wants_out } else { wants_err };
    if !is_wanted {
        return None;
    }
    let mut line = Vec::with_capacity(text.len() + 160);
    let split = match timestamps {
        true => text.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1),
        false => 0,
    };
    let (stamp, rest) = text.split_at_checked(split).unwrap_or((&[], text));
    line.extend_from_slice(stamp);
    if let Some(details) = details {
        line.extend_from_slice(details.as_bytes());
        line.push(b' ');
    }
    line.extend_from_slice(rest);
    if is_tty {
        return Some(Bytes::from(line));
    }
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend_from_slice(&u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&line);
    Some(Bytes::from(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_framed_behind_its_time_and_what_it_is_of() {
        let piece = Piece::Err(Bytes::from_static(b"2026-01-01T00:00:00Z hello\n"));
        let frame = framed(&piece, false, (true, true), Some("a=b"), true).unwrap_or_default();
        let text = b"2026-01-01T00:00:00Z a=b hello\n";
        assert_eq!(frame.get(..8), Some(&[2, 0, 0, 0, 0, 0, 0, 31][..]));
        assert_eq!(frame.get(8..), Some(&text[..]));
        assert_eq!(framed(&piece, false, (true, false), None, true), None);
        let tty = framed(
            &Piece::Terminal(Bytes::from_static(b"x")),
            true,
            (true, false),
            None,
            false,
        );
        assert_eq!(tty, Some(Bytes::from_static(b"x")));
    }
}
