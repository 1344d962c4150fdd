//! A client against a server that says what it is told, over real sockets.

use paceline_runtime::time;
use paceline_wire::openwire::{
    BrokerInfo, ConnectionError, ExceptionResponse, FlushCommand, MessageDispatch, Response,
    SessionInfo, Throwable,
};

use super::*;
use crate::testing::{PATIENCE, Server};

fn options(heart_beat: Option<HeartBeat>) -> Options {
    Options { heart_beat, ..Options::new("ID:c-1") }
}

/// Commands as they are on the wire.
fn bytes<const N: usize>(commands: [Command; N]) -> Vec<u8> {
    let mut out = BytesMut::new();
    commands.iter().for_each(|command| command.encode(MAX_VERSION, &mut out));
    out.to_vec()
}

fn numbered(command: impl Into<Command>, number: i32, response_required: bool) -> Command {
    let mut command = command.into();
    command.set_number(number, response_required);
    command
}

fn response(correlation_id: i32) -> Command {
    Response { correlation_id, ..Response::default() }.into()
}

fn exception(why: &str) -> Option<Throwable> {
    Some(Throwable { class: "javax.jms.JMSException".into(), message: Some(why.into()) })
}

fn refusal(correlation_id: i32, why: &str) -> Command {
    let exception = exception(why);
    ExceptionResponse { correlation_id, exception, ..ExceptionResponse::default() }.into()
}

fn connection() -> ConnectionId {
    ConnectionId { value: "ID:c-1".into() }
}

/// What a client says that opens a connection.
fn opening(heart_beat: Option<HeartBeat>) -> [Vec<u8>; 2] {
    let silence = heart_beat.map_or(0, |it| it.silence.as_millis() as i64);
    let format = WireFormatInfo {
        version: MAX_VERSION,
        tcp_no_delay: true,
        max_inactivity: Some(silence),
        ..WireFormatInfo::default()
    };
    let connection_id = Some(connection());
    let info = ConnectionInfo { connection_id, manageable: true, ..ConnectionInfo::default() };
    [bytes([format.into()]), bytes([numbered(info, 2, true)])]
}

fn format(version: i32) -> Vec<u8> {
    bytes([WireFormatInfo { version, ..WireFormatInfo::default() }.into()])
}

async fn pair(heart_beat: Option<HeartBeat>) -> (Client, Server) {
    let (listener, address) = Server::listen().await;
    let serve = async {
        let mut server = Server::accept(&listener).await;
        let [format_info, connection_info] = opening(heart_beat);
        server.hears(&format_info).await;
        server.say(&format(MAX_VERSION)).await;
        server.hears(&connection_info).await;
        server.say(&bytes([BrokerInfo::default().into(), response(2)])).await;
        server
    };
    let (client, server) =
        tokio::join!(async { Client::connect(&address, &options(heart_beat)).await }, serve);
    (client.unwrap(), server)
}

/// What comes of connecting to a server that says this to the client's first command.
async fn connecting(says: Vec<u8>) -> Error {
    let (listener, address) = Server::listen().await;
    let serve = async {
        let mut server = Server::accept(&listener).await;
        server.say(&says).await;
        server
    };
    let options = options(None);
    let (connected, _server) = tokio::join!(Client::connect(&address, &options), serve);
    connected.err().expect("it is refused")
}

#[tokio::test]
async fn commands_go_out_in_order_with_their_numbers_whoever_writes_them() {
    let heart_beat = HeartBeat { every: PATIENCE, silence: PATIENCE };
    for heart_beat in [None, Some(heart_beat)] {
        let (mut client, mut server) = pair(heart_beat).await;
        client.send(SessionInfo::default());
        assert_eq!(client.ask(FlushCommand::default()), 4);
        let expected = bytes([
            numbered(SessionInfo::default(), 3, false),
            numbered(FlushCommand::default(), 4, true),
        ]);
        tokio::select! {
            biased;
            () = server.hears(&expected) => {}
            error = client.receive() => panic!("nothing was said: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_turns_clients_away_says_why() {
    let mut says = format(MAX_VERSION);
    let exception = exception("no room");
    says.extend(bytes([ConnectionError { exception, ..ConnectionError::default() }.into()]));
    assert_eq!(connecting(says).await.to_string(), "the server says: no room");

    let mut says = format(MAX_VERSION);
    says.extend(bytes([BrokerInfo::default().into(), refusal(2, "not you")]));
    let Error::Server(error) = connecting(says).await else { panic!("a refusal is wanted") };
    assert_eq!((error.class.as_str(), error.command), ("javax.jms.JMSException", Some(2)));

    let too_old = connecting(format(MIN_VERSION - 1)).await.to_string();
    assert_eq!(too_old, "the server sends an unexpected WireFormatInfo");
    assert!(matches!(connecting(b"HTTP/1.1 400\r\n".into()).await, Error::Malformed(_)));
}

#[tokio::test]
async fn an_older_server_is_spoken_to_in_its_version() {
    let (listener, address) = Server::listen().await;
    let serve = async {
        let mut server = Server::accept(&listener).await;
        server.say(&format(9)).await;
        let [format_info, connection_info] = opening(None);
        server.hears(&[format_info, connection_info].concat()).await;
        server.say(&bytes([response(2)])).await;
        server
    };
    let options = options(None);
    let (client, _server) = tokio::join!(Client::connect(&address, &options), serve);
    assert_eq!(client.unwrap().version, 9);
}

#[tokio::test]
async fn keep_alives_are_answered_where_that_is_wanted_and_seen_by_nobody() {
    let (mut client, mut server) = pair(None).await;
    let alive = |wanted| numbered(KeepAliveInfo::default(), 7, wanted);
    server.say(&bytes([alive(false), alive(true), response(9)])).await;
    assert_eq!(client.receive().await.unwrap(), response(9));
    let expected = bytes([numbered(KeepAliveInfo::default(), 3, false)]);
    tokio::select! {
        biased;
        () = server.hears(&expected) => {}
        error = client.receive() => panic!("nothing was said: {error:?}"),
    }
}

#[tokio::test]
async fn keep_alives_go_on_without_the_owner_until_it_falls_silent() {
    let every = Duration::from_millis(50);
    let (mut client, mut server) = pair(Some(HeartBeat { every, silence: PATIENCE })).await;
    let alive = bytes([KeepAliveInfo::default().into()]);
    for _ in 0..3 {
        server.hears(&alive).await;
    }
    client.send_bytes(b"half");
    client.fall_silent();
    client.send_bytes(b" a frame");
    // What was under way.
    for _ in 0..3 {
        server.hears_within(every * 4).await;
    }
    assert!(!server.hears_within(every * 4).await);
    assert!(server.read.ends_with(b"half"), "{:?}", server.read);
    // It still listens.
    server.say(&bytes([response(1)])).await;
    assert_eq!(client.receive().await.unwrap(), response(1));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    // Long enough to connect in.
    let silence = Duration::from_secs(1);
    let (mut client, _server) = pair(Some(HeartBeat { every: PATIENCE, silence })).await;
    let received = time::timeout(PATIENCE, client.receive()).await.expect("it gives up");
    assert!(matches!(received, Err(Error::Lost(Lost::Silent))));
}

#[tokio::test]
async fn leaving_heeds_what_crosses_it_no_more_and_an_error() {
    let object_id = Some(ObjectId::Connection(connection()));
    let last_delivered_sequence_id = UNKNOWN_SEQUENCE;
    let remove = RemoveInfo { object_id, last_delivered_sequence_id, ..RemoveInfo::default() };
    let remove = bytes([numbered(remove, 3, true)]);
    let shutdown = bytes([numbered(ShutdownInfo::default(), 4, false)]);

    let (mut client, mut server) = pair(None).await;
    let serve = async {
        server.hears(&remove).await;
        let crossing = MessageDispatch::default().into();
        server.say(&bytes([crossing, response(1), refusal(2, "late"), response(3)])).await;
        server.hears(&shutdown).await;
        drop(server);
    };
    let (left, ()) = tokio::join!(client.leave(), serve);
    left.unwrap();

    let (mut client, mut server) = pair(None).await;
    let serve = async {
        server.hears(&remove).await;
        server.say(&bytes([refusal(3, "no")])).await;
    };
    let (left, ()) = tokio::join!(client.leave(), serve);
    assert_eq!(left.unwrap_err().to_string(), "the server says: no");
}
