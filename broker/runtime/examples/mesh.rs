//! Measures what the simulated network costs: nodes in a full mesh that echo small messages.
//!
//! `cargo run --release --config .cargo/sim.toml -p paceline-runtime --example mesh -- [NODES]
//! [SECONDS]` prints simulated seconds and messages per second of processor time, for a mesh that is
//! as busy as its latency allows, one with a timeout around each message, and one at 1 Hz.

#[cfg(madsim)]
fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let (nodes, seconds) = (args.next().unwrap_or(5), args.next().unwrap_or(10));
    mesh::measure("busy", nodes, seconds, None, false);
    mesh::measure("busy, with timeouts", nodes, seconds, None, true);
    mesh::measure("1 Hz", nodes, seconds * 100, Some(std::time::Duration::from_secs(1)), true);
}

#[cfg(not(madsim))]
fn main() {
    eprintln!("this measures the simulated build: add --config .cargo/sim.toml");
}

#[cfg(madsim)]
mod mesh {
    use paceline_runtime::net::{TcpListener, TcpStream, resolve};
    use paceline_runtime::time::{Duration, sleep, timeout};
    use paceline_runtime::world::{NodeConfig, World, WorldConfig};
    use paceline_runtime::{task, trace};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const MESSAGE: usize = 128;

    pub fn measure(what: &str, nodes: u64, seconds: u64, pace: Option<Duration>, guarded: bool) {
        let messages = Arc::new(AtomicU64::new(0));
        let count = messages.clone();
        let begin = processor_seconds();
        let run = World::run(1, WorldConfig::default(), |world| async move {
            for index in 0..nodes {
                let node = world.add_node(NodeConfig::new(format!("n{index}")));
                let count = count.clone();
                world.start(node, move || serve(index, nodes, pace, guarded, count.clone()));
            }
            sleep(Duration::from_secs(seconds)).await;
            (world.fingerprint(), world.logged_events())
        });
        let spent = (processor_seconds() - begin).max(0.01);
        let (fingerprint, events) = run.unwrap_or_else(|crash| panic!("{crash}"));
        let messages = messages.load(Ordering::Relaxed);
        println!(
            "{what}: {nodes} nodes, {:.1} simulated s per cpu s, {:.2} M messages/s, {:.0} ns each, \
             {events} events, {}",
            seconds as f64 / spent,
            messages as f64 / spent / 1e6,
            spent * 1e9 / messages as f64,
            &fingerprint.to_string()[..12],
        );
    }

    /// Time this process has spent on a processor: the machine may have other things to do.
    fn processor_seconds() -> f64 {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
        let after_name = stat.rsplit_once(')').expect("a name in brackets").1;
        let ticks = |field: usize| -> f64 {
            after_name.split_whitespace().nth(field).and_then(|text| text.parse().ok()).unwrap()
        };
        (ticks(11) + ticks(12)) / 100.0
    }

    async fn serve(
        index: u64,
        nodes: u64,
        pace: Option<Duration>,
        guarded: bool,
        count: Arc<AtomicU64>,
    ) {
        let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 7))).await.unwrap();
        for peer in (0..nodes).filter(|peer| *peer != index) {
            task::spawn(ask(peer, pace, guarded, count.clone()));
        }
        trace::event!("node_ready");
        while let Ok((stream, _)) = listener.accept().await {
            task::spawn(echo(stream, count.clone()));
        }
    }

    async fn echo(mut stream: TcpStream, count: Arc<AtomicU64>) {
        let mut buf = [0; MESSAGE];
        while stream.read_exact(&mut buf).await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&buf).await.unwrap();
        }
    }

    async fn ask(peer: u64, pace: Option<Duration>, guarded: bool, count: Arc<AtomicU64>) {
        sleep(Duration::from_millis(10)).await;
        let addr = resolve(&format!("n{peer}:7")).await.unwrap();
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let mut buf = [7; MESSAGE];
        loop {
            stream.write_all(&buf).await.unwrap();
            if guarded {
                let reading = stream.read_exact(&mut buf);
                timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
            } else {
                stream.read_exact(&mut buf).await.unwrap();
            }
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(pace) = pace {
                sleep(pace).await;
            }
        }
    }
}
