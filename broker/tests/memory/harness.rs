//! A node as a process.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

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
            pause();
        }
    }
}

/// Between two looks at something.
pub fn pause() {
    thread::sleep(Duration::from_millis(20));
}

/// A STOMP client that sends what it likes.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// One with an open session.
    pub fn connect(node: &Node) -> Self {
        let stream = TcpStream::connect(&node.stomp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        client.send(b"CONNECT\naccept-version:1.2\nhost:h\n\n\0").unwrap();
        assert!(client.frame().starts_with("CONNECTED"));
        client
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The next frame.
    pub fn frame(&mut self) -> String {
        let mut frame = Vec::new();
        self.stream.read_until(0, &mut frame).unwrap();
        String::from_utf8(frame).unwrap().trim_start().into()
    }

    /// Whether the session is still open after a moment in which nothing should come.
    pub fn is_open(&mut self) -> bool {
        self.stream.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let nothing = self.stream.fill_buf().map(drop);
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
