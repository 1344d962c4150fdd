//! What is there at a node's clients is said to each leader.

use super::*;
use crate::{
    Destination,
    channel::ToLeader,
    presence::{Announcement, Presence, PresenceId},
    testing::message_to,
};

fn presence(name: &str) -> Presence {
    let said = |what: &str| {
        let topic = Destination::topic("t").unwrap();
        Arc::new(message_to(topic, &format!("{name} {what}")))
    };
    Presence { here: said("here"), gone: said("gone"), counted: None }
}

fn ask(client: &mut ShardClient<u32, u32>, request: Request<u32, u32>) {
    client.handle_request(Duration::ZERO, request, Budget { limit: 1 << 20, used: 0 });
}

fn announce(client: &mut ShardClient<u32, u32>, number: u64) {
    ask(client, Request::Announce { number, presence: presence("p") });
}

/// The client's node, which leads in a term, answers.
fn led_in(client: &mut ShardClient<u32, u32>, at: Duration, term: u64) {
    assert!(client.poll_open(at, &[4, 7], || None).is_some());
    client.handle_said(at, Some(FromLeader::Serving { term })).unwrap();
}

/// What is said: a number, and whether it is news; none of what is gone.
fn said(client: &mut ShardClient<u32, u32>) -> Vec<(u64, Option<bool>)> {
    let said = std::iter::from_fn(|| client.poll_transmit());
    said.map(|said| match said {
        ToLeader::Announce { number, is_news, .. } => (number, Some(is_news)),
        ToLeader::Withdraw { number } => (number, None),
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn it_is_news_to_the_first_leader_and_known_to_the_next() {
    let mut client = ShardClient::new(ROOM_TIMEOUT);
    announce(&mut client, 1);
    assert_eq!(said(&mut client), [], "nobody leads");
    led_in(&mut client, Duration::ZERO, 3);
    announce(&mut client, 2);
    ask(&mut client, Request::Withdraw { number: 2 });
    announce(&mut client, 3);
    let all = [(1, Some(true)), (2, Some(true)), (2, None), (3, Some(true))];
    assert_eq!(said(&mut client), all);
    let mut now = Duration::from_secs(9);
    client.handle_said(now, None).unwrap();
    // Between leaders one comes and goes, and one goes that was there before.
    announce(&mut client, 4);
    ask(&mut client, Request::Withdraw { number: 4 });
    announce(&mut client, 5);
    ask(&mut client, Request::Withdraw { number: 1 });
    now *= 2;
    led_in(&mut client, now, 4);
    let all = [(1, Some(false)), (3, Some(false)), (5, Some(true)), (1, None)];
    assert_eq!(said(&mut client), all);
    // The same leader has said that they were gone when the channel ended.
    client.handle_said(now, None).unwrap();
    led_in(&mut client, 2 * now, 4);
    assert_eq!(said(&mut client), [(3, Some(true)), (5, Some(true))]);
}

#[test]
fn with_a_connection_goes_all_that_was_there_of_it() {
    let mut connection = Connection::default();
    for number in 0..2 {
        let here = Announcement::Here(PresenceId(number), presence("p"));
        connection.handle_announcement(here, &parting::Everywhere);
    }
    connection.handle_announcement(Announcement::Gone(PresenceId(0)), &parting::Everywhere);
    connection.handle_announcement(Announcement::Gone(PresenceId(0)), &parting::Everywhere);
    connection.handle_closed(&parting::Everywhere);
    let asked: Vec<_> = std::iter::from_fn(|| connection.poll_request()).collect();
    let is_withdrawal = |it: &&(u32, Request<Part, _>)| matches!(it.1, Request::Withdraw { .. });
    assert_eq!((asked.len(), asked.iter().filter(is_withdrawal).count()), (4, 2));
}

/// What is said of a consumer that attaches: whether it is to be told of what there is.
fn attached(client: &mut ShardClient<u32, u32>) -> (u64, bool) {
    match client.poll_transmit() {
        Some(ToLeader::Attach { number, is_new, .. }) => (number, is_new),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_listens_is_new_until_a_leader_has_said_that_it_is_attached() {
    let mut client = ShardClient::new(ROOM_TIMEOUT);
    let subscription = Subscription::new(Destination::topic("t").unwrap(), 9);
    ask(&mut client, Request::Attach { consumer: 7, subscription, sink: 0, asker: 1 });
    let mut now = Duration::ZERO;
    let mut lead = |term: u64, answers: bool| {
        now += Duration::from_secs(9);
        led_in(&mut client, now, term);
        let (number, is_new) = attached(&mut client);
        if answers {
            client.handle_said(now, Some(FromLeader::Answer { number, result: Ok(()) })).unwrap();
        }
        client.handle_said(now, None).unwrap();
        is_new
    };
    let led = [(1, false), (2, true), (3, true), (3, true)];
    assert_eq!(led.map(|(term, answers)| lead(term, answers)), [true, true, false, true]);
}
