//! A node as a process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use paceline_client::stomp::{Client, Error, Options};
use paceline_runtime::time::{self, Instant};
use paceline_wire::stomp::Frame;

pub const MIB: u64 = 1 << 20;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_paceline");

/// A process of a cluster of one; it ends when this is dropped.
pub struct Node {
    process: Child,
    pub stomp: String,
}

impl Node {
    /// Starts one on what it left in `folder`, and waits until it is ready.
    pub fn start(folder: &Path) -> Self {
        let mut process = Command::new(PROGRAM)
            .args([
                "serve",
                "--dev",
                "--stomp",
                "127.0.0.1:0",
                "--link",
                "127.0.0.1:0",
                "--openwire",
                "none",
            ])
            .arg("--data-dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let stomp = ready.split("STOMP on ").nth(1).and_then(|rest| rest.split(',').next());
        Self { stomp: stomp.expect("the line says where").into(), process }
    }

    /// Runs `paceline produce` or `consume` against it.
    pub fn load(&self, command: &str, arguments: &[&str]) {
        let mut load = Command::new(PROGRAM);
        load.args([command, "--address", &self.stomp]).args(arguments).stdout(Stdio::null());
        assert!(load.status().unwrap().success(), "{command}");
    }

    /// Ends it without a word.
    pub fn end(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the system's");
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    pub async fn until_resident_is_below(&self, limit: u64, within: Duration) {
        let begun = Instant::now();
        while self.resident() >= limit {
            let (resident, limit) = (self.resident() / MIB, limit / MIB);
            assert!(begun.elapsed() < within, "{resident} MiB are resident, not {limit}");
            pause().await;
        }
    }
}

/// Between two looks at something.
pub async fn pause() {
    time::sleep(Duration::from_millis(20)).await;
}

/// A client with an open session.
pub async fn connect(node: &Node) -> Client {
    let options = Options { connect_timeout: PATIENCE, ..Options::default() };
    Client::connect(&node.stomp, &options).await.unwrap()
}

/// Sends some bytes and holds no copy of them all.
pub async fn send(client: &mut Client, bytes: &[u8]) -> Result<(), Error> {
    for chunk in bytes.chunks(64 * 1024) {
        client.send_bytes(chunk);
        time::timeout(PATIENCE, client.flush()).await.expect("the server reads")?;
    }
    Ok(())
}

/// The next frame.
pub async fn receive(client: &mut Client) -> Frame {
    time::timeout(PATIENCE, client.receive()).await.expect("the server answers").unwrap()
}

/// What the server says within a moment. An open session has nothing to say.
pub async fn complaint(client: &mut Client) -> Option<Frame> {
    time::timeout(Duration::from_millis(50), client.receive()).await.ok().map(Result::unwrap)
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
