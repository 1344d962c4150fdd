//! The server's end of a connection, which says what it is told, over a real socket.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use paceline_runtime::{
    net::{TcpListener, TcpStream},
    time,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Server {
    pub stream: TcpStream,
    pub read: Vec<u8>,
}

impl Server {
    /// Where one connection is awaited.
    pub async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    pub async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self { stream, read: Vec::new() }
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits until the client has said all of this, and then no more.
    pub async fn hears(&mut self, expected: &[u8]) {
        let heard = async {
            while self.read.len() < expected.len() {
                assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "it hangs up");
            }
        };
        time::timeout(PATIENCE, heard).await.expect("it is said");
        assert_eq!(String::from_utf8_lossy(&self.read), String::from_utf8_lossy(expected));
        self.read.clear();
    }

    /// Whether the client says something within so long; not that it hangs up.
    pub async fn hears_within(&mut self, within: Duration) -> bool {
        match time::timeout(within, self.stream.read_buf(&mut self.read)).await {
            Ok(read) => {
                assert!(read.unwrap() > 0, "it hangs up");
                true
            }
            Err(_) => false,
        }
    }
}
