//! The wish of the world that a node's process end in good order.

use super::context;

/// Waits until the world asks this node's process to stop, once or earlier
/// (`World::request_shutdown`).
pub async fn requested() {
    let mut wish = context::with(|sim| sim.nodes.current().shutdown.subscribe());
    // The sender lives as long as the process; when it goes, so does this task.
    if wish.wait_for(|wished| *wished).await.is_err() {
        std::future::pending::<()>().await;
    }
}
