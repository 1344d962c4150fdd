//! What only a simulated world can show: determinism, faults, power cuts.
#![cfg(madsim)]

use paceline_runtime::time::Duration;
use paceline_runtime::world::{NodeConfig, World, WorldConfig};
use paceline_runtime::{net, time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn one_connection_works() {
    let outcome = World::run(1, WorldConfig::default(), |world| async move {
        let server = world.add_node(NodeConfig::new("server"));
        world.start(server, || async {
            let listener = net::TcpListener::bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buf = [0; 5];
            stream.read_exact(&mut buf).await.unwrap();
            stream.write_all(&buf).await.unwrap();
        });
        let client = world.add_node(NodeConfig::new("client"));
        let echoed = world.spawn_on(client, async {
            time::sleep(Duration::from_millis(1)).await;
            let addr = net::resolve("server:80").await.unwrap();
            let mut stream = net::TcpStream::connect(addr).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            all
        });
        (echoed.await.unwrap(), world.now(), world.fingerprint())
    });
    let (echoed, at, _) = outcome.unwrap();
    assert_eq!(echoed, b"hello");
    assert!(at < Duration::from_millis(20), "{at:?}");
}
