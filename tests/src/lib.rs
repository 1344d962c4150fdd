//! What the real-client tests share: real `paceline` processes on loopback and their data.

pub mod cluster;
