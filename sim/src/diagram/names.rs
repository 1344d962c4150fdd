//! Which message is meant. Clients know one by its producer and number, the broker by an id of its own,
//! and a leader by its place in the log; and consumers have numbers at the node they are connected to.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use paceline_events::Event;

use crate::{observe::Outcome, workload::ids::ClientId};

/// See the module.
#[derive(Default)]
pub struct Names {
    /// What messages are called, by number.
    pub messages: Vec<String>,
    numbers: HashMap<String, usize>,
    /// By the broker's ids.
    brokers: HashMap<String, usize>,
    /// By shard and place, that which was there last.
    places: HashMap<(u64, String), usize>,
    /// The message of each event of a node that is about one, by the event's index.
    pub heard: BTreeMap<usize, usize>,
    /// The delivery that came of a dispatch, by the event's index.
    pub arrived: BTreeMap<usize, usize>,
    /// The client behind each name that leaders have for a consumer, in each life of its node: the
    /// next process begins to count anew.
    consumers: BTreeMap<(String, usize), ClientId>,
    /// When each node's process ended, by the node's name.
    deaths: HashMap<String, Vec<Duration>>,
}

impl Names {
    /// Finds out all that can be known.
    pub fn of(outcome: &Outcome) -> Self {
        let mut names = Self::default();
        for delivery in &outcome.history.deliveries {
            let number = names.message(&delivery.id.to_string());
            names.brokers.insert(delivery.broker_id.to_string(), number);
        }
        // What a leader hands out before it has it at hand is named when it has read it.
        for heard in &outcome.heard {
            heard.read(|event| {
                if let Event::ReadBack { shard, message, id, .. } = event {
                    let number = names.of_broker(id);
                    names.places.insert((shard, message.to_owned()), number);
                }
            });
        }
        for (index, heard) in outcome.heard.iter().enumerate() {
            let number = heard.read(|event| match event {
                Event::Dispatch { shard, message, id, .. } if !id.is_empty() => {
                    let number = names.of_broker(id);
                    names.places.insert((shard, message.to_owned()), number);
                    Some(number)
                }
                Event::Dispatch { shard, message, .. }
                | Event::ReadBack { shard, message, .. }
                | Event::Settle { shard, message, .. }
                | Event::Release { shard, message, .. } => {
                    Some(names.placed(shard, message).unwrap_or_else(|| {
                        let number = names.message(&format!("{shard}:{message}"));
                        names.places.insert((shard, message.to_owned()), number);
                        number
                    }))
                }
                _ => None,
            });
            if let Some(number) = number.flatten() {
                names.heard.insert(index, number);
            }
        }
        for heard in outcome.heard.iter().filter(|it| it.is_death()) {
            names.deaths.entry(format!("n{}", heard.node + 1)).or_default().push(heard.at);
        }
        names.join(outcome);
        names
    }

    /// Finds the delivery that each dispatch came to: the first of the message from then on that came
    /// through the consumer's node and was not another one's.
    fn join(&mut self, outcome: &Outcome) {
        let epoch = outcome.epoch.unwrap_or_default();
        let history = &outcome.history;
        let mut open: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, delivery) in history.deliveries.iter().enumerate() {
            let number = self.numbers[&delivery.id.to_string()];
            open.entry(number).or_default().push(index);
        }
        for (index, heard) in outcome.heard.iter().enumerate() {
            let Some(list) = self.heard.get(&index).and_then(|it| open.get_mut(it)) else {
                continue;
            };
            let found = heard.read(|event| {
                let Event::Dispatch { consumer, .. } = event else { return None };
                let node = consumer.split('.').next().unwrap_or_default();
                let key = (consumer.to_owned(), lives(&self.deaths, consumer, heard.at));
                let known = self.consumers.get(&key);
                let at = list.iter().position(|&it| {
                    let delivery = &history.deliveries[it];
                    delivery.at + epoch >= heard.at
                        && known.is_none_or(|client| *client == delivery.client)
                        && history.nodes.get(&delivery.connection).is_none_or(|it| **it == *node)
                })?;
                let delivery = list.remove(at);
                let client = history.deliveries[delivery].client;
                self.consumers.insert(key, client);
                Some(delivery)
            });
            if let Some(delivery) = found.flatten() {
                self.arrived.insert(index, delivery);
            }
        }
    }

    /// The number of a message by its name.
    pub fn message(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.messages.len();
        self.messages.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of a message by the broker's id, which is its name if no client has got it.
    pub fn of_broker(&mut self, id: &str) -> usize {
        match self.brokers.get(id) {
            Some(&number) => number,
            None => self.message(id),
        }
    }

    /// The number of a message by its leader's name.
    pub fn placed(&self, shard: u64, message: &str) -> Option<usize> {
        self.places.get(&(shard, message.to_owned())).copied()
    }

    /// A consumer as the diagram calls it: the client, or the leader's name.
    pub fn consumer(&self, at: Duration, name: &str) -> String {
        let client = self.client(at, name);
        client.map_or_else(|| name.to_owned(), |client| format!("c{}", client.0))
    }

    /// The client that a leader meant then, by the world's clock.
    pub fn client(&self, at: Duration, name: &str) -> Option<ClientId> {
        let key = (name.to_owned(), lives(&self.deaths, name, at));
        self.consumers.get(&key).copied()
    }
}

/// How often the node that a consumer is named after had ended by then.
fn lives(deaths: &HashMap<String, Vec<Duration>>, consumer: &str, at: Duration) -> usize {
    let node = consumer.split('.').next().unwrap_or_default();
    deaths.get(node).map_or(0, |deaths| deaths.partition_point(|it| *it <= at))
}
