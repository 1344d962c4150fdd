//! TCP: tokio's.

use std::io;
use std::net::SocketAddr;
pub use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub use tokio::net::{TcpListener, TcpStream};

/// The address of `host_port`: an address and port, or a name and port to be looked up. A name that
/// has addresses of both kinds stands for its IPv4 one, so that `localhost` is one place.
///
/// # Errors
///
/// If the name is unknown or the text is not of the form `host:port`.
pub async fn resolve(host_port: &str) -> io::Result<SocketAddr> {
    preferred(tokio::net::lookup_host(host_port).await?).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("no address is known for {host_port:?}"))
    })
}

/// The first IPv4 address, or else the first.
fn preferred(found: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    // False comes before true, and the first of equals is taken.
    found.min_by_key(SocketAddr::is_ipv6)
}

/// Connects to `host_port`; where a name has several addresses, to the first that answers.
///
/// # Errors
///
/// Those of [`resolve`], or of the last address.
pub async fn connect(host_port: &str) -> io::Result<TcpStream> {
    TcpStream::connect(host_port).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_is_preferred_and_otherwise_the_order() {
        let pick = |all: &[&str]| {
            preferred(all.iter().map(|text| text.parse().unwrap())).map(|found| found.to_string())
        };
        assert_eq!(pick(&["[::1]:1", "127.0.0.1:1", "127.0.0.2:1"]).unwrap(), "127.0.0.1:1");
        assert_eq!(pick(&["[::2]:1", "[::1]:1"]).unwrap(), "[::2]:1");
        assert_eq!(pick(&[]), None);
    }
}
