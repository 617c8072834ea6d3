//! `GET /v1/cluster`: all replicas, as this one sees them. It asks the others for their status, at most once in a while
//! and only while somebody wants to know, so that a page in a browser needs to reach one replica only.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{Faces, Status};

/// All replicas, as one of them sees them.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Which one.
    seen_by: u8,
    /// By number.
    replicas: Vec<ReplicaSeen>,
}

/// A replica, as another sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaSeen {
    /// Its number.
    replica: u8,
    /// Where it is asked by HTTP: `host:port`; none if it is not known, or not asked.
    http: Option<String>,
    /// Whether it answered.
    reached: bool,
    /// How long ago it said `status`, in milliseconds; none if it never did.
    age_ms: Option<u64>,
    /// Why it was not reached.
    problem: Option<String>,
    /// As `/v1/status` of it; none if it never answered.
    status: Option<Value>,
}

/// What is known of the others.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    asked_at: Option<Instant>,
    /// By replica.
    last: Vec<LastSeen>,
}

#[derive(Clone, Debug, Default)]
struct LastSeen {
    http: Option<String>,
    problem: Option<String>,
    status: Option<(Instant, Value)>,
}

pub(crate) async fn cluster(State(faces): State<Faces>) -> Json<ClusterStatus> {
    let own = faces.about.replica;
    let mut seen = faces.neighbours.0.lock().await;
    if seen.asked_at.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY) {
        seen.ask(&faces).await;
    }
    let replicas = seen.last.iter().enumerate().map(|(replica, last)| {
        let replica = replica as u8;
        if replica == own {
            let status = serde_json::to_value(Status::of(&faces));
            let status = status.unwrap_or_else(|error| panic!("a status is no JSON: {error}"));
            return ReplicaSeen {
                replica,
                http: last.http.clone(),
                reached: true,
                age_ms: Some(0),
                problem: None,
                status: Some(status),
            };
        }
        ReplicaSeen {
            replica,
            http: last.http.clone(),
            reached: last.problem.is_none(),
            age_ms: last.status.as_ref().map(|(at, _)| at.elapsed().as_millis() as u64),
            problem: last.problem.clone(),
            status: last.status.as_ref().map(|(_, status)| status.clone()),
        }
    });
    Json(ClusterStatus { seen_by: own, replicas: replicas.collect() })
}

impl Seen {
    /// Asks all others side by side.
    async fn ask(&mut self, faces: &Faces) {
        let places = faces.bulletin.read().places;
        self.last.resize_with(places.len(), LastSeen::default);
        let mut asked = JoinSet::new();
        for (replica, place) in places.iter().enumerate() {
            let last = &mut self.last[replica];
            let http = place.http();
            last.http = http.as_ref().map(|(host, port)| shown(host, *port));
            if replica == usize::from(faces.about.replica) {
                continue;
            }
            match (http, place.ports) {
                (Some((host, port)), _) => drop(asked.spawn(async move {
                    let answer = timeout(ANSWERED_WITHIN, ask(&host, port)).await;
                    (replica, answer.unwrap_or_else(|_| Err(format!("no answer within {ANSWERED_WITHIN:?}"))))
                })),
                (None, Some(_)) => last.problem = Some("it is not asked by HTTP ([listen] http)".to_owned()),
                (None, None) => {
                    last.problem = Some("not connected since this replica was started".to_owned())
                }
            }
        }
        while let Some(answer) = asked.join_next().await {
            let Ok((replica, answer)) = answer else { continue };
            let last = &mut self.last[replica];
            match answer {
                Ok(status) => (last.problem, last.status) = (None, Some((Instant::now(), status))),
                Err(problem) => last.problem = Some(problem),
            }
        }
        self.asked_at = Some(Instant::now());
    }
}

/// One question on a connection of its own.
async fn ask(host: &str, port: u16) -> Result<Value, String> {
    let failed = |error: io::Error| error.to_string();
    let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    let broken = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/v1/status").header(header::HOST, shown(host, port));
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), STATUS_BYTES_MAX).collect().await;
    connection.abort();
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!("it answers {status}"));
    }
    serde_json::from_slice(&body).map_err(|error| format!("it answers what is no JSON: {error}"))
}

/// As it stands in a URL.
fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// However many look on, the others are asked no more often than that.
const ASKED_EVERY: Duration = Duration::from_millis(400);

/// On a network that serves a cluster, a status that takes longer is news by itself.
const ANSWERED_WITHIN: Duration = Duration::from_millis(700);

/// A status is some kilobytes; many shards make it more.
const STATUS_BYTES_MAX: usize = 8 << 20;
