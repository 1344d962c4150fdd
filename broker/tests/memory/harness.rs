//! A node as a process.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the process is outside of this one, on the real system"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub const MIB: u64 = 1 << 20;

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
            .args(["serve", "--dev", "--stomp", "127.0.0.1:0", "--link", "127.0.0.1:0"])
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

    pub fn until_resident_is_below(&self, limit: u64, within: Duration) {
        let begun = Instant::now();
        while self.resident() >= limit {
            let (resident, limit) = (self.resident() / MIB, limit / MIB);
            assert!(begun.elapsed() < within, "{resident} MiB are resident, not {limit}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
