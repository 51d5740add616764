//! Images: whether one is there, and having one fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, MessageBody as _};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::caller::{Caller, Deed, fields, named};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use crate::engine::News;
use crate::http::sockets::Place;
use crate::model::{ResourceId, State};
use crate::schema::validate::Purpose;

/// How long an image may take to be fetched.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// An image's name with its tag, without what Docker puts before names by itself.
fn reference(text: &str) -> String {
    let text = text.trim_start_matches("docker:");
    let text = ["docker.io/library/", "docker.io/", "index.docker.io/library/"]
        .iter()
        .find_map(|host| text.strip_prefix(host))
        .unwrap_or(text);
    let last = text.rsplit('/').next().unwrap_or(text);
    match last.contains([':', '@']) {
        true => text.to_owned(),
        false => format!("{text}:latest"),
    }
}

/// `GET /images/{name}/json`: an image that a host of the project has, if the caller may see it.
pub async fn inspect(caller: &Caller, name: &str) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let found = caller.engine.image(&caller.scope, name).await?;
    let none = || Refusal::new(StatusCode::NOT_FOUND, format!("No such image: {name}"));
    let image = found.ok_or_else(none)?;
    Ok(json!({
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": image.digests,
        "Comment": image.comment,
        "Created": image.created,
        "Author": image.author,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "Config": image.config,
    }))
}

/// `POST /images/create`: fetches an image on all hosts of the project, and tells how that goes while it does.
pub async fn create(caller: &mut Caller, query: &Query, place: Place) -> Outcome<HttpResponse> {
    let ty = caller.may("pullTask", Deed::Create)?;
    let (from, tag) = (query.needed("fromImage")?, query.text("tag"));
    let image = match tag {
        "" => reference(from),
        tag if tag.starts_with("sha256:") => format!("{from}@{tag}"),
        tag => format!("{from}:{tag}"),
    };
    caller.note(&ty.def, None, "create", &named(&image));
    let body = json!({"image": image, "mode": "all"});
    let input = caller.validated(&ty, body, Purpose::Create, None).await?;
    // In this order: what happens in between is seen twice rather than never.
    let (news, _) = caller.engine.listen()?;
    let made = caller.engine.create(&caller.scope, &ty, input).await?;
    let row = made
        .first()
        .ok_or_else(|| crate::model::Error::bug("a task was made, and is not there"))?;
    let (caller, id) = (caller.clone(), row.id);
    let first = line(&json!({"status": format!("Pulling {image}"), "id": image}));
    let waiting = async move {
        let _place = place;
        let end = timeout(PATIENCE, end_of(&caller, id, news)).await;
        let said = end.unwrap_or_else(|_| Err("it takes too long".to_owned()));
        Ok::<_, std::io::Error>(match said {
            Ok(()) => line(&json!({"status": format!("Status: Image is up to date for {image}")})),
            Err(why) => line(&json!({"errorDetail": {"message": why}, "error": why})),
        })
    };
    let lines = stream::StreamExt::chain(stream::once(async move { Ok(first) }), stream::once(waiting));
    let body = BodyStream::new(Box::pin(lines)).boxed();
    let mut answer = HttpResponse::build(StatusCode::OK);
    Ok(answer.insert_header((CONTENT_TYPE, "application/json")).body(body))
}

fn line(object: &Value) -> Bytes {
    Bytes::from(format!("{object}\r\n"))
}

/// How a task ended: what hosts said that could not do it.
async fn end_of(
    caller: &Caller,
    id: ResourceId,
    mut news: tokio::sync::broadcast::Receiver<News>,
) -> std::result::Result<(), String> {
    loop {
        let row = caller.engine.row(&caller.scope, "genericObject", id).map_err(|e| {
            log::error!("looking at a task: {}", e.chain());
            "the server cannot tell".to_owned()
        })?;
        let row = row.ok_or_else(|| "it was given up".to_owned())?;
        if row.state == State::ACTIVE {
            let status: BTreeMap<String, String> = fields(&row).and_then(|own| own.texts("status")).unwrap_or_default();
            let failed = status.iter().find(|(_, word)| *word != "Done");
            return match failed {
                _ if status.is_empty() => Err("there is no host to fetch it on".to_owned()),
                Some((host, why)) => Err(format!("{host}: {why}")),
                None => Ok(()),
            };
        }
        if row.state == State::ERROR {
            return Err(row.message);
        }
        if let Err(RecvError::Closed) = news.recv().await {
            return Err("the server stops".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_image_are_the_same() {
        for name in [
            "nginx",
            "docker:nginx",
            "nginx:latest",
            "docker.io/library/nginx",
            "docker.io/nginx:latest",
        ] {
            assert_eq!(reference(name), "nginx:latest", "{name}");
        }
        assert_eq!(reference("host:5000/a/b"), "host:5000/a/b:latest");
        assert_eq!(reference("a@sha256:00"), "a@sha256:00");
    }
}
