//! The thread that serves.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::Faces;
use crate::routes::router;

/// Why nothing is served.
#[derive(Debug)]
pub enum ServerError {
    /// The address cannot be listened on.
    Bind(String, io::Error),
    /// The thread, or what it runs on, cannot be had.
    Thread(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Bind(address, error) => {
                write!(
                    f,
                    "[listen] http: {address} cannot be listened on: {error}; choose another port, or \"\" for none"
                )
            }
            ServerError::Thread(error) => write!(f, "the HTTP thread does not start: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// A socket on which somebody may connect already; who does waits until it is served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Listens on what the `configured` address was resolved to.
    ///
    /// # Errors
    /// [`ServerError::Bind`].
    pub fn listen(resolved: io::Result<SocketAddr>, configured: &str) -> Result<Bound, ServerError> {
        let refuse = |error| ServerError::Bind(configured.to_owned(), error);
        let listener = resolved.and_then(TcpListener::bind).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Bound { listener, address })
    }

    /// Where it listens: on a port that was free, if 0 was configured.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on a thread of its own, until the process ends.
    ///
    /// # Errors
    /// [`ServerError::Thread`].
    pub fn serve(self, faces: Faces) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(ServerError::Thread)?;
        let serve = move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(self.listener)?;
                axum::serve(listener, router(faces)).await
            })
        };
        thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(ServerError::Thread)?;
        Ok(())
    }
}
