//! Temporary destinations, and several destinations at once.

use super::*;

#[test]
fn a_reply_finds_its_way_to_the_temporary_queue_of_another_client() {
    let mut world = World::new();
    let [asks, answers] = [world.connect("1.2"), world.connect("1.2")];
    world.send(answers, "SUBSCRIBE\nid:0\ndestination:/queue/asked\n\n\0");
    world.send(asks, "SUBSCRIBE\nid:0\ndestination:/temp-queue/replies\n\n\0");
    world.send(asks, "SEND\ndestination:/queue/asked\nreply-to:/temp-queue/replies\n\n?\0");
    let question = world.frames(answers).pop().unwrap();
    let reply_to = question.header("reply-to").unwrap().to_string();
    world.send(answers, &format!("SEND\ndestination:{reply_to}\npersistent:true\n\n!\0"));
    let reply = world.frames(asks).pop().unwrap();
    assert_eq!(reply.header("destination").unwrap().as_str(), "/temp-queue/replies");
    assert_eq!(&*reply.body, b"!");
    let stored = world.published.last().unwrap();
    assert!(!stored.persistent && stored.expires.is_some(), "nobody may be left to fetch it");
}

#[test]
fn nobody_subscribes_to_the_temporary_queue_of_another_client() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "SUBSCRIBE\nid:0\ndestination:/remote-temp-queue/ID:other:x\n\n\0");
    assert!(world.error(session).ends_with("which alone may subscribe to it"));
}

#[test]
fn a_message_to_several_destinations_goes_to_all_of_them_at_once() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(session, "SEND\ndestination:/queue/a,/topic/b\nreceipt:r\n\nx\0");
    assert_eq!(world.frames(session), [frame("RECEIPT\nreceipt-id:r\n\n\0")]);
    let to: Vec<_> = world.published.iter().map(|it| it.destination.to_string()).collect();
    assert_eq!((to, world.commits), (vec!["/queue/a".into(), "/topic/b".into()], 1));
}

#[test]
fn a_subscription_to_several_destinations_is_one() {
    let mut world = World::new();
    let session = world.connect("1.2");
    world.send(
        session,
        "SUBSCRIBE\nid:0\ndestination:/queue/a, /topic/t.*,b\nactivemq.noLocal:true\n\n\0",
    );
    assert_eq!(world.subscriptions[0].source.to_string(), "/queue/a,/topic/t.*,/queue/b");
    // What is one's own is left out of topics, and not of queues.
    for destination in ["/queue/b", "/topic/t.x"] {
        world.send(session, &format!("SEND\ndestination:{destination}\n\nown\0"));
    }
    let came: Vec<_> = world.frames(session);
    let from: Vec<_> = came.iter().map(|it| it.header("destination").unwrap().as_str()).collect();
    assert_eq!(from, ["/queue/b"]);
    world.send(session, "SUBSCRIBE\nid:1\ndestination:/queue/a,b\nbrowser:true\n\n\0");
    assert!(world.error(session).contains("`/queue/a,/queue/b` cannot be browsed"));
}
