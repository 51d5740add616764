//! The name server's sockets: UDP and TCP. What is answered is decided in `answers.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::answers::{Chain, Decision, Told, decide, with_hosts};
use super::message::{NoQuestion, Question, Reply, addresses_in, question_for, read};
use super::pause;
use super::places::{Place, Places};
use super::tables::Tables;
use super::upstream::{PORT, ask, framed};
use crate::model::id::random_uuid;

/// Questions of one client that wait for upstreams. A container with more is broken or hostile.
const FORWARDS_OF_ONE: usize = 128;
/// Questions that wait for upstreams. Each holds a socket for up to two seconds.
const FORWARDS: usize = 512;
/// Connections of one client. Containers on the host's own network share the gateway's.
const CONNECTIONS_OF_ONE: usize = 16;
/// Connections.
const CONNECTIONS: usize = 128;
/// How long a connection may be silent, or take to be read.
const IDLE: Duration = Duration::from_secs(10);
/// The largest question that is taken over UDP; others are cut off and refused.
const BUFFER: usize = 4096;

/// The name server.
#[derive(Debug)]
pub struct Names {
    tables: Arc<Tables>,
    upstreams: Vec<SocketAddr>,
    address: Option<Ipv4Addr>,
    forwards: Arc<Places>,
    connections: Arc<Places>,
}

/// What comes of a message.
enum Outcome {
    Nothing,
    Bytes(Vec<u8>),
    Later(Later),
}

/// A question that waits for upstreams.
struct Later {
    question: Question,
    upstreams: Vec<SocketAddr>,
    work: Work,
    _place: Place,
}

enum Work {
    Forward {
        is_known: bool,
    },
    Hosts {
        addresses: Vec<Ipv4Addr>,
        chains: Vec<Chain>,
    },
}

impl Names {
    /// A name server that answers from these tables, asks these upstreams, and has this address, if it is known.
    pub fn new(tables: Arc<Tables>, upstreams: Vec<SocketAddr>, address: Option<Ipv4Addr>) -> Arc<Self> {
        Arc::new(Self {
            tables,
            upstreams,
            address,
            forwards: Places::new(FORWARDS_OF_ONE, FORWARDS),
            connections: Places::new(CONNECTIONS_OF_ONE, CONNECTIONS),
        })
    }

    /// Answers over UDP until it is dropped.
    pub async fn serve_udp(self: Arc<Self>, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let local = socket.local_addr().ok();
        let mut buffer = vec![0; BUFFER];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                pause().await;
                continue;
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            match self.outcome(bytes, from, local, true) {
                Outcome::Nothing => {}
                // A client that cannot be reached asks again, or does not.
                Outcome::Bytes(bytes) => drop(socket.send_to(&bytes, from).await),
                Outcome::Later(later) => {
                    let socket = socket.clone();
                    tokio::spawn(async move {
                        let bytes = later.bytes(true).await;
                        let _ = socket.send_to(&bytes, from).await;
                    });
                }
            }
        }
    }

    /// Answers over TCP until it is dropped.
    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                pause().await;
                continue;
            };
            if let Some(place) = self.connections.take(from.ip()) {
                let names = self.clone();
                tokio::spawn(async move {
                    let _place = place;
                    let _ = names.converse(stream, from).await;
                });
            }
        }
    }

    /// One connection: question after question.
    async fn converse(&self, mut stream: TcpStream, from: SocketAddr) -> std::io::Result<()> {
        let local = stream.local_addr().ok();
        loop {
            let question = async {
                let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
                stream.read_exact(&mut bytes).await?;
                std::io::Result::Ok(bytes)
            };
            let bytes = timeout(IDLE, question).await??;
            let answer = match self.outcome(&bytes, from, local, false) {
                Outcome::Nothing => return Ok(()),
                Outcome::Bytes(bytes) => bytes,
                Outcome::Later(later) => later.bytes(false).await,
            };
            timeout(IDLE, stream.write_all(&framed(&answer))).await??;
        }
    }

    /// What comes of a message to this local address.
    fn outcome(&self, bytes: &[u8], from: SocketAddr, local: Option<SocketAddr>, is_datagram: bool) -> Outcome {
        let question = match read(bytes) {
            Ok(question) => question,
            Err(NoQuestion::Silence) => return Outcome::Nothing,
            Err(NoQuestion::Answer(bytes)) => return Outcome::Bytes(bytes),
        };
        let loaded = self.tables.now();
        let own = || self.address.or_else(|| own_address(local?.ip(), from));
        let (asked, work) = match decide(&loaded.index, from.ip(), own, &question) {
            Decision::Answer(mut reply) => {
                reply.shuffle(random_uuid().as_u128());
                return Outcome::Bytes(question.write(&reply, is_datagram));
            }
            Decision::Forward { upstreams, is_known } => (upstreams, Work::Forward { is_known }),
            Decision::Hosts {
                upstreams,
                addresses,
                chains,
            } => (upstreams, Work::Hosts { addresses, chains }),
        };
        let Some(place) = self.forwards.take(from.ip()) else {
            return Outcome::Bytes(question.write(&Reply::code(ResponseCode::ServFail), is_datagram));
        };
        // Not this server itself: it would ask itself again.
        let asked = asked
            .into_iter()
            .filter(|ip| Some(*ip) != local.map(|local| local.ip()));
        let asked = asked.map(|ip| SocketAddr::new(ip, PORT));
        Outcome::Later(Later {
            question,
            upstreams: asked.chain(self.upstreams.iter().copied()).collect(),
            work,
            _place: place,
        })
    }
}

impl Later {
    /// The answer, when upstreams have told theirs.
    async fn bytes(self, is_datagram: bool) -> Vec<u8> {
        let question = &self.question;
        match &self.work {
            Work::Forward { is_known } => match ask(&self.upstreams, question).await {
                Some(bytes) => question.passed_on(bytes, *is_known, is_datagram),
                None => question.write(&Reply::code(ResponseCode::ServFail), is_datagram),
            },
            Work::Hosts { addresses, chains } => {
                let told = futures_util::future::join_all(chains.iter().map(|chain| self.told(chain))).await;
                let mut reply = with_hosts(question, addresses, chains, &told);
                reply.shuffle(random_uuid().as_u128());
                question.write(&reply, is_datagram)
            }
        }
    }

    /// What upstreams say of the end of a chain.
    async fn told(&self, chain: &Chain) -> Told {
        let open = chain.hosts.last().filter(|_| chain.end.is_none());
        let Some(question) = open.and_then(|host| question_for(host)) else {
            return Told::Answer(ResponseCode::NoError, Vec::new());
        };
        let bytes = ask(&self.upstreams, &question).await;
        bytes
            .and_then(|bytes| addresses_in(&bytes))
            .map_or(Told::Nothing, |(code, records)| Told::Answer(code, records))
    }
}

/// The address by which a client finds this server: where it asked, or where an answer to it comes from.
fn own_address(local: IpAddr, client: SocketAddr) -> Option<Ipv4Addr> {
    let found = if local.is_unspecified() {
        // Nothing is sent: the kernel is asked for the way.
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect(client).ok()?;
        socket.local_addr().ok()?.ip()
    } else {
        local
    };
    match found {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
