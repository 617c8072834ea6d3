//! The thread that serves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::routes::router;
use crate::{Faces, HttpLimits, Problem};

/// A socket on which somebody may connect already; who does waits until it is served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Listens there.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn listen(address: SocketAddr) -> io::Result<Bound> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    }

    /// Where it listens: on a port that was free, if 0 was wanted.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves on a thread of its own, until the process ends.
    ///
    /// # Errors
    /// The thread, or what it runs on, cannot be had.
    pub fn serve(self, faces: Faces) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let serve = move || runtime.block_on(accept(self.listener, faces));
        thread::Builder::new().name("http".to_owned()).spawn(serve).map(drop)
    }
}

/// Accepts for ever, and serves each connection in a task of its own, as many at once as the limits allow.
async fn accept(listener: TcpListener, faces: Faces) {
    let listener = tokio::net::TcpListener::from_std(listener);
    let listener = listener.unwrap_or_else(|error| panic!("a listener cannot be waited for: {error}"));
    let limits = faces.limits;
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let room_to_tell = Arc::new(Semaphore::new(TOLD_AT_ONCE_MAX));
    let router = router(faces);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // A connection that broke before it was accepted, or no descriptor left for another one.
                tracing::warn!(%error, "an HTTP connection cannot be accepted");
                sleep(ACCEPTED_AGAIN_AFTER).await;
                continue;
            }
        };
        match Arc::clone(&room).try_acquire_owned() {
            Ok(place) => drop(tokio::spawn(serve(stream, router.clone(), limits, place))),
            Err(_) => {
                // Whoever comes while many are being told is closed without a word.
                if let Ok(place) = Arc::clone(&room_to_tell).try_acquire_owned() {
                    drop(tokio::spawn(async move {
                        // So is whoever does not listen.
                        let _ = timeout(TOLD_WITHIN, turn_away(stream, limits.connections_max)).await;
                        drop(place);
                    }));
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, limits: HttpLimits, place: OwnedSemaphorePermit) {
    // Small answers must not wait for the acknowledgement of earlier ones. Whoever takes nothing of an answer for so
    // long is gone, or keeps a place from others. A socket that cannot be told so still works.
    let _ = stream.set_nodelay(true);
    let unread_ms = u32::try_from(limits.request_timeout.as_millis()).unwrap_or(u32::MAX);
    let _ = set_tcp_user_timeout(&stream, unread_ms);
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_timeout)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max);
    let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
    drop(place);
}

/// There are too many connections: says so, and waits until the other side closes. One that is closed with a request
/// unread takes the answer with it.
async fn turn_away(mut stream: TcpStream, connections_max: usize) -> io::Result<()> {
    let problem = Problem::too_many_connections(connections_max);
    let body =
        serde_json::to_string(&problem).unwrap_or_else(|error| panic!("a problem is no JSON: {error}"));
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close";
    let answer = format!("{head}\r\nretry-after: 1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

const ACCEPTED_AGAIN_AFTER: Duration = Duration::from_millis(100);

const TOLD_WITHIN: Duration = Duration::from_secs(1);

const TOLD_AT_ONCE_MAX: usize = 64;
