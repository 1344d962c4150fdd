//! Simulated TCP with the names of tokio's.
//!
//! Sockets keep what applications can observe of Linux's: buffers that fill up, reads cut
//! anywhere, half-close, a reset for bytes that nobody reads, and the ways in which a connection
//! to a lost peer ends. The network between them is in `fabric`, its links
//! in `link`, what goes over a connection in `stream`.

pub(crate) mod fabric;
pub(crate) mod link;
mod socket;
mod stream;

use super::context;
use fabric::{Fabric, Io};
use socket::SocketId;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fn with<R>(f: impl FnOnce(&mut Fabric, &mut Io<'_>) -> R) -> R {
    context::with(|sim| sim.network(f))
}

/// The address of `host_port`: an address and port, or a node's name and a port.
///
/// # Errors
///
/// If the name is unknown or the text is not of the form `host:port`.
pub async fn resolve(host_port: &str) -> io::Result<SocketAddr> {
    if let Ok(addr) = host_port.parse() {
        return Ok(addr);
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not of the form host:port");
    let (host, port) = host_port.rsplit_once(':').ok_or_else(invalid)?;
    let port: u16 = port.parse().map_err(|_| invalid())?;
    if host == "localhost" {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let ip = context::with(|sim| sim.nodes.by_name(host).map(|node| sim.nodes.all[node].ip));
    ip.map(|ip| SocketAddr::new(ip, port)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("no address is known for {host_port:?}"))
    })
}

/// Connects to `host_port`, a node's only address.
///
/// # Errors
///
/// Those of [`resolve`] and of [`TcpStream::connect`].
pub async fn connect(host_port: &str) -> io::Result<TcpStream> {
    TcpStream::connect(resolve(host_port).await?).await
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct TcpListener {
    id: u64,
    addr: SocketAddr,
}

impl TcpListener {
    /// Listens at `addr`: one of the current node's own addresses or the unspecified one. Port 0
    /// takes a free one.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, or `AddrNotAvailable` if the address is another node's.
    pub async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        let (id, addr) = context::with(|sim| {
            let node = sim.nodes.current_index();
            sim.net.bind(node, addr)
        })?;
        Ok(TcpListener { id, addr })
    }

    /// Waits for the next connection; returns it and where it comes from.
    ///
    /// # Errors
    ///
    /// Only when the node's process is gone.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// See [`TcpListener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        with(|net, _| net.poll_accept(self.id, cx)).map_ok(|(id, local, remote)| {
            (TcpStream { socket: Arc::new(Handle { id, local, remote }) }, remote)
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        context::try_with(|sim| sim.network(|net, io| net.close_listener(io, self.id)));
    }
}

/// The application's hold on a socket: when it is dropped, the socket is closed.
struct Handle {
    id: SocketId,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Handle {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        with(|net, io| net.poll_read(io, self.id, buf, cx))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        with(|net, io| net.poll_write(io, self.id, bufs, cx))
    }

    fn poll_shutdown(&self) -> Poll<io::Result<()>> {
        Poll::Ready(with(|net, io| net.shutdown(io, self.id)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        context::try_with(|sim| sim.network(|net, io| net.close(io, self.id)));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)
    }
}

/// A connection.
#[derive(Debug)]
pub struct TcpStream {
    socket: Arc<Handle>,
}

/// The half of a connection that reads.
#[derive(Debug)]
pub struct OwnedReadHalf {
    socket: Arc<Handle>,
}

/// The half of a connection that writes. Dropping it tells the other side that no more will come.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    socket: Arc<Handle>,
}

impl TcpStream {
    /// Connects to `addr`.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if nobody listens there, `TimedOut` if nobody answers.
    pub async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
        let id = context::with(|sim| {
            let node = sim.nodes.current_index();
            sim.network(|net, io| net.connect(io, node, addr))
        });
        // Closes the socket if this future is dropped.
        let mut handle = Handle { id, local: addr, remote: addr };
        handle.local = poll_fn(|cx| with(|net, _| net.poll_connected(id, cx))).await?;
        Ok(TcpStream { socket: Arc::new(handle) })
    }

    /// Splits it into halves that different tasks can use.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf { socket: self.socket.clone() }, OwnedWriteHalf { socket: self.socket })
    }

    /// Without effect: nothing is ever held back in the hope of more.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn set_nodelay(&self, _nodelay: bool) -> io::Result<()> {
        Ok(())
    }

    /// Lets closing reset the connection: what was written may be lost.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        with(|net, _| net.set_zero_linger(self.socket.id));
        Ok(())
    }

    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.remote)
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local)
    }
}

impl OwnedReadHalf {
    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.remote)
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local)
    }
}

impl OwnedWriteHalf {
    /// The address of the other side.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.remote)
    }

    /// The address of this side.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        context::try_with(|sim| sim.network(|net, io| net.shutdown(io, self.socket.id)));
    }
}

macro_rules! reads {
    ($type:ty) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.socket.poll_read(cx, buf)
            }
        }
    };
}

macro_rules! writes {
    ($type:ty) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_write(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_write(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_shutdown()
            }
        }
    };
}

reads!(TcpStream);
reads!(OwnedReadHalf);
writes!(TcpStream);
writes!(OwnedWriteHalf);
