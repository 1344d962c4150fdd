//! Memory, of which a simulated process has none of its own.

/// Does nothing: see the native build for the real meaning.
pub async fn give_back() {}
