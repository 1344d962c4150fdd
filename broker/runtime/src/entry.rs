//! The way into the seam for a program: run one future to its end.

use std::future::Future;

/// Runs `future` to its end and returns its output.
///
/// Natively this starts a multi-threaded tokio runtime with one worker per core. Simulated it
/// runs the future as the only process of a one-node world with seed 0; worlds with more in them
/// are built with `world::World::run`.
///
/// # Panics
///
/// If the runtime cannot be started, and, simulated, if the future panics.
#[cfg(not(madsim))]
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system refuses the threads and descriptors a runtime needs");
    runtime.block_on(future)
}

/// Runs `future` to its end and returns its output: see the native build for the real meaning.
///
/// # Panics
///
/// If the future panics.
#[cfg(madsim)]
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    use crate::world::{NodeConfig, World, WorldConfig};
    let outcome = World::run(0, WorldConfig::default(), |world| async move {
        let node = world.add_node(NodeConfig::new("node"));
        world.spawn_on(node, future).await
    });
    match outcome {
        Ok(Ok(output)) => output,
        Ok(Err(cancelled)) => panic!("the program ended early: {cancelled}"),
        Err(crash) => panic!("{crash}"),
    }
}
