//! What a consumer receives from, and what it has asked of subscriptions that outlive its connections.

use std::collections::BTreeMap;

use paceline_scenario::format::Kind;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    client::Connection,
    dialogue::{Arrival, Asked, Source},
};
use crate::{
    observe::recorder::SharedRecorder,
    workload::{
        Population,
        ids::{ClientId, DestinationId, DestinationInfo},
        operation::{self, MessageId, Reply, Wanted, publish},
        population::ConsumerPlan,
    },
};

/// A source, and those of the run's destinations that it is made of.
pub type Known = (Source, Vec<DestinationId>);

/// What a consumer receives from.
pub fn sources(plan: &ConsumerPlan, population: &Population) -> Vec<Known> {
    let is_virtual = plan.workload.destinations.kind == Kind::VirtualTopic;
    let of = |&id: &DestinationId| {
        let info = &population.destinations[id.0 as usize];
        let name = match is_virtual {
            true => format!("Consumer.{}.{}", client_id(plan.client), info.name),
            false => info.name.to_string(),
        };
        let selector = plan.part.map(|part| publish::selector(part, plan.client.0));
        let durable = plan.workload.durable.then(|| info.name.to_string());
        let (topic, exclusive) = (info.topic && !is_virtual, info.exclusive);
        (Source { name, others: Vec::new(), topic, selector, durable, exclusive }, vec![id])
    };
    let mut all = plan.sources.iter().map(of);
    match all.next() {
        Some(first) if plan.workload.composite => {
            let together = |(mut source, mut ids): Known, (other, id): Known| {
                source.others.push(other.name);
                ids.extend(id);
                (source, ids)
            };
            vec![all.fold(first, together)]
        }
        Some(first) => [first].into_iter().chain(all).collect(),
        None => {
            let name = "DLQ.>".to_owned();
            vec![(Source { name, ..Source::default() }, Vec::new())]
        }
    }
}

/// Which of a source's destinations a message has come from; `None` if it is a dead letter.
pub fn came_from(
    arrival: &Arrival,
    of: &[DestinationId],
    population: &Population,
) -> Result<Option<DestinationId>, String> {
    let is_it = |id: &&DestinationId| *population.destinations[id.0 as usize].name == *arrival.to;
    match of {
        [] => Ok(None),
        // A virtual topic's queues are called otherwise.
        [one] => Ok(Some(*one)),
        _ => match of.iter().find(is_it) {
            Some(id) => Ok(Some(*id)),
            None => {
                Err(format!("{} came from `{}`, as not asked for", arrival.broker_id, arrival.to))
            }
        },
    }
}

/// The client id of a durable subscriber.
fn client_id(client: ClientId) -> String {
    format!("c{}", client.0)
}

/// A dead letter says where it comes from and why it is here.
pub fn look_at_dead_letter(recorder: &SharedRecorder, id: MessageId, arrival: &Arrival) {
    let Arrival { broker_id, from, cause, .. } = arrival;
    let info = {
        let history = &recorder.lock().history;
        // What nobody has sent the check `invented` reports.
        let Some(publish) = history.publish(id) else { return };
        history.destination(publish.destination).clone()
    };
    if !is_origin(from, &info) || cause.is_empty() {
        let detail = format!(
            "the dead letter {broker_id} was sent to {}, and says `{from}`, because `{cause}`",
            info.name
        );
        recorder.nonsense("dead-letter", detail);
    }
}

/// Where a dead letter says that it comes from: of what is kept for each subscriber, any of them.
fn is_origin(from: &str, info: &DestinationInfo) -> bool {
    let name = &*info.name;
    match info.kept {
        false => from == format!("/queue/{name}"),
        true => {
            let queue = from.strip_prefix("/queue/Consumer.c");
            from == format!("/topic/{name}") || queue.is_some_and(|rest| rest.ends_with(name))
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Keeping {
    /// Counts the terms on which the subscriptions are.
    terms: u32,
    /// What has no answer, by its number, and whether it is an end.
    asked: BTreeMap<(usize, bool), u32>,
}

impl Keeping {
    /// The id of the client, if it needs one.
    pub fn client_id(plan: &ConsumerPlan) -> Option<String> {
        (plan.workload.durable && !plan.sources.is_empty()).then(|| client_id(plan.client))
    }

    /// Notes that all subscriptions are asked for.
    pub fn subscribing(&mut self, plan: &ConsumerPlan, recorder: &SharedRecorder) {
        for (number, destination) in plan.sources.iter().enumerate() {
            if recorder.lock().history.destination(*destination).kept {
                self.ask(plan, *destination, (number, false), Wanted::There(self.terms), recorder);
            }
        }
    }

    fn ask(
        &mut self,
        plan: &ConsumerPlan,
        destination: DestinationId,
        key: (usize, bool),
        wanted: Wanted,
        recorder: &SharedRecorder,
    ) {
        let (client, sent) = (plan.client, recorder.now());
        let keeping = operation::Keeping { client, destination, wanted, sent, reply: None };
        self.asked.insert(key, recorder.keeping(keeping));
    }

    /// Notes an answer, if it is to such a question.
    pub fn answered(&mut self, asked: Asked, reply: Reply, recorder: &SharedRecorder) {
        let key = match asked {
            Asked::Subscribe(number) => (number, false),
            Asked::Forget(number) => (number, true),
            _ => return,
        };
        if let Some(index) = self.asked.remove(&key) {
            recorder.keeping_replied(index, reply);
        }
    }

    /// Whether an end has no answer.
    pub fn is_ending(&self) -> bool {
        self.asked.keys().any(|(_, is_end)| *is_end)
    }

    /// The subscriptions have ended for now. Deletes them, or has them replaced when they are asked for
    /// next, as often as the scenario wants.
    pub fn end(
        &mut self,
        plan: &ConsumerPlan,
        sources: &mut [Known],
        connection: &mut Connection,
        random: &mut ChaCha8Rng,
        recorder: &SharedRecorder,
    ) {
        let renew = plan.workload.renew.0;
        if renew == 0.0 || plan.sources.is_empty() || !random.random_bool(renew) {
            return;
        }
        if random.random_bool(0.5) {
            for (number, (source, destinations)) in sources.iter().enumerate() {
                if let (Some(durable), [destination]) = (&source.durable, &destinations[..]) {
                    self.ask(plan, *destination, (number, true), Wanted::Gone, recorder);
                    connection.forget(number, durable);
                }
            }
            return;
        }
        self.terms += 1;
        for (source, _) in sources {
            source.selector = match plan.part {
                Some(part) => Some(publish::selector(part, plan.client.0 + self.terms)),
                None => (self.terms % 2 == 1).then(|| "JMSPriority >= 0".to_owned()),
            };
        }
    }

    /// The connection is gone.
    pub fn forget(&mut self, recorder: &SharedRecorder) {
        for index in std::mem::take(&mut self.asked).into_values() {
            recorder.keeping_replied(index, Reply::Unknown);
        }
    }
}
