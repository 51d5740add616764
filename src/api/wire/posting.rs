//! A request that the server makes itself, over a connection that is open already: one POST, and the status of its answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::engine::Connection;
use crate::model::{Error, ErrorKind, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest head of an answer, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;

/// Posts JSON, and says with which status that was answered. What else the answer has is not read.
///
/// # Errors
/// 503 if there is no answer in time, or none that is HTTP.
pub async fn post(connection: Connection, path: &str, json: String) -> Result<u16> {
    let broken = |error: hyper::Error| {
        log::debug!("the answer to a post: {error}");
        Error::new(ErrorKind::Unavailable).with_message("what the service answers is no HTTP, or breaks off")
    };
    let request = hyper::Request::builder()
        .method("POST")
        .uri(path)
        .header("host", &connection.host)
        .header("content-type", "application/json")
        .header("connection", "close")
        .body(Text(Some(json.into())))
        .map_err(|e| Error::internal("writing a request", e))?;
    let mut client = http1::Builder::new();
    client.max_buf_size(LARGEST_HEAD);
    let asking = async {
        let (mut sender, carrying) = client.handshake(TokioIo::new(connection.stream)).await?;
        tokio::pin!(carrying);
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut carrying => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error),
            },
        }
    };
    let late = |_| Error::new(ErrorKind::Unavailable).with_message("the service did not answer in time");
    let answer = timeout(PATIENCE, asking).await.map_err(late)?.map_err(broken)?;
    Ok(answer.status().as_u16())
}

/// A body that is here already.
struct Text(Option<Bytes>);

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.0.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
