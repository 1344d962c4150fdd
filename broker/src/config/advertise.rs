//! Where clients are told to reach a node.

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Address;

/// What a node says of where its clients reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Advertise {
    /// The host at which the other nodes reach it, and the port at which it listens.
    #[default]
    Automatic,
    /// Nothing, so that nobody is told of it.
    Nothing,
    /// There.
    At(Address),
}

impl Advertise {
    /// The `host:port` to tell of a node that others reach at `link`, a `host:port` as well, and that
    /// listens at `bound`.
    pub fn address(&self, link: &str, bound: SocketAddr) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::At(address) => Some(address.to_string()),
            Self::Automatic => {
                let (host, _) = link.rsplit_once(':')?;
                Some(format!("{host}:{}", bound.port()))
            }
        }
    }
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Automatic),
            "none" => Ok(Self::Nothing),
            _ if text.contains(',') => Err(format!("`{text}` is more than one address")),
            _ => match text.parse() {
                Ok(address) => Ok(Self::At(address)),
                Err(why) => Err(format!("{why}; or `auto`, or `none`")),
            },
        }
    }
}

impl TryFrom<String> for Advertise {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Advertise> for String {
    fn from(advertise: Advertise) -> Self {
        advertise.to_string()
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Nothing => f.write_str("none"),
            Self::At(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_sent_where_other_nodes_go_unless_it_is_said_otherwise() {
        let bound = "0.0.0.0:61616".parse().unwrap();
        for (text, told) in [
            ("auto", Some("n1.example.org:61616")),
            ("none", None),
            ("broker.example.org:1616", Some("broker.example.org:1616")),
        ] {
            let advertise: Advertise = text.parse().unwrap();
            assert_eq!(advertise.address("n1.example.org:61620", bound).as_deref(), told);
            assert_eq!(advertise.to_string(), text);
        }
        let auto = Advertise::Automatic;
        assert_eq!(auto.address("[::1]:61620", bound).as_deref(), Some("[::1]:61616"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refused = |text: &str| text.parse::<Advertise>().unwrap_err();
        assert!(refused("broker").starts_with("`broker` has no port"));
        assert!(refused("broker").ends_with("; or `auto`, or `none`"));
        assert_eq!(refused("a:1,b:2"), "`a:1,b:2` is more than one address");
    }
}
