//! Where a scenario runs, and how.
//!
//! A run has four parts. The nodes start, through the broker's own entry point, and the clients
//! get ready. Clients work, the operator changes the cluster and faults strike, for the scenario's
//! duration. Then everything heals, the cluster comes to be as the operator wants it, producers finish,
//! and within its bound all must be drained and all replicas agree. The nodes are
//! asked for digests of what they hold, and at last every topic must carry a message once more.
//!
//! That course is the same in both worlds. A build has one of them, as it has one side of the seam:
//! `simulated` is all nodes and clients in one process, on virtual time, and `real` a process for each
//! node, and proxies between them. Each is a `World` with verbs of the same names, and a few functions
//! beside it.

mod canaries;
mod drain;
mod faults;
mod flood;
mod margins;
mod operator;
mod settle;
mod sightings;
mod status;
mod supervisor;
mod targets;

#[cfg(not(madsim))]
pub mod real;
#[cfg(madsim)]
pub mod simulated;

#[cfg(not(madsim))]
use real as here;
#[cfg(madsim)]
use simulated as here;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use here::{LinkConfig, NodeId, World};
use operator::Operator;
use paceline_reports::result::FaultMark;
use paceline_runtime::{latency::Latency, time};
use paceline_scenario::{Scenario, format::Delay};
use supervisor::Supervisor;
use tokio::sync::watch;

use crate::observe::Outcome;
use crate::{
    check::{End, Found, Quiet},
    clients::{Phase, Shared, consumer, producer},
    observe::{meter::Usage, recorder::SharedRecorder, waiting::Stuck},
    workload::{self, Population},
};

/// Until then every shard must have a leader and every consumer be subscribed.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// With a larger share of loss links break without any fault.
const QUIET_LOSS: f64 = 0.01;
/// How often a running world is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn latency(delay: &Delay) -> Latency {
    Latency::new(delay.min.0, delay.mean.0, delay.p99.0)
}

fn link(scenario: &Scenario) -> LinkConfig {
    let network = &scenario.network;
    LinkConfig {
        latency: latency(&network.latency),
        bandwidth: Some(network.bandwidth.bits / 8),
        loss: network.loss.0,
    }
}

struct Run<'a> {
    world: World,
    scenario: &'a Scenario,
    recorder: SharedRecorder,
    nodes: Vec<NodeId>,
    hosts: Vec<NodeId>,
    supervisor: Supervisor,
    operator: Operator,
    phase: watch::Sender<Phase>,
    marks: Vec<FaultMark>,
    /// When faults held.
    spans: Vec<(Duration, Duration)>,
}

impl<'a> Run<'a> {
    fn new(world: World, scenario: &'a Scenario, recorder: SharedRecorder) -> Self {
        let (nodes, hosts) = here::machines(world, scenario);
        recorder.listen();
        let supervisor = Supervisor::start(world, scenario, &nodes, recorder.clone());
        let (sits_at, watched) = (hosts[0], recorder.clone());
        let operator = Operator::new(world, scenario, sits_at, supervisor.clone(), watched);
        Self {
            world,
            scenario,
            recorder,
            nodes,
            hosts,
            supervisor,
            operator,
            phase: watch::Sender::new(Phase::Prepare),
            marks: Vec::new(),
            spans: Vec::new(),
        }
    }

    async fn carry_out(mut self) -> Outcome {
        let shared = self.spawn_clients();
        let (mut settled_after, mut drained_after) = (None, None);
        let mut end = self.end();
        if self.get_ready(&shared).await {
            let mut injector = self.work(shared.storm.clone()).await;
            if !self.is_unsafe() {
                settled_after = self.until_settled(&shared).await;
            }
            let began = self.operator.first_began();
            if !self.is_unsafe() && settled_after.is_some() {
                let settled = self.recorder.now();
                (drained_after, end.replicas) = self.drain(&shared, &mut injector).await;
                end.differences = self.differences(&end.replicas).await;
                self.spans.extend(began.map(|began| (began, settled)));
            }
            let now = self.recorder.now();
            self.marks = injector.marks(now);
            self.spans.extend(injector.spans(now));
            if drained_after.is_some() {
                self.send_canaries(&shared).await;
                self.call_roll(&shared).await;
            }
        }
        self.phase.send_replace(Phase::Stop);
        time::sleep(LOOK_EVERY).await;

        end.at = self.recorder.now();
        end.quiet = self.quiet(end.at);
        end.policies = self.operator.policies();
        end.drained = drained_after.is_some();
        {
            let mut recorder = self.recorder.lock();
            let recorder = &mut *recorder;
            recorder.checks.finish(&recorder.history, &end);
            recorder.log_line(format_args!("end {}", self.world.fingerprint()));
        }
        Outcome {
            fingerprint: self.world.fingerprint().to_string(),
            virtual_time: self.world.now(),
            faults: self.marks,
            changes: self.operator.marks(end.at),
            settled_after: settled_after.filter(|_| !self.scenario.changes.is_empty()),
            drained_after,
            end,
            ..Outcome::default()
        }
    }

    fn is_unsafe(&self) -> bool {
        self.recorder.lock().is_unsafe()
    }

    /// Reports that something did not happen in time, and what each shard waits for.
    async fn stuck(&self, check: &'static str, detail: String, shared: &Shared) {
        self.stuck_with(check, detail, Vec::new(), shared).await;
    }

    /// The same; these lines come first.
    async fn stuck_with(
        &self,
        check: &'static str,
        detail: String,
        mut lines: Vec<String>,
        shared: &Shared,
    ) {
        let views = self.views(false, &BTreeSet::new()).await;
        let consumers = shared.population.consumers_of();
        let at = self.recorder.now();
        let end = End { at, ..self.end() };
        let slots = 0..u64::from(self.scenario.cluster.slots);
        let mut recorder = self.recorder.lock();
        let holders: Vec<_> = slots.map(|slot| recorder.checks.holders(slot)).collect();
        let shards = Stuck {
            rows: recorder.meter.rows(),
            serving: recorder.meter.leaders(),
            slots: recorder.meter.shards(),
            views: &views,
            history: &recorder.history,
            end: &end,
            consumers: &consumers,
            subscribers: &recorder.subscribers,
            failures: &recorder.failures,
            holders: &holders,
        };
        lines.extend(shards.in_words());
        let waiting = end.lost(&recorder.history);
        recorder.checks.stuck(check, at, Found::about(detail, waiting), lines);
    }

    /// The quiet times of the run, which is over at `end`: while no fault holds, and no client is
    /// gone that the broker takes for being there. A network that loses much by itself is never
    /// quiet.
    fn quiet(&self, end: Duration) -> Quiet {
        let margins = margins::of(self.scenario);
        let mut spans = self.spans.clone();
        let recorder = self.recorder.lock();
        let vanished = recorder.history.vanished.iter();
        spans.extend(vanished.map(|&at| (at, at + margins.given_up)));
        if self.scenario.network.loss.0 > QUIET_LOSS {
            spans.push((Duration::ZERO, end));
        }
        Quiet::between(&spans, end, margins)
    }

    /// What the scenario says of the end of a run.
    fn end(&self) -> End {
        End {
            // Who moves a shard disturbs its clients, too.
            faultless: self.scenario.faults.is_empty() && self.scenario.changes.is_empty(),
            allowed_lost: self.scenario.expect.acknowledged_lost,
            clock_error: self.scenario.clock_error(),
            shards: self.recorder.lock().meter.shards().to_vec(),
            ..End::default()
        }
    }

    fn spawn_clients(&self) -> Shared {
        let population = Arc::new(Population::of(self.scenario));
        let shared = Shared {
            recorder: self.recorder.clone(),
            phase: self.phase.subscribe(),
            population: Arc::clone(&population),
            ready: watch::Sender::new(0),
            finished: watch::Sender::new(0),
            connections: Arc::default(),
            storm: watch::Sender::new(Vec::new()),
            members: self.operator.members(),
            addresses: here::addresses(self.world),
        };
        let host =
            |client: workload::ids::ClientId| self.hosts[client.0 as usize % self.hosts.len()];
        for plan in &population.consumers {
            let life = consumer::run(plan.clone(), shared.clone());
            self.world.spawn_on(host(plan.client), life);
        }
        for plan in &population.producers {
            let life = producer::run(plan.clone(), shared.clone());
            self.world.spawn_on(host(plan.client), life);
        }
        shared
    }

    /// Waits for leaders and consumers. Whether both came in time.
    async fn get_ready(&self, shared: &Shared) -> bool {
        let deadline = time::Instant::now() + READY_WITHIN;
        let consumers = shared.population.consumers.len();
        loop {
            let led = self.recorder.lock().meter.all_led();
            if led && *shared.ready.borrow() == consumers {
                return true;
            }
            if self.is_unsafe() {
                return false;
            }
            if time::Instant::now() > deadline {
                let ready = *shared.ready.borrow();
                let leaders =
                    if led { "every shard has a leader" } else { "not every shard has a leader" };
                let detail = format!(
                    "{}s after the start {leaders}, and {ready} of {consumers} consumers are \
                     subscribed",
                    READY_WITHIN.as_secs()
                );
                self.stuck("ready", detail, shared).await;
                return false;
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// The workload runs and faults strike.
    async fn work(&mut self, storm: watch::Sender<Vec<String>>) -> faults::Injector<'a> {
        let began = time::Instant::now();
        {
            let mut recorder = self.recorder.lock();
            recorder.begin(self.world.now());
            let usage = self.usage();
            recorder.meter.begin(&usage);
        }
        self.phase.send_replace(Phase::Work);
        self.operator.start();
        let mut injector =
            faults::Injector::new(self.world, self.scenario, &self.nodes, &self.hosts, storm);
        let end = began + self.scenario.duration.0;
        let mut next_sample = began + Duration::from_secs(1);
        loop {
            let next_fault = injector.next().map(|after| began + after);
            let next_look = time::Instant::now() + LOOK_EVERY;
            let wake = [Some(end), Some(next_sample), Some(next_look), next_fault]
                .into_iter()
                .flatten()
                .min()
                .expect("there is an end");
            tokio::select! {
                biased;
                () = time::sleep_until(wake) => {}
                () = injector.woken() => {}
            }
            let now = time::Instant::now();
            injector.advance(now - began, &mut self.supervisor);
            if now >= next_sample {
                self.sample();
                next_sample += Duration::from_secs(1);
            }
            if now >= end || self.is_unsafe() {
                break;
            }
        }
        injector.heal(&mut self.supervisor);
        injector
    }

    fn sample(&self) {
        let usage = self.usage();
        let mut recorder = self.recorder.lock();
        recorder.meter.sample(&usage);
        let (events, fingerprint) = (self.world.logged_events(), self.world.fingerprint());
        recorder.log_line(format_args!("checkpoint {events} {fingerprint}"));
    }

    fn usage(&self) -> Vec<Usage> {
        self.nodes.iter().map(|&node| here::usage(self.world, node)).collect()
    }
}
