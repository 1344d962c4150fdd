//! Real nodes as processes: started, killed without warning, started again on the same data.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a node may take from its start to its line that says it is ready.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A cluster of `paceline` processes; they end when it is dropped.
pub struct Cluster {
    binary: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    config: PathBuf,
    stomp: u16,
    link: u16,
    openwire: u16,
    process: Option<Child>,
}

impl Cluster {
    /// Starts `count` nodes that keep their files under `folder` and waits until each is ready.
    ///
    /// The program is the one the environment variable `PACELINE_BIN` names.
    pub fn start(folder: &Path, count: usize, slots: u32) -> Result<Self> {
        Self::start_some(folder, count, 0, slots)
    }

    /// As [`Cluster::start`], and knows `later` nodes more, which join when they are spawned.
    pub fn start_some(folder: &Path, count: usize, later: usize, slots: u32) -> Result<Self> {
        let binary = std::env::var_os("PACELINE_BIN")
            .context("PACELINE_BIN names no program; run `cargo suite`")?;
        let all = count + later;
        let ports = free_ports(3 * all)?;
        let (stomp, ports) = ports.split_at(all);
        let (openwire, link) = ports.split_at(all);
        let mut nodes = Vec::new();
        for number in 0..all {
            let config = folder.join(format!("n{}.toml", number + 1));
            let of_cluster = match number < count {
                true => founders(&link[..count], slots),
                false => joining(&link[..count]),
            };
            let own = (stomp[number], openwire[number], link[number]);
            fs::write(&config, node_config(folder, number, own, &of_cluster))?;
            let (stomp, openwire, link) = own;
            nodes.push(Node { config, stomp, openwire, link, process: None });
        }
        let mut cluster = Self { binary: binary.into(), nodes };
        for number in 0..count {
            cluster.spawn(number)?;
        }
        Ok(cluster)
    }

    /// The program that the nodes run.
    pub fn program(&self) -> &Path {
        &self.binary
    }

    /// `host:port` of every node's STOMP listener, with commas between them.
    pub fn stomp_addresses(&self) -> String {
        let all: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.stomp)).collect();
        all.join(",")
    }

    /// `host:port` at which the other nodes reach a node.
    pub fn link_address(&self, number: usize) -> String {
        on_loopback(&self.nodes[number].link)
    }

    /// `host:port` of a node's STOMP listener.
    pub fn stomp_address(&self, number: usize) -> String {
        on_loopback(&self.nodes[number].stomp)
    }

    /// What an OpenWire client connects to that knows one node only.
    pub fn openwire_url(&self, number: usize) -> String {
        format!("tcp://{}", on_loopback(&self.nodes[number].openwire))
    }

    /// What an OpenWire client connects to that knows all nodes.
    pub fn failover_url(&self) -> String {
        let all: Vec<_> = (0..self.nodes.len()).map(|number| self.openwire_url(number)).collect();
        format!("failover:({})", all.join(","))
    }

    /// Ends a node as `kill -9` does.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        let mut process = self.nodes[number].process.take().context("the node does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Asks a node to end with SIGTERM and returns its exit code.
    pub fn terminate(&mut self, number: usize) -> Result<Option<i32>> {
        let mut process = self.nodes[number].process.take().context("the node does not run")?;
        let status = Command::new("kill").args(["-TERM", &process.id().to_string()]).status()?;
        if !status.success() {
            bail!("kill -TERM failed: {status}");
        }
        Ok(process.wait()?.code())
    }

    /// Starts a node on the data it left.
    pub fn spawn(&mut self, number: usize) -> Result<()> {
        let node = &mut self.nodes[number];
        let mut process = Command::new(&self.binary)
            .args(["serve", "--config"])
            .arg(&node.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let output = process.stdout.take().expect("stdout is piped");
        node.process = Some(process);
        let (ready, is_ready) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains("ready") {
                    let _ = ready.send(line);
                }
            }
        });
        is_ready
            .recv_timeout(READY_WITHIN)
            .with_context(|| format!("n{} was not ready within {READY_WITHIN:?}", number + 1))?;
        Ok(())
    }

    /// The resident memory of a node in bytes, from `/proc`.
    pub fn resident_bytes(&self, number: usize) -> Result<u64> {
        let process = self.nodes[number].process.as_ref().context("the node does not run")?;
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib * 1024)
    }

    /// Runs `paceline status --json` against a node.
    pub fn status(&self, number: usize) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.run(number, &["status", "--json"])?)?)
    }

    /// Runs `paceline cluster`, with the configuration of a node, until it ends.
    pub fn operate(&self, number: usize, action: &[&str]) -> Result<Vec<u8>> {
        self.run(number, &[&["cluster"], action].concat())
    }

    /// Names the node that leads a destination, as `paceline route` says, once one does.
    pub fn leader_of(&self, destination: &str) -> Result<String> {
        let mut leader = None;
        wait_until(READY_WITHIN, "a destination has no leader", || {
            let said = self.run(0, &["route", destination, "--json"]).ok();
            let route: Option<serde_json::Value> =
                said.and_then(|said| serde_json::from_slice(&said).ok());
            leader = route.and_then(|route| Some(route["leader"].as_str()?.to_owned()));
            leader.is_some()
        })?;
        leader.context("it was there a moment ago")
    }

    /// Runs `paceline transactions` with the configuration of a node, and gives what it prints.
    pub fn transactions(&self, number: usize, action: &[&str]) -> Result<String> {
        Ok(String::from_utf8(self.run(number, &[&["transactions"], action].concat())?)?)
    }

    /// Runs a command with the configuration of a node.
    fn run(&self, number: usize, command: &[&str]) -> Result<Vec<u8>> {
        let config = &self.nodes[number].config;
        let output =
            Command::new(&self.binary).args(command).arg("--config").arg(config).output()?;
        if !output.status.success() {
            bail!("paceline {}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.stdout)
    }

    /// Waits until a node's process has ended by itself.
    pub fn ended(&mut self, number: usize) -> Result<Option<i32>> {
        let mut process = self.nodes[number].process.take().context("the node does not run")?;
        Ok(process.wait()?.code())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn name(number: usize) -> String {
    format!("n{}", number + 1)
}

fn on_loopback(port: &u16) -> String {
    format!("127.0.0.1:{port}")
}

/// What the nodes that begin a cluster have in common.
fn founders(link: &[u16], slots: u32) -> String {
    let member = |(number, port)| {
        format!("{{ name = \"{}\", link = \"{}\" }}", name(number), on_loopback(port))
    };
    let members: Vec<_> = link.iter().enumerate().map(member).collect();
    format!("slots = {slots}\nmembers = [{}]", members.join(", "))
}

/// What a node has that joins them.
fn joining(link: &[u16]) -> String {
    format!("join = {:?}", link.iter().map(on_loopback).collect::<Vec<_>>())
}

/// The configuration of one node of a cluster on loopback.
fn node_config(
    folder: &Path,
    number: usize,
    (stomp, openwire, link): (u16, u16, u16),
    of_cluster: &str,
) -> String {
    format!(
        r#"
[node]
name = "{name}"
data_dir = {data:?}

[listen]
stomp = "127.0.0.1:{stomp}"
openwire = "127.0.0.1:{openwire}"
link = "127.0.0.1:{link}"

[cluster]
name = "tests"
{of_cluster}
"#,
        name = name(number),
        data = folder.join(name(number)).display().to_string(),
    )
}

/// Below this, ports need privileges or are a well-known service's.
const FIRST_PORT: u16 = 10_000;
/// From here on systems take the ports of outgoing connections (`ip_local_port_range`): one of
/// them may hold the port of a node that is down just now.
const EPHEMERAL: u16 = 32_768;

/// Ports that were free a moment ago and that no other call in this process gets.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let span = u32::from(EPHEMERAL - FIRST_PORT);
    let mut free = Vec::with_capacity(count);
    for _ in 0..span {
        if free.len() == count {
            return Ok(free);
        }
        // Where a process begins hangs on its number: another one may run beside it.
        let at =
            std::process::id().wrapping_mul(97).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST_PORT + u16::try_from(at % span)?;
        free.extend(TcpListener::bind(("127.0.0.1", port)).map(|_| port));
    }
    bail!("of the ports from {FIRST_PORT} to {EPHEMERAL}, {count} are not free")
}

/// Waits until `holds` says yes, asking ten times a second.
pub fn wait_until(within: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > within {
            bail!("{what}: not within {within:?}");
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
