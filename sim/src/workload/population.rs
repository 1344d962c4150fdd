//! Who does what: the clients and destinations that a scenario asks for, by number.

use std::sync::Arc;

use paceline_scenario::{
    Scenario,
    format::{AckMode, BodySize, Kind, Popularity, Protocol, Workload},
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ids::{ClientId, DestinationId, DestinationInfo};

/// Everybody in a run.
#[derive(Debug)]
pub struct Population {
    /// What the destinations are called.
    pub destinations: Vec<DestinationInfo>,
    /// The producers, by the number that names their messages.
    pub producers: Vec<ProducerPlan>,
    /// The consumers.
    pub consumers: Vec<ConsumerPlan>,
}

/// What one client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// STOMP 1.2.
    Stomp,
    /// OpenWire 12.
    OpenWire,
}

impl Speaks {
    /// What the client of this number speaks, of those that do the same in a workload.
    fn of(protocol: Protocol, number: u32) -> Self {
        match protocol {
            Protocol::Stomp => Self::Stomp,
            Protocol::OpenWire => Self::OpenWire,
            Protocol::Mixed if number.is_multiple_of(2) => Self::Stomp,
            Protocol::Mixed => Self::OpenWire,
        }
    }
}

/// What one producer does.
#[derive(Clone, Debug)]
pub struct ProducerPlan {
    /// Unique over all clients.
    pub client: ClientId,
    /// Its number among the producers.
    pub number: u32,
    /// Its protocol.
    pub speaks: Speaks,
    /// Its workload's settings.
    pub workload: Arc<Workload>,
    /// Where it sends.
    pub targets: Targets,
}

/// What one consumer does.
#[derive(Clone, Debug)]
pub struct ConsumerPlan {
    /// Unique over all clients.
    pub client: ClientId,
    /// Its protocol.
    pub speaks: Speaks,
    /// Its workload's settings.
    pub workload: Arc<Workload>,
    /// What it subscribes to; empty for the one that empties the dead letter queues.
    pub sources: Vec<DestinationId>,
    /// The part of the messages that it selects.
    pub part: Option<u32>,
}

/// A workload's destinations and how likely each is.
#[derive(Clone, Debug)]
pub struct Targets {
    first: u32,
    /// Running sums of the shares.
    cumulative: Arc<[f64]>,
}

impl Targets {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = DestinationId> + use<> {
        (self.first..).take(self.cumulative.len()).map(DestinationId)
    }

    /// A destination drawn by popularity.
    pub fn draw(&self, random: &mut ChaCha8Rng) -> DestinationId {
        let total = *self.cumulative.last().expect("validated: there are destinations");
        let at = random.random::<f64>() * total;
        let index = self.cumulative.partition_point(|sum| *sum <= at);
        DestinationId(self.first + index.min(self.cumulative.len() - 1) as u32)
    }
}

/// The share of each of a workload's destinations; they sum to 1.
fn shares(workload: &Workload) -> Vec<f64> {
    let count = workload.destinations.count;
    let weight = |rank: u32| match workload.destinations.popularity {
        Popularity::Uniform => 1.0,
        Popularity::Zipf(power) => f64::from(rank).powf(-power),
    };
    let total: f64 = (1..=count).map(weight).sum();
    (1..=count).map(|rank| weight(rank) / total).collect()
}

/// The destinations of all workloads, one workload after the other.
pub fn destinations(scenario: &Scenario) -> Vec<DestinationInfo> {
    let total: f64 = scenario.workloads.iter().map(|it| it.rate.per_second).sum();
    let mut destinations = Vec::new();
    for (number, workload) in scenario.workloads.iter().enumerate() {
        let mut prefix = workload.prefix(number);
        if workload.destinations.kind == Kind::VirtualTopic {
            prefix.insert_str(0, "VirtualTopic.");
        }
        let weight = if total > 0.0 { workload.rate.per_second / total } else { 0.0 };
        for (index, share) in shares(workload).into_iter().enumerate() {
            destinations.push(DestinationInfo {
                name: format!("{prefix}.{index}").into(),
                topic: workload.destinations.kind != Kind::Queue,
                kept: workload.durable || workload.destinations.kind == Kind::VirtualTopic,
                consumers: sources(workload, index as u32).count() as u32,
                auto_ack: workload.ack == AckMode::Auto,
                prefetch: workload.prefetch,
                delayed: workload.delay.is_some(),
                parts: workload.selectors.or(workload.groups).unwrap_or(1),
                grouped: workload.groups.is_some(),
                exclusive: workload.exclusive,
                distributed: workload.distributed.0 > 0.0,
                share: share * weight,
            });
        }
    }
    destinations
}

/// The consumers of a destination. Where there are fewer consumers than destinations, each
/// consumer has several and each destination one consumer; otherwise consumers share.
fn sources(workload: &Workload, destination: u32) -> impl Iterator<Item = u32> {
    let (count, consumers) = (workload.destinations.count, workload.consumers);
    (0..consumers).filter(move |consumer| {
        if consumers <= count {
            destination % consumers == *consumer
        } else {
            consumer % count == destination
        }
    })
}

impl Population {
    /// Everybody whom the scenario asks for.
    pub fn of(scenario: &Scenario) -> Self {
        let mut population = Self {
            destinations: destinations(scenario),
            producers: Vec::new(),
            consumers: Vec::new(),
        };
        let mut first = 0;
        let mut clients = (0..).map(ClientId);
        let mut client = || clients.next().expect("numbers do not run out");
        for workload in &scenario.workloads {
            let workload = Arc::new(workload.clone());
            let mut sum = 0.0;
            let cumulative: Arc<[f64]> = shares(&workload)
                .into_iter()
                .map(|share| {
                    sum += share;
                    sum
                })
                .collect();
            let mut all_sources = vec![Vec::new(); workload.consumers as usize];
            for index in 0..workload.destinations.count {
                for consumer in sources(&workload, index) {
                    all_sources[consumer as usize].push(DestinationId(first + index));
                }
            }
            for (number, sources) in (0..).zip(all_sources) {
                let workload = Arc::clone(&workload);
                // Those of one destination in turn, where it has several.
                let round = match workload.consumers > workload.destinations.count {
                    true => number / workload.destinations.count,
                    false => number,
                };
                let speaks = Speaks::of(workload.protocol, round);
                // Consumers of one queue are so many numbers apart as there are queues.
                let rank: u32 = number / workload.destinations.count;
                let part = workload.selectors.map(|parts| rank % parts);
                let client = client();
                let plan = ConsumerPlan { client, speaks, workload, sources, part };
                population.consumers.push(plan);
            }
            for number in 0..workload.producers {
                population.producers.push(ProducerPlan {
                    client: client(),
                    number: population.producers.len() as u32,
                    speaks: Speaks::of(workload.protocol, number),
                    workload: Arc::clone(&workload),
                    targets: Targets { first, cumulative: Arc::clone(&cumulative) },
                });
            }
            first += workload.destinations.count;
        }
        // Refused too often, or too often with a consumer whose connection broke.
        let storms = scenario.faults.iter().any(|fault| fault.reconnect_storm.is_some());
        let keeps_expired = scenario.keeps_expired();
        let makes_dead_letters = |it: &&Workload| {
            let expires = keeps_expired && it.expiry.is_some();
            storms || expires || it.nack.0 + it.drop.0 + it.vanish.0 > 0.0
        };
        if let Some(workload) = scenario.workloads.iter().find(makes_dead_letters) {
            population.consumers.push(ConsumerPlan {
                client: client(),
                speaks: Speaks::of(workload.protocol, 0),
                workload: Arc::new(workload.clone()),
                sources: Vec::new(),
                part: None,
            });
        }
        population
    }

    /// The consumers of each destination.
    pub fn consumers_of(&self) -> Vec<Vec<ClientId>> {
        let mut consumers = vec![Vec::new(); self.destinations.len()];
        for plan in &self.consumers {
            plan.sources.iter().for_each(|id| consumers[id.0 as usize].push(plan.client));
        }
        consumers
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.producers.len() + self.consumers.len()
    }
}

/// A body's size.
pub fn body_size(size: &BodySize, random: &mut ChaCha8Rng) -> usize {
    match (size.exactly, size.mean) {
        (Some(size), _) => size.bytes as usize,
        (None, mean) => {
            let mean = mean.map_or(230, |size| size.bytes) as f64;
            exponential(mean, random).min(20.0 * mean) as usize
        }
    }
}

/// Exponentially distributed with this mean.
pub fn exponential(mean: f64, random: &mut ChaCha8Rng) -> f64 {
    -mean * (1.0 - random.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn scenario(workload: &str) -> Scenario {
        let text = format!(
            "name = 'x'\nabout = 'x'\nduration = '1s'\n[cluster]\nnodes = 3\n[[workload]]\n\
             rate = '10/s'\n{workload}"
        );
        Scenario::load("x.toml", &text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_destination_has_a_consumer() {
        for (count, consumers, each) in [(10, 3, 1), (2, 7, 3)] {
            let scenario = scenario(&format!(
                "destinations = {{ count = {count} }}\nproducers = 1\nconsumers = {consumers}"
            ));
            let population = Population::of(&scenario);
            assert!(population.consumers.iter().all(|it| !it.sources.is_empty()));
            for (index, info) in population.destinations.iter().enumerate() {
                let of_it = population
                    .consumers
                    .iter()
                    .filter(|it| it.sources.contains(&DestinationId(index as u32)))
                    .count();
                assert_eq!(of_it, info.consumers as usize);
                assert!((1..=each + 1).contains(&of_it));
            }
        }
    }

    #[test]
    fn every_part_of_every_queue_has_a_consumer() {
        let scenario =
            scenario("destinations = { count = 2 }\nproducers = 1\nconsumers = 7\nselectors = 3");
        let population = Population::of(&scenario);
        for queue in [0, 1].map(DestinationId) {
            let of_it = population.consumers.iter().filter(|it| it.sources.contains(&queue));
            let parts: Vec<u32> = of_it.map(|it| it.part.unwrap()).collect();
            assert!([0, 1, 2].iter().all(|part| parts.contains(part)), "{parts:?}");
        }
    }

    #[test]
    fn popularity_decides_how_often_a_destination_is_drawn() {
        let scenario = scenario(
            "destinations = { count = 4, popularity = { zipf = 1.0 } }\nproducers = 1\n\
             consumers = 1",
        );
        let population = Population::of(&scenario);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut drawn = [0.0; 4];
        for _ in 0..100_000 {
            drawn[population.producers[0].targets.draw(&mut random).0 as usize] += 1e-5;
        }
        for (drawn, info) in drawn.iter().zip(&population.destinations) {
            assert!((drawn - info.share).abs() < 0.01, "{drawn} of {}", info.share);
        }
    }
}
