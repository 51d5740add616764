//! Whoever asks too much, or too slowly, harms nobody else: floods of names that nobody has, connections that say nothing,
//! thousands who wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::served::Served;
use super::*;
use crate::model::network_table::Delta;

/// Generous, because a slow machine is no bug.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connected(from: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Names in the zone are answered by the server alone, whatever they are; names below a domain outside share the client's
/// places, and another client has its own.
#[tokio::test]
async fn a_flood_of_names_that_nobody_has_is_answered_and_others_are_too() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let served = Served::new(vec![silent.local_addr().unwrap()]).await;
    let flood = UdpSocket::bind("127.0.0.11:0").await.unwrap();
    let (begun, mut buffer) = (Instant::now(), vec![0; 600]);
    for nth in 0..3_000 {
        let name = format!("x{nth}.app.rancher.internal");
        flood.send_to(&asked(&name, RecordType::A), served.dns).await.unwrap();
        let length = tokio::time::timeout(PATIENCE, flood.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        let message = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
    assert!(begun.elapsed() < PATIENCE);
    let mut nobodys = 0;
    for nth in 0..1_000 {
        let name = format!("x{nth}.example.com");
        flood.send_to(&asked(&name, RecordType::A), served.dns).await.unwrap();
        while let Ok(length) = flood.try_recv(&mut buffer) {
            let message = Message::from_vec(&buffer[..length]).unwrap();
            nobodys += usize::from(message.metadata.response_code == ResponseCode::ServFail);
        }
        tokio::task::yield_now().await;
    }
    assert!(
        served.words(12, "web").await.starts_with("NoError web. 127"),
        "another client"
    );
    assert!(
        served.words(11, "web").await.starts_with("NoError web. 127"),
        "and itself, for names of ours"
    );
    // All but those that wait for the upstream were told so at once; those were told in the end.
    while nobodys < 1_000 {
        let length = tokio::time::timeout(PATIENCE, flood.recv(&mut buffer))
            .await
            .expect("all are told")
            .unwrap();
        let message = Message::from_vec(&buffer[..length]).unwrap();
        nobodys += usize::from(message.metadata.response_code == ResponseCode::ServFail);
    }
}

/// Those that say nothing, half a length, or half a question keep their own places, and lose them.
#[tokio::test]
async fn connections_that_are_slow_take_their_own_places_alone() {
    let served = Served::new(Vec::new()).await;
    let mut slow = Vec::new();
    for nth in 0..40_u8 {
        let mut stream = connected(11, served.dns).await;
        let bytes: &[u8] = match nth % 3 {
            0 => &[],
            1 => &[0],
            _ => &[0, 200, 1, 2, 3],
        };
        let _ = stream.write_all(bytes).await;
        slow.push(stream);
    }
    // Beyond its places it is turned away at once.
    let mut turned_away = 0;
    for stream in slow.iter_mut().skip(16) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1]))
            .await
            .expect("it is closed");
        turned_away += usize::from(!matches!(read, Ok(1..)));
    }
    assert_eq!(turned_away, 24);
    // Another client is answered meanwhile, by TCP as by UDP.
    let mut other = connected(12, served.dns).await;
    let question = asked("web.app", RecordType::A);
    let length = u16::try_from(question.len()).unwrap();
    other
        .write_all(&[&length.to_be_bytes()[..], &question].concat())
        .await
        .unwrap();
    let mut bytes = vec![0; usize::from(other.read_u16().await.unwrap())];
    other.read_exact(&mut bytes).await.unwrap();
    assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), 2);
    assert!(served.words(11, "web").await.starts_with("NoError web. 127"));
    // And those that were let in are closed after a while.
    let begun = Instant::now();
    for stream in slow.iter_mut().take(16) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1]))
            .await
            .expect("it is closed");
        assert!(!matches!(read, Ok(1..)));
    }
    assert!(begun.elapsed() > Duration::from_secs(5) && begun.elapsed() < PATIENCE);
}

/// A length that promises more than comes, and a question that is as long as one can be.
#[tokio::test]
async fn a_question_of_the_greatest_length_is_read_and_refused() {
    let served = Served::new(Vec::new()).await;
    let mut stream = connected(11, served.dns).await;
    let mut bytes = asked("web.app", RecordType::A);
    bytes.resize(usize::from(u16::MAX), 0xaa);
    let _ = stream.write_all(&[&u16::MAX.to_be_bytes()[..], &bytes].concat()).await;
    let length = tokio::time::timeout(PATIENCE, stream.read_u16())
        .await
        .expect("an answer")
        .unwrap();
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(Message::from_vec(&answer).is_ok() && answer.len() < 512);
    let socket = UdpSocket::bind("127.0.0.11:0").await.unwrap();
    socket.send_to(&bytes[..60_000], served.dns).await.unwrap();
    assert!(served.words(11, "web").await.starts_with("NoError web. 127"));
}

/// Thousands wait for a change from a hundred addresses: so many as there are places for wait, the others are told, those who
/// do not wait are answered, and a change lets all go.
#[tokio::test]
async fn thousands_who_wait_are_let_in_as_far_as_there_is_room() {
    let served = Served::new(Vec::new()).await;
    let version = served.get("/latest/version").await.1;
    let path = format!("/latest/version?wait=true&value={version}&maxWait=120");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (mut waiting, mut told) = (tokio::task::JoinSet::new(), 0);
    for nth in 0..2_000_u32 {
        let (http, request) = (served.http, request.clone());
        let from = 20 + u8::try_from(nth % 100).unwrap();
        waiting.spawn(async move {
            let mut stream = connected(from, http).await;
            let mut text = String::new();
            if stream.write_all(request.as_bytes()).await.is_ok() {
                let _ = stream.read_to_string(&mut text).await;
            }
            text
        });
        // All but those that wait are gone: closed at the door, or told. (There are not files enough for all at once.)
        while waiting.len() > 300 || nth == 1_999 && waiting.len() > 256 {
            let text = tokio::time::timeout(PATIENCE, waiting.join_next())
                .await
                .expect("they are turned away");
            let text = text.expect("there are some").unwrap();
            assert!(text.is_empty() || text.starts_with("HTTP/1.1 503"), "{text}");
            told += 1;
        }
    }
    assert_eq!(told, 2_000 - 256);
    assert!(served.words(11, "web").await.starts_with("NoError web. 127"));
    assert_eq!(served.get("/latest/version").await, (200, version.clone()));
    let next = Delta {
        after: 1,
        number: 2,
        ..Delta::default()
    };
    served.change(next).await;
    while let Some(text) = tokio::time::timeout(PATIENCE, waiting.join_next())
        .await
        .expect("a change lets them go")
    {
        let text = text.unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && !text.ends_with(&version), "{text}");
    }
}
