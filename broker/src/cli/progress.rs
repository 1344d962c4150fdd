//! Where a command stands, on the terminal that its user looks at.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use paceline_runtime::{
    task,
    time::{self, Instant},
};
use tokio::sync::oneshot;

/// How often the line is drawn, the first time after as long: what is over sooner needs none.
const EVERY: Duration = Duration::from_millis(500);

/// Takes the cursor back to the line's start and wipes the line.
const WIPE: &str = "\r\x1b[K";

/// A line that says how many messages there were, drawn again and again until [`Progress::end`].
pub(super) struct Progress {
    drawing: Option<(oneshot::Sender<()>, task::JoinHandle<()>)>,
}

impl Progress {
    /// Draws what `count` says, out of `of` if that is known, on standard error if that is a
    /// terminal. `done` is the word for what was done to the messages.
    pub(super) fn begin(done: &'static str, count: Arc<AtomicU64>, of: Option<u64>) -> Self {
        Self::begin_on(io::stderr().is_terminal().then(io::stderr), done, count, of)
    }

    fn begin_on<W: Write + Send + 'static>(
        terminal: Option<W>,
        done: &'static str,
        count: Arc<AtomicU64>,
        of: Option<u64>,
    ) -> Self {
        let drawing = terminal.map(|terminal| {
            let (stop, stopped) = oneshot::channel();
            (stop, task::spawn(draw(terminal, done, count, of, stopped)))
        });
        Self { drawing }
    }

    /// Wipes the line.
    pub(super) async fn end(self) {
        if let Some((stop, drawing)) = self.drawing {
            drop(stop);
            // A failure to draw is none of the command.
            let _ = drawing.await;
        }
    }
}

async fn draw<W: Write>(
    mut terminal: W,
    done: &str,
    count: Arc<AtomicU64>,
    of: Option<u64>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut write = |text: &str| {
        // A terminal that is gone takes no progress.
        let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
    };
    let (mut earlier, mut at) = (0, Instant::now());
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return write(WIPE),
            () = time::sleep(EVERY) => {}
        }
        let now = count.load(Ordering::Relaxed);
        let rate = now.saturating_sub(earlier) as f64 / at.elapsed().as_secs_f64();
        (earlier, at) = (now, Instant::now());
        write(&format!("{WIPE}{}", line(done, now, of, rate)));
    }
}

fn line(done: &str, count: u64, of: Option<u64>, rate: f64) -> String {
    let of = of.map_or(String::new(), |of| format!(" of {of}"));
    format!("{done} {count}{of} messages, {rate:.0} a second now")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_terminal_is_told_and_wiped() {
        let (screen, count) = (Screen::default(), Arc::new(AtomicU64::new(7)));
        let progress = Progress::begin_on(Some(screen.clone()), "sent", count.clone(), Some(1_000));
        let text = || String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        while !text().contains("sent 7") {
            time::sleep(EVERY / 10).await;
        }
        count.store(9, Ordering::Relaxed);
        while !text().contains("sent 9") {
            time::sleep(EVERY / 10).await;
        }
        progress.end().await;
        let text = text();
        assert!(text.starts_with("\r\x1b[Ksent 7 of 1000 messages, "), "{text:?}");
        assert!(text.contains("\r\x1b[Ksent 9 of 1000 messages, "), "{text:?}");
        assert!(text.ends_with("now\r\x1b[K"), "{text:?}");
    }

    #[test]
    fn without_an_end_none_is_named() {
        assert_eq!(line("received", 3, None, 1.5), "received 3 messages, 2 a second now");
    }
}
