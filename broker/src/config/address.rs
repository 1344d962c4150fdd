//! Where something listens, as people write it: `127.0.0.1:61613`, `localhost:61613`,
//! `[::1]:61613`.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use paceline_runtime::net;
use serde::{Deserialize, Serialize};

/// A `host:port`; the host is an address, or a name that is looked up when the address is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: String,
}

impl Address {
    /// Looks the name up. A name with addresses of both kinds stands for its IPv4 one.
    ///
    /// # Errors
    /// When the name is unknown.
    pub async fn resolve(&self) -> io::Result<SocketAddr> {
        net::resolve(&self.text).await
    }

    /// The `host:port`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write host:port";
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("`{text}` has no port; {example}"));
        };
        if host.contains('/') {
            return Err(format!("`{text}` is no host and port but a URL; {example}"));
        }
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        if host.contains(':') && !is_bracketed {
            return Err(format!("`{text}` needs brackets and a port, such as [::1]:61613"));
        }
        if is_bracketed && text.parse::<SocketAddr>().is_err() {
            return Err(format!("`{text}` is no IPv6 address with a port, such as [::1]:61613"));
        }
        if host.is_empty() {
            return Err(format!("`{text}` has no host; {example}"));
        }
        if port.is_empty() {
            return Err(format!("`{text}` has no port; {example}"));
        }
        if port.parse::<u16>().is_err() {
            return Err(format!("`{port}` is no port; {example}"));
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.text
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { text: address.to_string() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken() {
        for text in ["127.0.0.1:61613", "localhost:0", "n1.example.org:80", "[::1]:61613"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, expected) in [
            ("localhost", "`localhost` has no port"),
            ("127.0.0.1", "`127.0.0.1` has no port"),
            ("[::1]", "`[::1]` needs brackets and a port"),
            ("::1", "`::1` needs brackets and a port"),
            ("::1:61613", "`::1:61613` needs brackets and a port"),
            ("[n1]:61613", "`[n1]:61613` is no IPv6 address"),
            (":61613", "`:61613` has no host"),
            ("localhost:", "`localhost:` has no port"),
            ("localhost:65536", "`65536` is no port"),
            ("stomp://localhost:1", "`stomp://localhost:1` is no host and port but a URL"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
