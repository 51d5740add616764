//! The streams of one connection. Each has a window: so much is sent before the other side has handed it on. Whoever sends
//! more, or anything that makes no sense, breaks the connection; a stream that is slow keeps no other waiting.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};

use super::frame::Frame;

/// Streams of one connection at a time.
const STREAMS: usize = 256;
/// Bytes of a stream that may be on their way, in each direction: with all streams 32 MiB at most.
const WINDOW: usize = 128 * 1024;
/// What is sent at once.
const PIECE: usize = 16 * 1024;
/// Frames that wait to be sent: what the channel that a [`Mux`] is made with should hold.
pub const LINES: usize = 64;

/// The other side does not keep to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side of the tunnel sends what makes no sense")]
pub struct Broken;

/// Which side this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Opens streams.
    Server,
    /// Takes them.
    Agent,
}

/// One connection.
#[derive(Clone)]
pub struct Mux {
    inner: Arc<Inner>,
}

struct Inner {
    side: Side,
    out: mpsc::Sender<Bytes>,
    streams: Mutex<Streams>,
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Streams {
    last: u32,
    all: HashMap<u32, Entry>,
}

struct Entry {
    pieces: mpsc::UnboundedSender<Piece>,
    /// What may be sent.
    credit: Arc<Semaphore>,
    /// What may still come.
    room: usize,
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// One stream, which is over when this is dropped.
pub struct Stream {
    number: u32,
    mux: Mux,
    pieces: mpsc::UnboundedReceiver<Piece>,
    credit: Arc<Semaphore>,
}

impl Mux {
    /// A connection whose frames are taken from the other end of `out`.
    pub fn new(side: Side, out: mpsc::Sender<Bytes>) -> Self {
        Self {
            inner: Arc::new(Inner {
                side,
                out,
                streams: Mutex::default(),
                over: watch::Sender::new(false),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.inner.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream; none if there are too many, or if the connection is over.
    pub async fn open(&self) -> Option<Stream> {
        let stream = {
            let mut streams = self.lock();
            if *self.inner.over.borrow() || streams.all.len() >= STREAMS {
                return None;
            }
            let mut number = streams.last.wrapping_add(1);
            while streams.all.contains_key(&number) {
                number = number.wrapping_add(1);
            }
            streams.last = number;
            self.insert(&mut streams, number)
        };
        self.say(Frame::Open(stream.number)).await.ok()?;
        Some(stream)
    }

    fn insert(&self, streams: &mut Streams, number: u32) -> Stream {
        let (pieces, taken) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW));
        let entry = Entry {
            pieces,
            credit: credit.clone(),
            room: WINDOW,
        };
        streams.all.insert(number, entry);
        Stream {
            number,
            mux: self.clone(),
            pieces: taken,
            credit,
        }
    }

    async fn say(&self, frame: Frame) -> io::Result<()> {
        let sent = self.inner.out.send(frame.bytes()).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// Takes a frame from the other side. A stream that it opened is to be carried.
    ///
    /// # Errors
    /// The connection has to end.
    pub async fn hear(&self, bytes: &Bytes) -> Result<Option<Stream>, Broken> {
        match Frame::parse(bytes).ok_or(Broken)? {
            Frame::Open(number) => {
                let taken = {
                    let mut streams = self.lock();
                    if self.inner.side == Side::Server || streams.all.contains_key(&number) {
                        return Err(Broken);
                    }
                    let has_room = streams.all.len() < STREAMS;
                    has_room.then(|| self.insert(&mut streams, number))
                };
                if taken.is_none() {
                    let _ = self.say(Frame::Reset(number)).await;
                }
                return Ok(taken);
            }
            Frame::Data(number, bytes) => {
                // Of a stream that is over here something may still be on its way.
                if let Some(entry) = self.lock().all.get_mut(&number) {
                    entry.room = entry.room.checked_sub(bytes.len()).ok_or(Broken)?;
                    let _ = entry.pieces.send(Piece::Bytes(bytes));
                }
            }
            Frame::Window(number, more) => {
                if let Some(entry) = self.lock().all.get(&number) {
                    let more = usize::try_from(more).map_err(|_| Broken)?;
                    let all = entry.credit.available_permits().checked_add(more);
                    if all.is_none_or(|all| all > WINDOW) {
                        return Err(Broken);
                    }
                    entry.credit.add_permits(more);
                }
            }
            Frame::End(number) => {
                if let Some(entry) = self.lock().all.get(&number) {
                    let _ = entry.pieces.send(Piece::End);
                }
            }
            Frame::Reset(number) => {
                if let Some(entry) = self.lock().all.remove(&number) {
                    entry.credit.close();
                }
            }
        }
        Ok(None)
    }

    /// Ends the connection and all streams.
    pub fn end(&self) {
        self.inner.over.send_replace(true);
        for (_, entry) in self.lock().all.drain() {
            entry.credit.close();
        }
    }

    /// Waits until somebody ends the connection.
    pub async fn over(&self) {
        let mut over = self.inner.over.subscribe();
        let _ = over.wait_for(|is_over| *is_over).await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.mux.lock().all.remove(&self.number);
    }
}

impl Stream {
    /// Carries between this stream and a socket, until both directions have ended or one of them breaks.
    pub async fn carry(mut self, socket: impl AsyncRead + AsyncWrite) {
        let (reader, writer) = tokio::io::split(socket);
        let (number, mux, credit) = (self.number, self.mux.clone(), self.credit.clone());
        let carried = tokio::try_join!(
            send_all(number, &mux, &credit, reader),
            take_all(number, &mux, &mut self.pieces, writer)
        );
        if carried.is_err() {
            self.refuse().await;
        }
    }

    /// Tells the other side that nothing comes of this stream.
    pub async fn refuse(self) {
        let _ = self.mux.say(Frame::Reset(self.number)).await;
    }
}

async fn send_all(number: u32, mux: &Mux, credit: &Semaphore, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        if (&mut reader).take(PIECE as u64).read_buf(&mut buffer).await? == 0 {
            return mux.say(Frame::End(number)).await;
        }
        let bytes = buffer.split().freeze();
        let taken = credit
            .acquire_many(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .await;
        taken.map_err(io::Error::other)?.forget();
        mux.say(Frame::Data(number, bytes)).await?;
    }
}

async fn take_all(
    number: u32,
    mux: &Mux,
    pieces: &mut mpsc::UnboundedReceiver<Piece>,
    mut writer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some(piece) = pieces.recv().await {
        let bytes = match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::End => return writer.shutdown().await,
        };
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        if let Some(entry) = mux.lock().all.get_mut(&number) {
            entry.room += bytes.len();
        }
        let more = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        mux.say(Frame::Window(number, more)).await?;
    }
    Err(io::ErrorKind::ConnectionReset.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Two sides; the agent's leads each stream to one of the sockets that come out.
    fn sides() -> (Mux, Mux, mpsc::UnboundedReceiver<DuplexStream>) {
        let ((to_agent, mut at_agent), (to_server, mut at_server)) = (mpsc::channel(LINES), mpsc::channel(LINES));
        let (server, agent) = (Mux::new(Side::Server, to_agent), Mux::new(Side::Agent, to_server));
        let (opened, sockets) = mpsc::unbounded_channel();
        let (hearing, taking) = (server.clone(), agent.clone());
        tokio::spawn(async move {
            while let Some(bytes) = at_server.recv().await {
                assert!(hearing.hear(&bytes).await.unwrap().is_none());
            }
        });
        tokio::spawn(async move {
            while let Some(bytes) = at_agent.recv().await {
                if let Some(stream) = taking.hear(&bytes).await.unwrap() {
                    let (near, far) = duplex(1024);
                    tokio::spawn(stream.carry(near));
                    let _ = opened.send(far);
                }
            }
        });
        (server, agent, sockets)
    }

    async fn begin(server: &Mux) -> DuplexStream {
        let (near, far) = duplex(1024);
        tokio::spawn(server.open().await.unwrap().carry(near));
        far
    }

    #[tokio::test]
    async fn streams_are_carried_whole_both_ways_and_end_in_halves() {
        let (server, _agent, mut sockets) = sides();
        let mut client = begin(&server).await;
        let mut engine = sockets.recv().await.unwrap();
        let long: Vec<u8> = (0..=255).cycle().take(WINDOW * 3 + 7).collect();
        let sent = long.clone();
        let writing = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut heard = Vec::new();
        engine.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, long);
        // What was asked is over; what is answered comes all the same.
        engine.write_all(&long).await.unwrap();
        engine.shutdown().await.unwrap();
        assert_eq!(writing.await.unwrap(), long);
    }

    #[tokio::test]
    async fn one_that_nobody_reads_holds_a_window_and_stops_no_other() {
        let (server, _agent, mut sockets) = sides();
        let mut stuck = begin(&server).await;
        let _unread = sockets.recv().await.unwrap();
        let flood = tokio::spawn(async move { stuck.write_all(&vec![0; WINDOW * 8]).await });
        for _ in 0..3 {
            let mut other = begin(&server).await;
            let mut engine = sockets.recv().await.unwrap();
            other.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            engine.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"ping");
        }
        assert!(!flood.is_finished());
        flood.abort();
    }

    #[tokio::test]
    async fn who_breaks_the_rules_is_found_out_and_the_end_ends_all() {
        let (out, mut sent) = mpsc::channel(LINES);
        let server = Mux::new(Side::Server, out);
        let stream = server.open().await.unwrap();
        assert_eq!(Frame::parse(&sent.recv().await.unwrap()), Some(Frame::Open(1)));
        let hear = async |frame: Frame| server.hear(&frame.bytes()).await.is_ok();
        assert!(!hear(Frame::Open(2)).await, "only the server opens");
        assert!(!hear(Frame::Window(1, 1)).await, "more than was taken is given back");
        let piece = Bytes::from(vec![0; PIECE]);
        for _ in 0..WINDOW / PIECE {
            assert!(hear(Frame::Data(1, piece.clone())).await);
        }
        assert!(!hear(Frame::Data(1, piece.clone())).await, "more than the window");
        assert!(hear(Frame::Data(77, piece)).await, "of a stream that is gone");
        assert!(server.hear(&Bytes::from_static(b"nonsense")).await.is_err());
        let (near, mut far) = duplex(64);
        let carrying = tokio::spawn(stream.carry(near));
        server.end();
        server.over().await;
        let mut rest = Vec::new();
        let _ = far.read_to_end(&mut rest).await;
        drop(far);
        carrying.await.unwrap();
        assert!(server.open().await.is_none());
    }

    #[tokio::test]
    async fn there_are_only_so_many() {
        let (server, _agent, mut sockets) = sides();
        let mut open = Vec::new();
        for _ in 0..STREAMS {
            open.push((begin(&server).await, sockets.recv().await.unwrap()));
        }
        assert!(server.open().await.is_none());
        drop(open.pop());
        while server.open().await.is_none() {
            tokio::task::yield_now().await;
        }
    }
}
