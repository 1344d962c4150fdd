//! A node of one's own, and commands that are run to their end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

/// The `paceline` program with these arguments, and nothing of the tester's surroundings.
pub fn paceline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    command.args(args).env_remove("PACELINE_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(args: &[&str]) -> Ended {
    Ended::of(&paceline(args).output().expect("the program starts"))
}

/// How a command ended, and all that it printed.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints UTF-8");
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// `serve --dev` on ports that the system chose; it ends when this is dropped.
pub struct Node {
    process: Child,
    /// Where it serves STOMP clients.
    pub stomp: String,
    /// Where it serves nodes, and whoever asks.
    pub link: String,
    /// Where it keeps its data.
    pub data: TempDir,
}

impl Node {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0", "127.0.0.1:0")
    }

    /// The same with these addresses for clients and for links.
    pub fn start_at(stomp: &str, link: &str) -> Self {
        let data = tempfile::tempdir().expect("there is room for temporary files");
        let mut process = paceline(&["serve", "--dev", "--data-dir"])
            .arg(data.path())
            .args(["--stomp", stomp, "--openwire", "127.0.0.1:0", "--link", link])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(process.stderr.take());
        let mut ready = String::new();
        let output = process.stdout.take().expect("stdout is piped");
        BufReader::new(output).read_line(&mut ready).expect("it prints UTF-8");
        let after = |word: &str| {
            let rest =
                ready.split_once(word).unwrap_or_else(|| panic!("no `{word}` in `{ready}`")).1;
            rest.split([',', '\n']).next().expect("a split has a first part").to_owned()
        };
        Self { process, stomp: after("STOMP on "), link: after("links on "), data }
    }

    /// Asks it to stop in good order; its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().expect("there is `kill`");
        assert!(asked.success(), "kill -TERM {id}: {asked}");
        self.process.wait().expect("it is our child").code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has then seen.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
