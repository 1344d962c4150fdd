//! The executor: one thread, every task of every node, and the virtual clock.
//!
//! Which of the ready tasks runs next is drawn from the seed, one draw a poll. A poll takes a little
//! time; when no task is ready the clock goes to the next thing that is due. Futures are dropped
//! only here, between polls and never inside a waker or an abort, so a destructor may do whatever a
//! task may.

use super::random::derive;
use super::timers::{self, Nanos};
use rand::Rng;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tracing::Span;

/// What a poll takes: at least this, and less than twice as much.
const POLL: Nanos = 50;

/// Names a task; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    index: u32,
    generation: u32,
}

/// The main future, which is in no slot.
const MAIN: TaskId = TaskId { index: u32::MAX, generation: 0 };

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What wakes a task.
struct Bell {
    task: TaskId,
    /// The task is among the ready ones already.
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    // The world is one thread: the flag is atomic only because wakers must be `Sync`.
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.load(Ordering::Relaxed) {
            self.rung.store(true, Ordering::Relaxed);
            // Nothing runs any more once the thread ends.
            let _ = READY.try_with(|ready| ready.borrow_mut().push(self.task));
        }
    }
}

/// A task while it is not being polled.
struct Body {
    work: Work,
    bell: Arc<Bell>,
    waker: Waker,
}

struct Slot {
    generation: u32,
    node: usize,
    /// To be dropped instead of polled.
    cancelled: bool,
    body: Option<Body>,
}

/// A node as the executor sees it.
struct Host {
    span: Span,
    paused: bool,
    /// Tasks that became ready while the node was paused.
    parked: Vec<TaskId>,
}

struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    hosts: Vec<Host>,
}

impl Tasks {
    const NONE: Tasks = Tasks { slots: Vec::new(), free: Vec::new(), hosts: Vec::new() };

    fn slot(&mut self, id: TaskId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation).then_some(slot)
    }

    /// Frees the slot of a task whose body is with the caller.
    fn free(&mut self, id: TaskId) {
        self.slots[id.index as usize].generation += 1;
        self.free.push(id.index);
    }
}

/// Which task runs.
#[derive(Clone, Copy)]
struct Running {
    node: usize,
    /// It is being dropped, because it was aborted or its process killed.
    dying: bool,
}

const NOBODY: Running = Running { node: 0, dying: false };

thread_local! {
    static READY: RefCell<Vec<TaskId>> = const { RefCell::new(Vec::new()) };
    static RUNNING: Cell<Running> = const { Cell::new(NOBODY) };
    static TASKS: RefCell<Tasks> = const { RefCell::new(Tasks::NONE) };
}

/// The node of the running task; the world itself, 0, between tasks.
pub(crate) fn node() -> usize {
    RUNNING.get().node
}

/// Makes room for one more node.
pub(crate) fn add_host(name: &str) {
    let span = tracing::error_span!("node", name);
    TASKS.with_borrow_mut(|tasks| tasks.hosts.push(Host { span, paused: false, parked: vec![] }));
}

/// Starts a task. One that is dying starts none: its future is dropped at once.
pub(crate) fn spawn(node: usize, work: Work) -> TaskId {
    if RUNNING.get().dying {
        drop(work);
        return TaskId { index: u32::MAX - 1, generation: 0 };
    }
    let bell = TASKS.with_borrow_mut(|tasks| {
        let index = tasks.free.pop().unwrap_or_else(|| {
            tasks.slots.push(Slot { generation: 0, node, cancelled: false, body: None });
            (tasks.slots.len() - 1) as u32
        });
        let slot = &mut tasks.slots[index as usize];
        let task = TaskId { index, generation: slot.generation };
        let bell = Arc::new(Bell { task, rung: AtomicBool::new(false) });
        slot.node = node;
        slot.cancelled = false;
        slot.body = Some(Body { work, bell: bell.clone(), waker: bell.clone().into() });
        bell
    });
    bell.wake_by_ref();
    bell.task
}

/// Lets a task be dropped instead of going on.
pub(crate) fn abort(id: TaskId) {
    let bell = TASKS.with_borrow_mut(|tasks| {
        let slot = tasks.slot(id)?;
        slot.cancelled = true;
        // One that runs is looked after when it has been polled.
        Some(slot.body.as_ref()?.bell.clone())
    });
    if let Some(bell) = bell {
        bell.wake_by_ref();
    }
}

/// Whether a task has ended and its future is gone.
pub(crate) fn is_finished(id: TaskId) -> bool {
    TASKS.with_borrow_mut(|tasks| tasks.slot(id).is_none())
}

/// Lets all tasks of a node be dropped; those started from now on are another process's.
pub(crate) fn kill(node: usize) {
    resume(node);
    TASKS.with_borrow_mut(|tasks| {
        for slot in tasks.slots.iter_mut().filter(|slot| slot.node == node) {
            if let Some(body) = &slot.body {
                slot.cancelled = true;
                body.bell.wake_by_ref();
            }
        }
    });
}

/// Keeps the tasks of a node from running.
pub(crate) fn pause(node: usize) {
    TASKS.with_borrow_mut(|tasks| tasks.hosts[node].paused = true);
}

/// Lets the tasks of a paused node go on.
pub(crate) fn resume(node: usize) {
    let parked = TASKS.with_borrow_mut(|tasks| {
        let host = &mut tasks.hosts[node];
        host.paused = false;
        std::mem::take(&mut host.parked)
    });
    READY.with_borrow_mut(|ready| ready.extend(parked));
}

/// The tasks of this thread's world. Dropping it drops them.
pub(crate) struct Executor {
    seed: u64,
    time_limit: Nanos,
}

impl Executor {
    /// An executor without tasks, whose clock shows zero and which panics once it shows more than
    /// `time_limit`.
    pub(crate) fn new(seed: u64, time_limit: Option<Nanos>) -> Executor {
        timers::reset_clock();
        Executor { seed, time_limit: time_limit.unwrap_or(Nanos::MAX) }
    }

    /// Runs all tasks until `main` has ended.
    ///
    /// # Panics
    ///
    /// If a task does, if nothing can happen any more, or when the time limit has passed.
    pub(crate) fn run<F: Future>(&self, main: F) -> F::Output {
        let mut main = pin!(main);
        let bell = Arc::new(Bell { task: MAIN, rung: AtomicBool::new(false) });
        let waker = Waker::from(bell.clone());
        let mut rng = derive(self.seed, &[b"tasks"]);
        bell.wake_by_ref();
        loop {
            // One draw says which task is next, and how long it takes.
            let draw = rng.next_u64();
            let (high, low) = (draw >> 32, draw & u64::from(u32::MAX));
            let next = READY.with_borrow_mut(|ready| {
                let index = (high * ready.len() as u64) >> 32;
                (!ready.is_empty()).then(|| ready.swap_remove(index as usize))
            });
            match next {
                Some(MAIN) => {
                    bell.rung.store(false, Ordering::Relaxed);
                    if let Poll::Ready(out) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return out;
                    }
                }
                Some(task) => poll(task),
                None => {}
            }
            let now = match next {
                Some(_) => timers::now() + POLL + ((low * POLL) >> 32),
                None => timers::due().expect("nothing is due: all tasks block forever"),
            };
            timers::advance_to(now);
            timers::fire_due();
            assert!(timers::now() < self.time_limit, "the time limit has passed");
        }
    }
}

fn poll(id: TaskId) {
    let taken = TASKS.with_borrow_mut(|tasks| {
        let slot = tasks.slot(id)?;
        let (node, cancelled) = (slot.node, slot.cancelled);
        let host = &mut tasks.hosts[node];
        if host.paused && !cancelled {
            host.parked.push(id);
            return None;
        }
        let span = host.span.clone();
        let body = tasks.slots[id.index as usize].body.take()?;
        Some((body, node, cancelled, span))
    });
    let Some((mut body, node, mut dying, span)) = taken else { return };
    let _entered = span.enter();
    body.bell.rung.store(false, Ordering::Relaxed);
    RUNNING.set(Running { node, dying });
    let ended = dying || body.work.as_mut().poll(&mut Context::from_waker(&body.waker)).is_ready();
    let over = TASKS.with_borrow_mut(|tasks| {
        let slot = &mut tasks.slots[id.index as usize];
        dying |= slot.cancelled;
        if ended || dying {
            tasks.free(id);
            Some(body)
        } else {
            slot.body = Some(body);
            None
        }
    });
    if let Some(body) = over {
        RUNNING.set(Running { node, dying });
        drop(body);
    }
    RUNNING.set(NOBODY);
}

impl Drop for Executor {
    fn drop(&mut self) {
        RUNNING.set(Running { node: 0, dying: true });
        drop(TASKS.replace(Tasks::NONE));
        RUNNING.set(NOBODY);
        READY.take();
    }
}
