//! The processes of the nodes: started, killed, halted and asked to end.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use paceline::config::NodeConfig;

/// What a node prints when it takes clients.
const READY: &str = "paceline is ready";
/// In how many ticks a second Linux counts the time of processes, for those who read `/proc`.
const TICKS: f64 = 100.0;

/// The process of one node, and where its files are.
pub struct Machine {
    program: PathBuf,
    folder: PathBuf,
    /// What it is to read when it starts.
    config: Option<Box<dyn Fn() -> NodeConfig + Send + Sync>>,
    process: Option<Child>,
    /// How much its log held when the process started.
    log_before: u64,
    is_ready: bool,
    /// It starts no more.
    is_over: bool,
    /// Of processes that are gone.
    spent: Duration,
    /// Of the present one, as it was looked at last: what has ended by itself tells no more.
    spends: Duration,
}

/// What has become of a process since it was looked at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It takes clients.
    Ready,
    /// It has ended by itself, as it was asked to.
    Ended,
    /// It has ended by itself, and says why.
    Failed(String),
}

impl Machine {
    /// One that has not been started; its files come into this folder.
    pub fn new(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            config: None,
            process: None,
            log_before: 0,
            is_ready: false,
            is_over: false,
            spent: Duration::ZERO,
            spends: Duration::ZERO,
        }
    }

    /// What it is to read, from the next start on.
    pub fn configure(&mut self, config: impl Fn() -> NodeConfig + Send + Sync + 'static) {
        self.config = Some(Box::new(config));
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether the process is there.
    pub fn is_up(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Starts the process on the data that the last one left, unless it is there.
    ///
    /// # Errors
    /// Its files cannot be written, or the program not be started.
    pub fn start(&mut self) -> io::Result<()> {
        if self.is_over || self.is_up() {
            return Ok(());
        }
        self.forget();
        fs::create_dir_all(&self.folder)?;
        let config = self.config.as_ref().expect("it was told what to read")();
        let file = self.folder.join("node.toml");
        fs::write(&file, toml::to_string(&config).expect("a configuration is TOML"))?;
        let log = File::options().create(true).append(true).open(self.log())?;
        self.log_before = log.metadata()?.len();
        self.is_ready = false;
        let process = Command::new(&self.program)
            .args(["serve", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends the process as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            // One that has just ended by itself is all right.
            let _ = process.kill();
        }
        self.forget();
    }

    /// Ends the process for good: whoever starts it again, nothing happens.
    pub fn end(&mut self) {
        self.is_over = true;
        self.kill();
    }

    /// Sends the process a signal by its name, if it is there.
    pub fn signal(&mut self, name: &str) {
        if !self.is_up() {
            return;
        }
        let Some(process) = &self.process else { return };
        let sent =
            Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
        // That it may just have ended by itself is all right.
        drop(sent);
    }

    /// Notes what the process has used, which is over.
    fn forget(&mut self) {
        self.spent = self.used();
        self.spends = Duration::ZERO;
        if let Some(mut process) = self.process.take() {
            let _ = process.wait();
        }
    }

    /// What all its processes have used of processors.
    pub fn used(&mut self) -> Duration {
        if let Some(process) = &self.process {
            self.spends = self.spends.max(used(process.id()));
        }
        self.spent + self.spends
    }

    /// Takes everything from its disk. The process is down.
    pub fn wipe(&mut self) {
        // One that has never written anything has nothing to lose.
        let _ = fs::remove_dir_all(self.folder.join("data"));
    }

    /// What has happened that was not told before.
    pub fn news(&mut self) -> Option<News> {
        let process = self.process.as_mut()?;
        match process.try_wait() {
            Ok(None) => {
                if self.is_ready || !self.said().contains(READY) {
                    return None;
                }
                self.is_ready = true;
                Some(News::Ready)
            }
            Ok(Some(status)) => {
                self.forget();
                if status.success() {
                    return Some(News::Ended);
                }
                let said = self.said();
                let last = said.lines().rfind(|line| !line.trim().is_empty());
                Some(News::Failed(match last {
                    Some(last) => format!("{status}: {last}"),
                    None => status.to_string(),
                }))
            }
            Err(error) => Some(News::Failed(error.to_string())),
        }
    }

    /// What the process has said since it was started.
    fn said(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.log_before as usize..).unwrap_or_default())
            .into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a process has used of processors, in user and system mode, until it is waited for.
fn used(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Its name stands in brackets and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = |field: usize| {
        let field = fields.split_whitespace().nth(field);
        field.and_then(|it| it.parse::<f64>().ok()).unwrap_or_default()
    };
    // The 14th and 15th of all, of which two stand before the third.
    Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(script: &str) -> (tempfile::TempDir, Machine) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut machine = Machine::new(&program, &folder.path().join("n1"));
        machine.configure(|| NodeConfig::dev("data".into()));
        (folder, machine)
    }

    fn news(machine: &mut Machine) -> News {
        for _ in 0..1_000 {
            if let Some(news) = machine.news() {
                return news;
            }
            #[allow(clippy::disallowed_methods, reason = "there is no world here")]
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no news");
    }

    #[test]
    fn a_process_is_ready_when_it_says_so_and_gone_when_it_is_killed() {
        let (_folder, mut machine) = machine("echo 'paceline is ready after 3 ms'; sleep 60");
        machine.start().unwrap();
        assert_eq!(news(&mut machine), News::Ready);
        assert!(machine.is_up());
        machine.kill();
        assert!(!machine.is_up());
        assert_eq!(machine.news(), None, "that it was killed is no news");
        machine.start().unwrap();
        assert_eq!(news(&mut machine), News::Ready);
        machine.end();
        machine.start().unwrap();
        assert!(!machine.is_up(), "a supervisor that comes late starts nothing");
    }

    #[test]
    fn one_that_ends_by_itself_says_why() {
        let (_folder, mut machine) = machine("echo 'no room' >&2; exit 3");
        machine.start().unwrap();
        assert_eq!(news(&mut machine), News::Failed("exit status: 3: no room".into()));
        assert_eq!(machine.news(), None, "that is told once");
    }

    #[test]
    fn one_that_is_asked_to_end_may_take_its_time() {
        let (_folder, mut machine) =
            machine("trap 'exit 0' TERM; echo 'paceline is ready'; while :; do sleep 0.05; done");
        machine.start().unwrap();
        assert_eq!(news(&mut machine), News::Ready);
        machine.signal("TERM");
        assert_eq!(news(&mut machine), News::Ended);
    }
}
