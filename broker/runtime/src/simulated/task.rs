//! Tasks on madsim's executor, which draws the next one to run from the seed.
//!
//! A task that panics ends the whole run (`world::Crash`), so a [`JoinError`] here always means
//! that the task was aborted or its node killed.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

pub use madsim::task::AbortHandle;

/// Starts a task on the current node.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    super::nodes::count_spawn();
    JoinHandle { inner: madsim::task::spawn(future) }
}

/// Lets other tasks run before going on.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for a task, or aborts it. Dropping it lets the task go on.
pub struct JoinHandle<T> {
    pub(crate) inner: madsim::task::JoinHandle<T>,
}

impl<T> JoinHandle<T> {
    /// Ends the task at its next await.
    pub fn abort(&self) {
        self.inner.abort();
    }

    /// A handle that only aborts.
    pub fn abort_handle(&self) -> AbortHandle {
        self.inner.abort_handle()
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinHandle")
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(cx).map(|result| result.map_err(|_| JoinError(())))
    }
}

/// The task was aborted, or its node killed.
#[derive(Debug)]
pub struct JoinError(());

impl JoinError {
    /// Whether the task was aborted: always.
    pub fn is_cancelled(&self) -> bool {
        true
    }

    /// Whether the task panicked: never, since a panic ends the run.
    pub fn is_panic(&self) -> bool {
        false
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task was cancelled")
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        std::io::Error::other(error)
    }
}

/// A set of tasks that are waited for in the order in which they end. Dropping it aborts them.
pub struct JoinSet<T> {
    next: u64,
    running: BTreeMap<u64, AbortHandle>,
    ended: mpsc::UnboundedReceiver<(u64, Option<T>)>,
    report: mpsc::UnboundedSender<(u64, Option<T>)>,
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        let (report, ended) = mpsc::unbounded_channel();
        JoinSet { next: 0, running: BTreeMap::new(), ended, report }
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.running.len()).finish()
    }
}

/// Reports a task's end, also when it is aborted.
struct Report<T> {
    id: u64,
    output: Option<T>,
    report: mpsc::UnboundedSender<(u64, Option<T>)>,
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        let _ = self.report.send((self.id, self.output.take()));
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        JoinSet::default()
    }

    /// Starts a task in the set, on the current node.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        let id = self.next;
        self.next += 1;
        let report = Report { id, output: None, report: self.report.clone() };
        let abort = spawn(async move {
            let mut report = report;
            report.output = Some(future.await);
        })
        .abort_handle();
        self.running.insert(id, abort.clone());
        abort
    }

    /// Waits for the next task to end; none when the set is empty.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        if self.running.is_empty() {
            return None;
        }
        let (id, output) = self.ended.recv().await.expect("the set itself holds a sender");
        self.running.remove(&id);
        Some(output.ok_or(JoinError(())))
    }

    /// The next task that has ended already, if any.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let (id, output) = self.ended.try_recv().ok()?;
        self.running.remove(&id);
        Some(output.ok_or(JoinError(())))
    }

    /// Aborts all tasks and waits until they are gone.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }
}

impl<T> JoinSet<T> {
    /// Aborts all tasks; each still has to be joined.
    pub fn abort_all(&mut self) {
        for abort in self.running.values() {
            abort.abort();
        }
    }

    /// How many tasks have not been joined.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether all tasks have been joined.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}
