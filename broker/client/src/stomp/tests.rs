//! A client against a server that says what it is told, over real sockets.

use paceline_runtime::time;

use super::*;
use crate::{
    Lost,
    testing::{PATIENCE, Server},
};

const CONNECTED: &[u8] = b"CONNECTED\nversion:1.2\n\n\0";

fn options(heart_beat: Option<HeartBeat>) -> Options {
    Options { host: "h".into(), heart_beat, ..Options::default() }
}

async fn pair(options: &Options) -> (Client, Server) {
    let (listener, address) = Server::listen().await;
    let serve = async {
        let mut server = Server::accept(&listener).await;
        let heart_beat = match options.heart_beat {
            Some(it) => format!("heart-beat:{0},{0}\n", it.every.as_millis()),
            None => String::new(),
        };
        let connect = format!("CONNECT\naccept-version:1.2\nhost:h\n{heart_beat}\n\0");
        server.hears(connect.as_bytes()).await;
        server.say(CONNECTED).await;
        server
    };
    let (client, server) = tokio::join!(Client::connect(&address, options), serve);
    (client.unwrap(), server)
}

#[tokio::test]
async fn frames_go_out_in_order_whoever_writes_them() {
    let heart_beat = HeartBeat { every: PATIENCE, silence: PATIENCE };
    for heart_beat in [None, Some(heart_beat)] {
        let (mut client, mut server) = pair(&options(heart_beat)).await;
        client.send(&Frame::new(Command::Begin).with("transaction", "t"));
        let mut frame = client.frame(Command::Abort);
        frame.header("transaction", "t");
        frame.finish(b"");
        let expected = b"BEGIN\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0";
        tokio::select! {
            biased;
            () = server.hears(expected) => {}
            error = client.receive() => panic!("nothing was said: {error:?}"),
        }
    }
}

#[tokio::test]
async fn half_a_frame_can_be_said() {
    let (mut client, mut server) = pair(&options(None)).await;
    client.send_bytes(b"SEND\ndestin");
    assert_eq!(client.unsent(), 11);
    client.flush().await.unwrap();
    server.hears(b"SEND\ndestin").await;
}

#[tokio::test]
async fn heart_beats_go_on_without_the_owner_until_it_falls_silent() {
    let every = Duration::from_millis(50);
    let (mut client, mut server) =
        pair(&options(Some(HeartBeat { every, silence: PATIENCE }))).await;
    for _ in 0..3 {
        assert!(server.hears_within(PATIENCE).await);
        assert!(server.read.iter().all(|byte| *byte == b'\n'), "{:?}", server.read);
    }
    client.send_bytes(b"BEGI");
    client.fall_silent();
    client.send_bytes(b"N");
    // What was under way.
    for _ in 0..3 {
        server.hears_within(every * 4).await;
    }
    assert!(!server.hears_within(every * 4).await);
    assert!(server.read.ends_with(b"BEGI"), "{:?}", server.read);
    // It still listens.
    server.say(b"RECEIPT\nreceipt-id:1\n\n\0").await;
    assert_eq!(client.receive().await.unwrap().command, Command::Receipt);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    // Long enough to connect in.
    let silence = Duration::from_secs(1);
    let (mut client, _server) = pair(&options(Some(HeartBeat { every: PATIENCE, silence }))).await;
    let received = time::timeout(PATIENCE, client.receive()).await.expect("it gives up");
    assert!(matches!(received, Err(Error::Lost(Lost::Silent))));
}

#[tokio::test]
async fn what_the_server_said_before_it_closed_is_read_though_writing_fails() {
    let (mut client, mut server) = pair(&options(None)).await;
    server.say(b"ERROR\nmessage:enough\n\n\0").await;
    drop(server);
    time::sleep(Duration::from_millis(20)).await;
    // The first is answered by a reset, which the second one finds.
    for _ in 0..2 {
        client.send_bytes(&[b'x'; 1000]);
        let _ = client.turn().await;
        time::sleep(Duration::from_millis(20)).await;
    }
    let received = time::timeout(PATIENCE, client.receive()).await.expect("it was said");
    let frame = received.unwrap();
    assert_eq!(Error::of(&frame).to_string(), "the server says: enough");
}

#[tokio::test]
async fn leaving_heeds_what_crosses_it_no_more_and_an_error() {
    const DISCONNECT: &[u8] = b"DISCONNECT\nreceipt:leave\n\n\0";
    let crossing = b"MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/queue/a\n\nx\0\
        RECEIPT\nreceipt-id:1\n\n\0RECEIPT\nreceipt-id:leave\n\n\0";
    let error = b"ERROR\nmessage:no\nreceipt-id:leave\n\n\0";
    for (says, expected) in [(&crossing[..], None), (&error[..], Some("the server says: no"))] {
        let (mut client, mut server) = pair(&options(None)).await;
        let serve = async {
            server.hears(DISCONNECT).await;
            server.say(says).await;
        };
        let (left, ()) = tokio::join!(client.leave(), serve);
        assert_eq!(left.err().map(|error| error.to_string()).as_deref(), expected);
    }
}
