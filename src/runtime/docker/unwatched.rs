//! A connection to a socket of this machine that is watched only while there is nothing to read.
//!
//! A socket that is watched wakes whoever watches with everything that comes, also while nobody wants it. Here it is watched from
//! when it is found empty until something has come, so that a reader who takes his time is not disturbed meanwhile.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream as WatchedStream;

pub(super) struct Unwatched(State);

enum State {
    Alone(UnixStream),
    Watched(WatchedStream),
    /// Only in between, and if it cannot be watched.
    Lost,
}

impl Unwatched {
    /// Connects to a socket.
    pub(super) async fn connect(path: &str) -> io::Result<Self> {
        Ok(Self(State::Watched(WatchedStream::connect(path).await?)))
    }

    /// What was found empty is watched, and what was not is left alone.
    fn turn(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Alone(stream) => State::Watched(WatchedStream::from_std(stream)?),
            State::Watched(stream) => State::Alone(stream.into_std()?),
            State::Lost => State::Lost,
        };
        Ok(())
    }
}

fn is_busy<T>(result: &io::Result<T>) -> bool {
    let kind = result.as_ref().err().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted))
}

fn lost<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Unwatched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.0 {
                State::Watched(stream) => {
                    std::task::ready!(Pin::new(stream).poll_read(context, into))?;
                    self.turn()?;
                    return Poll::Ready(Ok(()));
                }
                State::Alone(stream) => {
                    let read = stream.read(into.initialize_unfilled());
                    if !is_busy(&read) {
                        into.advance(read?);
                        return Poll::Ready(Ok(()));
                    }
                    self.turn()?;
                }
                State::Lost => return lost(),
            }
        }
    }
}

impl AsyncWrite for Unwatched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.0 {
                State::Watched(stream) => return Pin::new(stream).poll_write(context, bytes),
                State::Alone(stream) => {
                    let written = stream.write(bytes);
                    if !is_busy(&written) {
                        return Poll::Ready(written);
                    }
                    self.turn()?;
                }
                State::Lost => return lost(),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Watched(stream) => Pin::new(stream).poll_shutdown(context),
            State::Alone(stream) => Poll::Ready(stream.shutdown(Shutdown::Write)),
            State::Lost => lost(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_socket_is_watched_only_while_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut here = Unwatched::connect(path.to_str().unwrap()).await.unwrap();
        let (mut there, _) = listener.accept().await.unwrap();
        let mut read = [0; 2];
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(1), here.read_exact(&mut read));
        assert!(nothing.await.is_err());
        assert!(matches!(here.0, State::Watched(_)));
        there.write_all(b"ab").await.unwrap();
        here.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ab");
        assert!(matches!(here.0, State::Alone(_)));
        // More than a socket holds, so that the writer waits for the reader.
        let much = vec![b'x'; 4 << 20];
        let mut came = vec![0; much.len()];
        let (written, read) = tokio::join!(here.write_all(&much), there.read_exact(&mut came));
        assert!(written.is_ok() && read.is_ok() && came == much);
        here.shutdown().await.unwrap();
        assert_eq!(there.read(&mut came).await.unwrap(), 0);
        drop(there);
        assert_eq!(here.read(&mut came).await.unwrap(), 0);
    }
}
