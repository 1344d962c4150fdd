//! Who listens hears of what comes and goes, and of what was there before.

use std::sync::Arc;

use super::*;
use crate::{
    Destination,
    channel::{Delivered, FromLeader, ToLeader},
    operation::{Parting, Subscription},
    serving::tests::World,
    testing::message_to,
};

const LISTENER: u64 = 1;
const OTHER: u64 = 2;

fn presence(topic: &str, name: &str) -> Presence {
    let said = |what: &str| {
        let topic = Destination::topic(topic).unwrap();
        Arc::new(Message { persistent: false, ..message_to(topic, &format!("{name} {what}")) })
    };
    Presence { here: said("here"), gone: said("gone"), counted: Some("count".into()) }
}

fn listen(world: &mut World, consumer: u64, topic: &str, is_new: bool) {
    let subscription = Subscription::new(Destination::topic(topic).unwrap(), 100);
    let attach = ToLeader::Attach { number: 7, consumer, subscription, is_new };
    world.say(LISTENER, attach);
}

fn announce(world: &mut World, channel: u64, number: u64, topic: &str, is_news: bool) {
    let presence = presence(topic, &format!("{channel}.{number}"));
    world.say(channel, ToLeader::Announce { number, presence, is_news });
}

/// What the listener has heard since it was last asked: who listened, what, and how many there were.
fn heard(world: &mut World) -> Vec<(u64, String, i32)> {
    world.dispatch();
    let said = world.take(LISTENER).into_iter();
    let delivered = said.filter_map(|said| match said {
        FromLeader::Deliver(Delivered { consumer, message, .. }) => {
            let text = String::from_utf8(message.body.bytes().to_vec()).unwrap();
            let count = message.properties.iter().find(|(name, _)| **name == *"count");
            let Some((_, Value::Int(count))) = count else { panic!("{message:?}") };
            Some((consumer, text, *count))
        }
        _ => None,
    });
    delivered.collect()
}

fn told(who: u64, all: &[(&str, i32)]) -> Vec<(u64, String, i32)> {
    all.iter().map(|(what, count)| (who, (*what).to_owned(), *count)).collect()
}

fn world() -> World {
    let mut world = World::led();
    world.open(LISTENER);
    world.open(OTHER);
    world
}

#[test]
fn who_listens_is_told_what_comes_and_goes_and_how_many_there_are() {
    let mut world = world();
    listen(&mut world, 1, "t", true);
    announce(&mut world, OTHER, 1, "t", true);
    announce(&mut world, LISTENER, 2, "t", true);
    announce(&mut world, OTHER, 3, "elsewhere", true);
    announce(&mut world, OTHER, 1, "t", true);
    world.say(OTHER, ToLeader::Withdraw { number: 1 });
    world.say(OTHER, ToLeader::Withdraw { number: 1 });
    let all = [("2.1 here", 1), ("1.2 here", 2), ("2.1 gone", 1)];
    assert_eq!(heard(&mut world), told(1, &all));
}

#[test]
fn who_begins_to_listen_is_told_what_is_there_and_nobody_else_is() {
    let mut world = world();
    listen(&mut world, 1, "t.>", true);
    announce(&mut world, OTHER, 1, "t.a", true);
    announce(&mut world, OTHER, 2, "t.b", true);
    assert_eq!(heard(&mut world).len(), 2);
    listen(&mut world, 2, "t.b", true);
    assert_eq!(heard(&mut world), told(2, &[("2.2 here", 1)]));
    // One that another leader has told hears only what is news.
    listen(&mut world, 3, "t.a", false);
    assert_eq!(heard(&mut world), []);
}

#[test]
fn what_another_leader_has_told_of_is_no_news_and_counts() {
    let mut world = world();
    listen(&mut world, 1, "t", false);
    announce(&mut world, OTHER, 1, "t", false);
    assert_eq!(heard(&mut world), []);
    announce(&mut world, OTHER, 2, "t", true);
    assert_eq!(heard(&mut world), told(1, &[("2.2 here", 2)]));
}

#[test]
fn who_begins_to_listen_hears_of_what_an_earlier_leader_has_told_to_others() {
    let mut world = world();
    listen(&mut world, 1, "t", true);
    listen(&mut world, 2, "t", false);
    listen(&mut world, 3, "elsewhere", true);
    announce(&mut world, OTHER, 1, "t", false);
    assert_eq!(heard(&mut world), told(1, &[("2.1 here", 1)]));
    let parting = Parting::Saw(Vec::new());
    world.say(LISTENER, ToLeader::Detach { number: 8, consumer: 1, parting });
    announce(&mut world, OTHER, 2, "t", false);
    assert_eq!(heard(&mut world), []);
}

#[test]
fn with_a_node_goes_what_was_there_of_its_clients() {
    let mut world = world();
    listen(&mut world, 1, "t", true);
    announce(&mut world, OTHER, 1, "t", true);
    announce(&mut world, LISTENER, 1, "t", true);
    heard(&mut world);
    world.close(OTHER);
    assert_eq!(heard(&mut world), told(1, &[("2.1 gone", 1)]));
}

#[test]
fn a_selector_is_asked_of_what_was_there_before_as_well() {
    let mut world = world();
    announce(&mut world, OTHER, 1, "t", true);
    let subscription = Subscription {
        selector: Some("count > 1".into()),
        ..Subscription::new(Destination::topic("t").unwrap(), 9)
    };
    let attach = ToLeader::Attach { number: 7, consumer: 1, subscription, is_new: true };
    world.say(LISTENER, attach);
    assert_eq!(heard(&mut world), []);
    announce(&mut world, OTHER, 2, "t", true);
    assert_eq!(heard(&mut world), told(1, &[("2.2 here", 2)]));
}
