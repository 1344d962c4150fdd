//! Runs one test on either side of the seam: natively on a tokio runtime over loopback and a
//! temporary directory, simulated on the nodes of a world.

use paceline_runtime::net::TcpListener;
#[cfg(not(madsim))]
use paceline_runtime::task;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Runs a server and a client on two machines. The server is given its listener, the client the
/// server's address. Both must end; the client's output is returned.
#[cfg(not(madsim))]
pub fn pair<S, SF, C, CF>(server: S, client: C) -> CF::Output
where
    S: FnOnce(TcpListener) -> SF + Send + 'static,
    SF: Future<Output = ()> + Send + 'static,
    C: FnOnce(SocketAddr) -> CF + Send + 'static,
    CF: Future + Send + 'static,
    CF::Output: Send + 'static,
{
    paceline_runtime::block_on(async move {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = task::spawn(server(listener));
        let output = client(addr).await;
        server.await.unwrap();
        output
    })
}

/// Runs a server and a client on two machines, with a few seeds.
#[cfg(madsim)]
pub fn pair<S, SF, C, CF>(server: S, client: C) -> CF::Output
where
    S: FnOnce(TcpListener) -> SF + Send + 'static,
    SF: Future<Output = ()> + Send + 'static,
    C: FnOnce(SocketAddr) -> CF + Send + 'static,
    CF: Future + Send + 'static,
    CF::Output: Send + 'static,
{
    use paceline_runtime::world::{NodeConfig, World, WorldConfig};
    let outcome = World::run(seed(), WorldConfig::default(), |world| async move {
        let server_node = world.add_node(NodeConfig::new("server"));
        let client_node = world.add_node(NodeConfig::new("client"));
        let addr = SocketAddr::new(world.ip(server_node), 7000);
        let (bound, is_bound) = tokio::sync::oneshot::channel();
        let server = world.spawn_on(server_node, async move {
            let listener = TcpListener::bind(addr).await.unwrap();
            bound.send(()).unwrap();
            server(listener).await;
        });
        is_bound.await.unwrap();
        let output = world.spawn_on(client_node, client(addr)).await.unwrap();
        server.await.unwrap();
        output
    });
    outcome.unwrap_or_else(|crash| panic!("{crash}"))
}

/// Runs one process that has a directory of its own.
#[cfg(not(madsim))]
pub fn alone<F, Fut>(process: F) -> Fut::Output
where
    F: FnOnce(PathBuf) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    paceline_runtime::block_on(async move { task::spawn(process(path)).await.unwrap() })
}

/// Runs one process that has a directory of its own.
#[cfg(madsim)]
pub fn alone<F, Fut>(process: F) -> Fut::Output
where
    F: FnOnce(PathBuf) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    use paceline_runtime::world::{NodeConfig, World, WorldConfig};
    let outcome = World::run(seed(), WorldConfig::default(), |world| async move {
        let node = world.add_node(NodeConfig::new("node"));
        let directory = PathBuf::from("/dir");
        let made = paceline_runtime::disk::create_dir_all(directory.clone());
        world.spawn_on(node, made).await.unwrap().unwrap();
        world.spawn_on(node, process(directory)).await.unwrap()
    });
    outcome.unwrap_or_else(|crash| panic!("{crash}"))
}

/// The seed of the suite's worlds: `PACELINE_SEED`, or 1.
#[cfg(madsim)]
fn seed() -> u64 {
    std::env::var("PACELINE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Whether this is the simulated build.
pub const SIMULATED: bool = cfg!(madsim);
