//! An engine's socket over a WebSocket: text frames in both directions, base64 of the bytes, as Rancher's agents carry it.

use actix_ws::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::interval;

use super::streams::{BEAT, End, MAX_PIECE, Socket};
use super::written::TextFrames;
use crate::engine::Bytestream;

/// Frames that may wait for the engine to read them.
const WAITING: usize = 4;

impl Socket {
    /// Carries between an engine and a client until one of them ends. What the client says is written beside, so that an engine
    /// that reads nothing until somebody has read what it wrote does not stop both.
    pub(super) async fn join(mut self, stream: Box<dyn Bytestream>) {
        let (mut from, mut to) = tokio::io::split(stream);
        let (said, mut to_write) = mpsc::channel::<Vec<u8>>(WAITING);
        let writing = actix_web::rt::spawn(async move {
            while let Some(bytes) = to_write.recv().await {
                if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                    return;
                }
            }
            let _ = to.shutdown().await;
        });
        let mut beats = interval(BEAT);
        let mut piece = vec![0; MAX_PIECE];
        let end = loop {
            tokio::select! {
                read = from.read(&mut piece) => match read {
                    Ok(0) => break End::Said,
                    Ok(length) => {
                        let bytes = piece.get(..length).unwrap_or_default();
                        if !self.send(TextFrames::of([STANDARD.encode(bytes)])).await {
                            break End::Gone;
                        }
                    }
                    Err(error) => break End::Broken(error.to_string()),
                },
                // A client is heard when there is room for what it says.
                room = said.reserve(), if said.capacity() == 0 => if room.is_err() { break End::Said },
                message = self.messages.recv(), if said.capacity() > 0 => {
                    let Some(Ok(Message::Text(text))) = message else {
                        if self.hears(message).await {
                            continue;
                        }
                        break End::Gone;
                    };
                    let Ok(bytes) = STANDARD.decode(text.trim()) else {
                        break End::Broken("a frame is no base64".to_owned());
                    };
                    if said.try_send(bytes).is_err() {
                        break End::Said;
                    }
                }
                _ = beats.tick() => if self.session.ping(b"").await.is_err() { break End::Gone },
                _ = self.stopping.changed() => break End::Stopping,
            }
        };
        writing.abort();
        self.close(end).await;
    }
}
