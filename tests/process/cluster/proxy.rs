//! A network that can be made bad: everything that one replica sends to the ports of another, and is answered, goes
//! through here. TCP loses no bytes, so what is lost is a connection, or time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::site::{LOOPBACK, free_ports};

/// The way from one replica to the ports of another, and back.
pub struct Proxy {
    /// Its first port; each next one leads to the replica's next.
    pub port: u16,
    link: Arc<Link>,
}

#[derive(Default)]
struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How long each byte is under way.
    delay: Duration,
    /// Nothing arrives; it does later.
    stalled: bool,
    /// Connections are refused.
    refused: bool,
    /// What is connected, to be cut.
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// A way to as many ports from `to` on.
    pub fn start(to: u16, ports: u16) -> Proxy {
        let port = free_ports(ports);
        let link = Arc::new(Link::default());
        for offset in 0..ports {
            let listener = TcpListener::bind((LOOPBACK, port + offset)).expect("a free port");
            let link = Arc::clone(&link);
            thread::spawn(move || {
                for near in listener.incoming() {
                    // A replica that is down refuses, and so does its proxy: by closing at once.
                    if let (Ok(near), Ok(far)) = (near, TcpStream::connect((LOOPBACK, to + offset))) {
                        link.carry(near, far);
                    }
                }
            });
        }
        Proxy { port, link }
    }

    /// Each byte that is sent from now on arrives so much later.
    pub fn delay(&self, delay: Duration) {
        self.link.lock().delay = delay;
    }

    /// Nothing arrives until it is let go again; nothing is lost.
    pub fn stall(&self, stalled: bool) {
        self.link.lock().stalled = stalled;
        self.link.changed.notify_all();
    }

    /// Ends every connection with what is under way on it; `refused` says whether there can be new ones.
    pub fn cut(&self, refused: bool) {
        let mut state = self.link.lock();
        state.refused = refused;
        for stream in state.streams.drain(..) {
            // The other end may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.link.changed.notify_all();
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(self: &Arc<Link>, near: TcpStream, far: TcpStream) {
        let mut state = self.lock();
        if state.refused {
            return;
        }
        for (from, to) in [(&near, &far), (&far, &near)] {
            from.set_nodelay(true).expect("nodelay");
            let clone = |stream: &TcpStream| stream.try_clone().expect("another handle");
            state.streams.push(clone(from));
            let (sender, receiver) = channel();
            let (reader, writer, link) = (clone(from), clone(to), Arc::clone(self));
            thread::spawn(move || read(reader, &sender));
            thread::spawn(move || link.write(writer, &receiver));
        }
    }

    /// Writes what was read, each when it is due.
    fn write(&self, mut to: TcpStream, parts: &Receiver<(Instant, Vec<u8>)>) {
        for (read_at, bytes) in parts {
            let mut state = self.lock();
            loop {
                let now = Instant::now();
                let due = read_at + state.delay;
                if now >= due && !state.stalled {
                    break;
                }
                let wait = if state.stalled { STALLED_WAIT } else { due - now };
                let waited = self.changed.wait_timeout(state, wait);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            drop(state);
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // Closed already if that is why it ends.
        let _ = to.shutdown(Shutdown::Write);
    }
}

fn read(mut from: TcpStream, parts: &Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if parts.send((Instant::now(), buffer[..count].to_vec())).is_err() {
            // The other side takes no more: nobody may wait for an answer.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// A stalled connection looks again after this long; it is woken when that changes.
const STALLED_WAIT: Duration = Duration::from_secs(1);
