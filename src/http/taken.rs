//! Connections that are taken out of HTTP: from a request on, bytes are said both ways, whatever they are.
//!
//! The web server lets that be for WebSockets only: of every other request it takes what comes behind the body for the next one.
//! So a second handle is kept beside each connection, and when one is taken, the answer breaks off before anything of it was
//! written, which makes the server let go of its own. Nobody else reads or writes the connection from then on.

use std::any::Any;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The second handle on a connection.
struct Spare(Mutex<Option<Handle>>);

enum Handle {
    Tcp(OwnedFd),
    Unix(OwnedFd),
}

/// Keeps a second handle on a connection that has been accepted. What it is kept beside are the connection's own data.
pub fn keep_spare(connection: &dyn Any, beside: &mut Extensions) {
    let second = |own: &dyn AsFd| own.as_fd().try_clone_to_owned().ok();
    let handle = if let Some(tcp) = connection.downcast_ref::<TcpStream>() {
        second(tcp).map(Handle::Tcp)
    } else if let Some(unix) = connection.downcast_ref::<UnixStream>() {
        second(unix).map(Handle::Unix)
    } else {
        None
    };
    beside.insert(Spare(Mutex::new(handle)));
}

/// Closes the second handle: a connection that stays open for something else is one file, not two.
pub fn give_up_spare(request: &HttpRequest) {
    drop(take_handle(request));
}

fn take_handle(request: &HttpRequest) -> Option<Handle> {
    let spare = request.conn_data::<Spare>()?;
    spare.0.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A connection on its way out of HTTP.
pub struct Taken {
    handle: Handle,
    is_free: oneshot::Receiver<()>,
}

/// Takes the connection of a request, whose body has been read: it is free when the answer given back has been given to the web
/// server. None if there is no second handle.
pub fn take(request: &HttpRequest) -> Option<(HttpResponse, Taken)> {
    let handle = take_handle(request)?;
    let (sender, is_free) = oneshot::channel();
    let answer = HttpResponse::with_body(StatusCode::OK, BreaksOff(Some(sender))).map_into_boxed_body();
    Some((answer, Taken { handle, is_free }))
}

impl Taken {
    /// Waits until the web server has let go, and writes the head of an answer.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn begin(self, head: &[u8]) -> io::Result<Box<dyn Duplex>> {
        // Dropped or sent to, it is the end of the answer.
        let _ = self.is_free.await;
        let mut stream: Box<dyn Duplex> = match self.handle {
            Handle::Tcp(own) => Box::new(TcpStream::from_std(own.into())?),
            Handle::Unix(own) => Box::new(UnixStream::from_std(own.into())?),
        };
        stream.write_all(head).await?;
        stream.flush().await?;
        Ok(stream)
    }
}

/// The body of an answer that is not to be given.
struct BreaksOff(Option<oneshot::Sender<()>>);

impl Drop for BreaksOff {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(());
        }
    }
}

/// Why an answer is not given.
#[derive(Debug, thiserror::Error)]
#[error("the connection was taken out of HTTP")]
struct WasTaken;

impl MessageBody for BreaksOff {
    type Error = WasTaken;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(Some(Err(WasTaken)))
    }
}
