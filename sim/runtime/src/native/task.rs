//! Tasks: tokio's.

use std::future::Future;

pub use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};

/// Runs `future` as a task of its own; dropping the handle does not end it.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::task::spawn(future)
}

/// Lets other tasks run before this one goes on.
pub async fn yield_now() {
    tokio::task::yield_now().await;
}
