//! TCP: tokio's.

use std::io;
use std::net::SocketAddr;
pub use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub use tokio::net::{TcpListener, TcpStream};

/// The address of `host_port`: an address and port, or a name and port to be looked up.
///
/// # Errors
///
/// If the name is unknown or the text is not of the form `host:port`.
pub async fn resolve(host_port: &str) -> io::Result<SocketAddr> {
    let mut found = tokio::net::lookup_host(host_port).await?;
    found.next().ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("no address is known for {host_port:?}"))
    })
}
