//! Local reads: of this replica itself, whether it leads or not, over connections of their own that are kept.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use assize_tools::client::{EntityRead, Session, SessionError, SessionEvent};
use assize_wire::message::{Consistency, EntityRef};
use assize_wire::{ClusterId, DomainId, EntityId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// Reads of this replica.
#[derive(Clone, Debug)]
pub struct LocalReader {
    cluster: ClusterId,
    address: SocketAddr,
    /// Connections that nobody uses now.
    idle: Arc<Mutex<Vec<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    session: Session,
}

/// Why nothing was read.
#[derive(Debug)]
pub enum LocalError {
    /// The replica's port for clients, of this process, cannot be used.
    Io(io::Error),
    /// It refuses, or says what cannot be.
    Session(SessionError),
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalError::Io(error) => write!(f, "this replica does not take clients: {error}"),
            LocalError::Session(SessionError::Refused(refused)) => f.write_str(&refused.text),
            LocalError::Session(error) => write!(f, "this replica does not answer: {error}"),
        }
    }
}

impl LocalReader {
    /// Of the replica of this cluster whose clients connect there.
    #[must_use]
    pub fn new(cluster: ClusterId, address: SocketAddr) -> LocalReader {
        LocalReader { cluster, address, idle: Arc::default() }
    }

    /// An entity as of the last slot that this replica has published, or a later one.
    ///
    /// # Errors
    /// [`LocalError`]
    pub async fn read(&self, domain: DomainId, entity: EntityId) -> Result<EntityRead, LocalError> {
        let kept = self.idle.lock().await.pop();
        let wanted = EntityRef::new(domain, entity);
        let (read, connection) = match kept {
            // It may have been closed meanwhile.
            Some(connection) => match connection.read(wanted).await {
                Ok(read) => read,
                Err(LocalError::Session(error)) => return Err(LocalError::Session(error)),
                Err(LocalError::Io(_)) => self.connect().await?.read(wanted).await?,
            },
            None => self.connect().await?.read(wanted).await?,
        };
        let mut idle = self.idle.lock().await;
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(read)
    }

    async fn connect(&self) -> Result<Connection, LocalError> {
        let stream = TcpStream::connect(self.address).await.map_err(LocalError::Io)?;
        stream.set_nodelay(true).map_err(LocalError::Io)?;
        Ok(Connection { stream, session: Session::new(self.cluster) })
    }
}

impl Connection {
    /// Reads, and gives the connection back if it can be used again.
    async fn read(mut self, wanted: EntityRef) -> Result<(EntityRead, Connection), LocalError> {
        let mut asked = false;
        loop {
            if self.session.is_welcomed() && !asked {
                asked = true;
                self.session.read(0, Consistency::Local, &[wanted]);
            }
            while !self.session.output().is_empty() {
                let written = self.stream.write(self.session.output()).await.map_err(LocalError::Io)?;
                self.session.handle_written(written);
            }
            let read = self.stream.read(self.session.space()).await.map_err(LocalError::Io)?;
            if read == 0 {
                return Err(LocalError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            self.session.handle_received(read);
            while let Some(event) = self.session.poll_event().map_err(LocalError::Session)? {
                match event {
                    SessionEvent::States { states, .. } => {
                        let slot = states.slot;
                        let Some(first) = states.into_iter().next() else { continue };
                        let state =
                            first.map_err(|error| LocalError::Session(SessionError::Message(error)))?;
                        let state = state.state.map(<[u8]>::to_vec);
                        return Ok((EntityRead { slot, state }, self));
                    }
                    SessionEvent::Refused { refused, .. } => {
                        return Err(LocalError::Session(SessionError::Refused(refused)));
                    }
                    SessionEvent::Welcome(_) | SessionEvent::Answers { .. } | SessionEvent::Pong => {}
                }
            }
        }
    }
}

/// Connections that are kept for later reads.
const IDLE_MAX: usize = 4;
