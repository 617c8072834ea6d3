//! The servers that `echo_ab` compares, and its client: 128 bytes there and back, many connections, one message under
//! way on each.

mod ring;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::{LocalExecutorBuilder, Placement};

use crate::kernel::{self, Epoll};

/// Bytes of one message.
pub const MESSAGE_BYTES: usize = 128;

/// Starts every server on a thread of its own on `cpu`; an idle one sleeps. The first is what the others are compared
/// with. They run until the process ends.
///
/// # Errors
/// A server cannot be started.
pub fn servers(cpu: usize) -> io::Result<Vec<(&'static str, SocketAddr)>> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (listen()?, listen()?);
    let addresses = [first.local_addr()?, second.local_addr()?];
    start("echo-epoll", cpu, move || epoll(&first))?;
    start("echo-ring", cpu, move || ring::serve(&second))?;
    let third = start_glommio(cpu)?;
    Ok(vec![("epoll", addresses[0]), ("io_uring", addresses[1]), ("glommio", third)])
}

fn start(name: &str, cpu: usize, serve: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let work = move || {
        if let Err(error) = kernel::pin(cpu).and_then(|()| serve()) {
            // A server that is gone would only show as a client that waits.
            eprintln!("an echo server failed: {error}");
            std::process::exit(1);
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

fn epoll(listener: &TcpListener) -> io::Result<()> {
    let mut epoll = Epoll::new()?;
    let mut streams: Vec<TcpStream> = Vec::new();
    epoll.add(listener.as_raw_fd(), u64::MAX)?;
    let mut buffer = [0; 16 << 10];
    loop {
        let ready: Vec<u64> = epoll.wait(-1)?.collect();
        for token in ready {
            if token == u64::MAX {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                epoll.add(stream.as_raw_fd(), streams.len() as u64)?;
                streams.push(stream);
                continue;
            }
            let mut stream = &streams[token as usize];
            let read = stream.read(&mut buffer)?;
            stream.write_all(&buffer[..read])?;
        }
    }
}

fn start_glommio(cpu: usize) -> io::Result<SocketAddr> {
    let (tell, told) = channel();
    let serve = move || async move {
        let listener = glommio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        tell.send(listener.local_addr().expect("its address")).expect("somebody waits for it");
        loop {
            let mut stream = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket option");
            let echo = async move {
                let mut buffer = [0; MESSAGE_BYTES];
                while stream.read_exact(&mut buffer).await.is_ok() {
                    stream.write_all(&buffer).await.expect("the client reads");
                }
            };
            glommio::spawn_local(echo).detach();
        }
    };
    let builder = LocalExecutorBuilder::new(Placement::Fixed(cpu)).name("echo-glommio");
    // Its thread serves until the process ends; nobody joins it.
    let _serving = builder.spawn(serve).map_err(|error| io::Error::other(error.to_string()))?;
    told.recv().map_err(io::Error::other)
}

/// The client's connections to one server. One thread drives them all.
pub struct Client {
    epoll: Epoll,
    streams: Vec<TcpStream>,
    /// Messages sent on each connection: the first bytes of the last one.
    sent: Vec<u64>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The server does not accept.
    pub fn connect(address: SocketAddr, connections: usize) -> io::Result<Client> {
        let epoll = Epoll::new()?;
        let mut streams = Vec::new();
        for token in 0..connections {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            epoll.add(stream.as_raw_fd(), token as u64)?;
            streams.push(stream);
        }
        Ok(Client { epoll, sent: vec![0; streams.len()], streams })
    }

    /// Echoes a second, over `duration`: every connection sends as soon as it has been answered.
    ///
    /// # Errors
    /// The server closes a connection, answers other bytes, or not at all within ten seconds.
    pub fn run(&mut self, duration: Duration) -> io::Result<f64> {
        let start = Instant::now();
        for at in 0..self.streams.len() {
            self.send(at)?;
        }
        let (mut echoes, mut waiting) = (0_u64, self.streams.len());
        let mut counted = None;
        while waiting > 0 {
            let ready: Vec<u64> = self.epoll.wait(10_000)?.collect();
            if ready.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let over = start.elapsed() >= duration;
            if over && counted.is_none() {
                counted = Some(echoes as f64 / start.elapsed().as_secs_f64());
            }
            for token in ready {
                self.receive(token as usize)?;
                echoes += 1;
                if over {
                    waiting -= 1;
                } else {
                    self.send(token as usize)?;
                }
            }
        }
        counted.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    fn send(&mut self, at: usize) -> io::Result<()> {
        self.sent[at] += 1;
        let mut message = [7; MESSAGE_BYTES];
        message[..8].copy_from_slice(&self.sent[at].to_le_bytes());
        self.streams[at].write_all(&message)
    }

    fn receive(&mut self, at: usize) -> io::Result<()> {
        let mut message = [0; MESSAGE_BYTES];
        self.streams[at].read_exact(&mut message)?;
        if message[..8] == self.sent[at].to_le_bytes() {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}
