//! The operator of a run's cluster: has the changes of the scenario made, one after the other, each
//! when its time has come. He sits at a client's machine, asks one member after the other, and again
//! until he is told that all is as asked for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use paceline::operator::{self, OperatorError, Survey};
use paceline_membership::{Change as Request, Member, View};
use paceline_reports::result::FaultMark;
use paceline_runtime::{time, trace};
use paceline_scenario::{
    NAME, Scenario,
    change::{Change, Join, Kind, Replace, Restart, Weight},
};
use tokio::sync::watch;

use super::{
    here::{self, NodeId, World},
    supervisor::Supervisor,
};
use crate::{check::PoliciesInForce, observe::recorder::SharedRecorder};

/// How long a node may take to answer before another is asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long after no answer, or a refusal, the next node is asked.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A leader that has not heard of other policies by then leads no more.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
/// How often he looks whether what he waits for has come.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// See the module. All that are made from one are the same.
#[derive(Clone)]
pub struct Operator {
    world: World,
    scenario: Arc<Scenario>,
    /// Where he sits.
    host: NodeId,
    supervisor: Supervisor,
    recorder: SharedRecorder,
    /// The members that he, and the clients, know of.
    members: watch::Sender<Vec<String>>,
    progress: Arc<Mutex<Progress>>,
}

/// How far he has come.
#[derive(Debug, Default)]
struct Progress {
    /// By the number of the change.
    changes: Vec<Standing>,
    /// How many requests were made: each goes to the next member.
    asked: usize,
}

/// How far he has come with a change.
#[derive(Clone, Debug, Default)]
struct Standing {
    /// When he began with it.
    began: Option<Duration>,
    /// When it was made.
    made: Option<Duration>,
    /// What he waits for, or what a node said last.
    waits_for: String,
    /// How many answers were missing or refused it.
    refusals: u32,
}

impl Operator {
    /// One who knows the founders, and has done nothing yet.
    pub fn new(
        world: World,
        scenario: &Scenario,
        host: NodeId,
        supervisor: Supervisor,
        recorder: SharedRecorder,
    ) -> Self {
        let changes = vec![Standing::default(); scenario.changes.len()];
        if !changes.is_empty() {
            recorder.saw_view(&here::cluster_of(world, scenario).view());
        }
        Self {
            world,
            scenario: Arc::new(scenario.clone()),
            host,
            supervisor,
            recorder,
            members: watch::Sender::new(scenario.founders()),
            progress: Arc::new(Mutex::new(Progress { changes, asked: 0 })),
        }
    }

    /// The members, as he comes to know them.
    pub fn members(&self) -> watch::Receiver<Vec<String>> {
        self.members.subscribe()
    }

    /// Sets to work; the workload has just begun. Ends with the world.
    pub fn start(&self) {
        let operator = self.clone();
        let began = time::Instant::now();
        drop(self.world.spawn(async move {
            for (number, change) in operator.scenario.changes.iter().enumerate() {
                time::sleep_until(began + change.span()[0].0).await;
                operator.begin(number);
                operator.carry_out(number, change).await;
                operator.made(number);
            }
        }));
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, number: usize) {
        let label = self.scenario.changes[number].label();
        trace::event!("change_begin", change = label.as_str());
        self.progress().changes[number].began = Some(self.recorder.now());
    }

    fn made(&self, number: usize) {
        let label = self.scenario.changes[number].label();
        trace::event!("change_made", change = label.as_str());
        self.progress().changes[number].made = Some(self.recorder.now());
    }

    fn waits_for(&self, number: usize, what: impl Into<String>) {
        self.progress().changes[number].waits_for = what.into();
    }

    /// What is not made yet, the first of it, and what it waits for.
    pub fn pending(&self) -> Option<String> {
        let progress = self.progress();
        let number = progress.changes.iter().position(|it| it.made.is_none())?;
        let label = self.scenario.changes[number].label();
        Some(match progress.changes[number].waits_for.as_str() {
            "" => format!("the change `{label}` is not made"),
            what => format!("the change `{label}` is not made: {what}"),
        })
    }

    /// The policies that the cluster had, and when each list of them may have been in force: from when
    /// it was asked for until all nodes know that another one is, where faults do not hold them up for
    /// long.
    pub fn policies(&self) -> Vec<PoliciesInForce> {
        let progress = self.progress();
        let founders = self.scenario.first_policies();
        let mut lists = vec![PoliciesInForce {
            from: Duration::ZERO,
            until: Duration::MAX,
            policies: founders,
        }];
        for (change, standing) in self.scenario.changes.iter().zip(&progress.changes) {
            let last = lists.last_mut().expect("there are the founders'");
            let policies = match change.kind() {
                Kind::SetPolicy(policy) => {
                    let policy = policy.read().expect("validated: a cluster may have it");
                    last.policies.with(&policy, None).expect("validated").expect("before none")
                }
                Kind::RemovePolicy(destination) => {
                    last.policies.without(&destination.parse().expect("validated: it is one"))
                }
                _ => continue,
            };
            let Some(from) = standing.began else { break };
            if let Some(made) = standing.made {
                last.until = made + FOLLOWED_WITHIN;
            }
            lists.push(PoliciesInForce { from, until: Duration::MAX, policies });
        }
        lists
    }

    /// When he began with the first change.
    pub fn first_began(&self) -> Option<Duration> {
        self.progress().changes.iter().find_map(|it| it.began)
    }

    /// What was changed, for the report.
    pub fn marks(&self, end: Duration) -> Vec<FaultMark> {
        let progress = self.progress();
        let marks = self.scenario.changes.iter().zip(&progress.changes);
        let begun =
            marks.filter_map(|(change, standing)| Some((change, standing, standing.began?)));
        begun
            .map(|(change, standing, began)| {
                let mut notes = Vec::new();
                if standing.made.is_none() {
                    notes.push(format!("not made: {}", standing.waits_for));
                }
                if standing.refusals > 0 {
                    notes.push(format!("{} answers missing or refusing it", standing.refusals));
                }
                let kind = change.kind();
                let chosen = kind.chosen().map_or(&[][..], |it| it.names());
                FaultMark {
                    at_s: began.as_secs_f64(),
                    until_s: Some(standing.made.unwrap_or(end).max(began).as_secs_f64()),
                    label: change.label(),
                    note: notes.join("; "),
                    nodes: chosen.iter().chain(kind.newcomers_by_name()).cloned().collect(),
                }
            })
            .collect()
    }

    async fn carry_out(&self, number: usize, change: &Change) {
        match change.kind() {
            Kind::Rebalance => drop(self.ask(number, Request::Rebalance).await),
            Kind::Replicas(replicas) => {
                drop(self.ask(number, Request::Replicas(replicas as usize)).await);
            }
            Kind::Join(Join { zone, weight, .. }) => {
                let names = change.kind().newcomers_by_name().to_vec();
                for name in &names {
                    self.take_in(name, zone.as_deref(), weight.unwrap_or(1.0));
                }
                self.until_members(number, &names).await;
            }
            Kind::Drain(nodes) => {
                for name in nodes.names() {
                    let request = Request::Drain { name: name.clone(), force: false };
                    self.ask(number, request).await;
                }
            }
            Kind::Remove(nodes) => {
                self.without(nodes.names());
                self.remove(number, nodes.names()).await;
                nodes.names().iter().for_each(|name| self.supervisor.retire(self.node(name)));
            }
            Kind::Replace(replace) => self.replace(number, replace).await,
            Kind::Weight(Weight { nodes, weight }) => {
                for name in nodes.names() {
                    let request = Request::Weight { name: name.clone(), weight: *weight };
                    self.ask(number, request).await;
                }
            }
            Kind::SetPolicy(policy) => {
                let policy = policy.read().expect("validated: a cluster may have it");
                self.ask(number, Request::SetPolicy { policy, before: None }).await;
            }
            Kind::RemovePolicy(destination) => {
                let destination = destination.parse().expect("validated: it is one");
                self.ask(number, Request::RemovePolicy { destination }).await;
            }
            Kind::Restart(restart) => {
                let nodes = restart.nodes.as_ref().expect("expanded: it names everybody");
                for name in nodes.names() {
                    self.restart(number, name, restart).await;
                }
            }
        }
    }

    /// Has a process end and start again with other settings, and waits until it is there.
    async fn restart(&self, number: usize, name: &str, restart: &Restart) {
        let (node, members) = (self.node(name), self.members.borrow().clone());
        let config = self.scenario.restarted_config(name, &restart.broker, &members);
        self.supervisor.stop(node);
        self.waits_for(number, format!("{name} does not end"));
        while self.supervisor.is_up(node) {
            time::sleep(LOOK_EVERY).await;
        }
        self.supervisor.configure(node, config.expect("validated: the node accepts it"));
        self.supervisor.release(node);
        loop {
            let link = here::link_of(self.world, name);
            let asked = async move { operator::definition(NAME, &link).await };
            match self.at_the_host(asked).await {
                Ok(_) => return,
                Err(why) => self.waits_for(number, format!("{name} does not answer: {why}")),
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    async fn replace(&self, number: usize, replace: &Replace) {
        let (dead, removal) = (replace.nodes.names(), replace.removal);
        let by = replace.by.as_deref().expect("expanded: it says by whom");
        self.waits_for(number, "somebody has lost records, and no more may be lost now");
        let theirs: BTreeSet<u32> = dead.iter().map(|name| self.node(name) as u32).collect();
        while !self.supervisor.wounded().is_subset(&theirs) {
            time::sleep(LOOK_EVERY).await;
        }
        self.without(dead);
        dead.iter().for_each(|name| self.supervisor.destroy(self.node(name)));
        let known = self.view_with(number, dead).await;
        for (name, (zone, weight)) in by.iter().zip(known) {
            if !removal {
                let (link, zone) = (here::link_of(self.world, name), zone.clone());
                self.ask(number, Request::Add { name: name.clone(), link, zone, weight }).await;
                self.ask(number, Request::Drain { name: name.clone(), force: false }).await;
            }
            self.take_in(name, zone.as_deref(), weight);
        }
        self.until_members(number, by).await;
        if !removal {
            for (old, new) in dead.iter().cloned().zip(by.iter().cloned()) {
                self.ask(number, Request::Replace { old, new, force: false }).await;
            }
        }
        // Whoever was replaced is being removed already.
        self.remove(number, dead).await;
        dead.iter().for_each(|name| self.supervisor.replaced(self.node(name)));
    }

    /// Has members give away what they hold and be forgotten.
    async fn remove(&self, number: usize, names: &[String]) {
        for name in names {
            let request = Request::Remove { name: name.clone(), force: false };
            self.ask(number, request).await;
        }
        for name in names {
            self.until_free(number, name).await;
            self.ask(number, Request::Forget { name: name.clone() }).await;
        }
    }

    /// Zone and weight of each of these members.
    async fn view_with(&self, number: usize, names: &[String]) -> Vec<(Option<String>, f64)> {
        loop {
            if let Some(survey) = self.survey(number).await {
                let member = |name: &String| {
                    let mut members = survey.view.members().iter();
                    members.find(|it| it.name == *name).map(|it| (it.zone.clone(), it.weight))
                };
                if let Some(known) = names.iter().map(member).collect() {
                    return known;
                }
                self.waits_for(number, "the node that is to be replaced is no member");
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// Starts a node that asks the members to take it in.
    fn take_in(&self, name: &str, zone: Option<&str>, weight: f64) {
        let members = self.members.borrow().clone();
        let config = self.scenario.joining_config(name, zone, weight, &members);
        self.supervisor.begin(self.node(name), config.expect("validated: the node accepts it"));
    }

    async fn until_members(&self, number: usize, names: &[String]) {
        loop {
            if let Some(survey) = self.survey(number).await {
                let is_one = |name: &&String| {
                    let is_it = |member: &&Member| member.name == **name && !member.reserved;
                    survey.view.members().iter().find(is_it).is_some()
                };
                let missing: Vec<String> = names
                    .iter()
                    .filter(|name| !is_one(name))
                    .map(|name| match self.recorder.lock().exits.said(self.node(name) as u32) {
                        Some(said) => format!("{name} is no member, and ended: {said}"),
                        None => format!("{name} is no member"),
                    })
                    .collect();
                if missing.is_empty() {
                    break;
                }
                self.waits_for(number, missing.join("; "));
            }
            time::sleep(LOOK_EVERY).await;
        }
        self.members.send_modify(|members| members.extend(names.iter().cloned()));
    }

    async fn until_free(&self, number: usize, name: &str) {
        loop {
            if let Some(survey) = self.survey(number).await {
                match survey.view.id_of(name) {
                    Some(id) if !survey.is_free(id) => {
                        self.waits_for(number, format!("shards still count on {name}"));
                    }
                    _ => return,
                }
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// These are members no longer, as far as clients are concerned.
    fn without(&self, names: &[String]) {
        self.members.send_modify(|members| members.retain(|name| !names.contains(name)));
    }

    fn node(&self, name: &str) -> usize {
        let names = self.scenario.node_names();
        names.iter().position(|known| known == name).expect("validated: the node exists")
    }

    /// The member whose turn it is to be asked.
    fn next_address(&self) -> String {
        let mut progress = self.progress();
        progress.asked += 1;
        let members = self.members.borrow();
        here::link_of(self.world, &members[progress.asked % members.len()])
    }

    /// Asks until a node says that all is as asked for.
    async fn ask(&self, number: usize, request: Request) -> View {
        loop {
            let (address, request) = (self.next_address(), request.clone());
            let asked = {
                let address = address.clone();
                async move { operator::change(NAME, &address, &request).await }
            };
            match self.at_the_host(asked).await {
                Ok(view) => {
                    self.recorder.saw_view(&view);
                    return view;
                }
                Err(why) => self.refused(number, format!("{address} says: {why}")),
            }
            time::sleep(AGAIN_AFTER).await;
        }
    }

    fn refused(&self, number: usize, said: String) {
        trace::event!("change_refused", said = said.as_str());
        let mut progress = self.progress();
        let standing = &mut progress.changes[number];
        standing.refusals += 1;
        standing.waits_for = said;
    }

    /// How the cluster stands, by one of its members; none if that one says nothing.
    async fn survey(&self, number: usize) -> Option<Survey> {
        self.look().await.inspect_err(|why| self.waits_for(number, why.clone())).ok()
    }

    /// How the cluster stands, by one of its members, or why that one does not say.
    pub async fn look(&self) -> Result<Survey, String> {
        let address = self.next_address();
        let asked = {
            let address = address.clone();
            async move { operator::survey(NAME, &address).await }
        };
        let survey = self.at_the_host(asked).await;
        let survey =
            survey.map_err(|why| format!("{address} does not say how it stands: {why}"))?;
        self.recorder.saw_view(&survey.view);
        Ok(survey)
    }

    /// The views that all members of the latest one have; an error names one that has another, or says
    /// nothing.
    pub async fn views_agree(&self, view: &View) -> Result<(), String> {
        for member in view.members() {
            let link = member.link.clone();
            let asked = async move { operator::definition(NAME, &link).await };
            let known = self.at_the_host(asked).await;
            let name = &member.name;
            let known = known.map_err(|why| format!("{name} does not tell its view: {why}"))?;
            self.recorder.saw_view(&known.view);
            let (theirs, ours) = (known.view.epoch(), view.epoch());
            if theirs != ours {
                return Err(format!(
                    "{name} has the view of epoch {theirs}, others that of {ours}"
                ));
            }
        }
        Ok(())
    }

    async fn at_the_host<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, OperatorError>> + Send + 'static,
    ) -> Result<T, String> {
        let asked = async move { time::timeout(ANSWER_WITHIN, asked).await };
        match self.world.spawn_on(self.host, asked).await.expect("asking does not panic") {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}
