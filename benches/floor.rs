//! The floor: actix, diesel and SQLite with nothing else. Documents are kept and answered as text; reads go through
//! the blocking pool; writes through one thread that commits what waits, durable, in one transaction. Events are one
//! broadcast of shared bytes, with a WebSocket for each who listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use actix_web::http::header::ContentType;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytestring::ByteString;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::sqlite::SqliteConnection;
use futures_util::StreamExt as _;
use tokio::sync::{broadcast, oneshot};

diesel::table! {
    document (id) {
        id -> BigInt,
        uuid -> Text,
        kind -> Text,
        account -> BigInt,
        state -> Text,
        name -> Text,
        body -> Text,
    }
}

const TABLE: &str = "CREATE TABLE document (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, uuid TEXT NOT NULL, kind TEXT NOT NULL, \
     account BIGINT NOT NULL, state TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL); \
     CREATE UNIQUE INDEX document_uuid ON document (uuid); CREATE INDEX document_list ON document (kind, account, id); \
     CREATE INDEX document_name ON document (kind, account, name, id);";

type Readers = Pool<ConnectionManager<SqliteConnection>>;
type Write = (String, oneshot::Sender<i64>);

#[derive(Debug)]
struct ReadOnly;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for ReadOnly {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; PRAGMA cache_size = -16384; PRAGMA mmap_size = 1073741824;";
        conn.batch_execute(pragmas).map_err(diesel::r2d2::Error::QueryError)
    }
}

fn open(file: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(&file.display().to_string()).expect("a database");
    let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;";
    conn.batch_execute(pragmas).expect("pragmas");
    conn
}

/// Fills a database with documents: `(kind, account, state, body)`.
pub fn fill(file: &Path, documents: impl Iterator<Item = (String, i64, String, String)>) -> Vec<(String, i64)> {
    let mut conn = open(file);
    conn.batch_execute(TABLE).expect("a new table");
    conn.transaction(|conn| {
        documents
            .map(|(kind, account, state, body)| {
                let row = (
                    document::uuid.eq(uuid::Uuid::now_v7().to_string()),
                    document::kind.eq(&kind),
                    document::account.eq(account),
                    document::state.eq(state),
                    document::name.eq("shop-web"),
                    document::body.eq(body),
                );
                let id = diesel::insert_into(document::table)
                    .values(row)
                    .returning(document::id)
                    .get_result(conn)?;
                Ok::<_, diesel::result::Error>((kind, id))
            })
            .collect()
    })
    .expect("documents")
}

/// Serves until killed.
pub fn serve(address: SocketAddr, file: PathBuf) {
    let most = rlimit::Resource::NOFILE.get_hard().expect("a limit");
    rlimit::increase_nofile_limit(most).expect("more files");
    let readers: Readers = Pool::builder()
        .max_size(2)
        .test_on_check_out(false)
        .connection_customizer(Box::new(ReadOnly))
        .build(ConnectionManager::new(file.display().to_string()))
        .expect("readers");
    let (writer, waiting) = mpsc::channel::<Write>();
    std::thread::spawn(move || write(open(&file), &waiting));
    let (events, _) = broadcast::channel::<ByteString>(64);
    let system = actix_web::rt::System::new();
    system
        .block_on(
            HttpServer::new(move || {
                App::new()
                    .app_data(web::Data::new(readers.clone()))
                    .app_data(web::Data::new(writer.clone()))
                    .app_data(web::Data::new(events.clone()))
                    .app_data(web::PayloadConfig::new(1 << 20))
                    .route("/documents", web::get().to(list))
                    .route("/documents", web::post().to(create))
                    .route("/documents/{id}", web::get().to(find))
                    .route("/events", web::get().to(subscribe))
                    .route("/events", web::post().to(publish))
            })
            .workers(1)
            .bind(address)
            .expect("a free port")
            .run(),
        )
        .expect("a server");
}

async fn find(id: web::Path<i64>, readers: web::Data<Readers>) -> HttpResponse {
    let body = web::block(move || {
        let mut conn = readers.get().expect("a reader");
        document::table
            .find(*id)
            .select(document::body)
            .get_result::<String>(&mut conn)
    });
    match body.await.expect("a thread") {
        Ok(body) => HttpResponse::Ok().insert_header(ContentType::json()).body(body),
        Err(_) => HttpResponse::NotFound().finish(),
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    kind: String,
    account: i64,
    state: String,
}

async fn list(asked: web::Query<Asked>, readers: web::Data<Readers>) -> HttpResponse {
    let body = web::block(move || {
        let mut conn = readers.get().expect("a reader");
        let bodies: Vec<String> = document::table
            .filter(document::kind.eq(&asked.kind))
            .filter(document::account.eq(asked.account))
            .filter(document::state.eq(&asked.state))
            .order(document::id)
            .limit(100)
            .select(document::body)
            .load(&mut conn)
            .expect("documents");
        let mut body = String::with_capacity(bodies.iter().map(|b| b.len() + 1).sum::<usize>() + 64);
        body.push_str(r#"{"type":"collection","data":["#);
        for (at, one) in bodies.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(one);
        }
        body.push_str("]}");
        body
    });
    HttpResponse::Ok()
        .insert_header(ContentType::json())
        .body(body.await.expect("a thread"))
}

async fn create(body: String, writer: web::Data<mpsc::Sender<Write>>) -> HttpResponse {
    let (answer, answered) = oneshot::channel();
    writer.send((body.clone(), answer)).expect("a writer");
    match answered.await {
        Ok(id) => HttpResponse::Created()
            .insert_header(ContentType::json())
            .insert_header(("Location", id.to_string()))
            .body(body),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

async fn subscribe(
    request: HttpRequest,
    body: web::Payload,
    events: web::Data<broadcast::Sender<ByteString>>,
) -> HttpResponse {
    let (response, mut session, mut stream) = actix_ws::handle(&request, body).expect("a handshake");
    let mut events = events.subscribe();
    actix_web::rt::spawn(async move {
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Ok(event) = event else { return };
                    if session.text(event).await.is_err() {
                        return;
                    }
                }
                message = stream.next() => if message.is_none() { return },
            }
        }
    });
    response
}

async fn publish(body: String, events: web::Data<broadcast::Sender<ByteString>>) -> HttpResponse {
    // Nobody there is no failure.
    let _ = events.send(body.into());
    HttpResponse::Ok().finish()
}

fn write(mut conn: SqliteConnection, waiting: &mpsc::Receiver<Write>) {
    while let Ok(first) = waiting.recv() {
        let mut answers = Vec::new();
        conn.batch_execute("BEGIN IMMEDIATE").expect("a transaction");
        let mut next = Some(first);
        while let Some((body, answer)) = next.take() {
            let row = (
                document::uuid.eq(uuid::Uuid::now_v7().to_string()),
                document::kind.eq("genericObject"),
                document::account.eq(5),
                document::state.eq("active"),
                document::name.eq("shop-web"),
                document::body.eq(body),
            );
            let id: i64 = diesel::insert_into(document::table)
                .values(row)
                .returning(document::id)
                .get_result(&mut conn)
                .expect("a row");
            answers.push((answer, id));
            next = waiting.try_recv().ok();
        }
        conn.batch_execute("COMMIT").expect("a commit");
        for (answer, id) in answers {
            let _ = answer.send(id);
        }
    }
}
