//! What only a simulated world can show: determinism, partitions, crashes, power cuts, bad disks
//! and clocks.
#![cfg(madsim)]

use bytes::Bytes;
use paceline_runtime::disk::{self, DirLock, File, OpenOptions};
use paceline_runtime::net::{TcpListener, TcpStream, resolve};
use paceline_runtime::time::{Duration, Instant, sleep, timeout};
use paceline_runtime::world::{
    DiskConfig, DiskFault, Fingerprint, Latency, LinkConfig, NodeConfig, NodeId, World, WorldConfig,
};
use paceline_runtime::{cpu, random, shutdown, task, time, trace};
use rand::Rng;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Runs a scenario that must not crash.
fn world<F, Fut, T>(seed: u64, scenario: F) -> T
where
    F: FnOnce(World) -> Fut + Send,
    Fut: Future<Output = T>,
    T: Send,
{
    World::run(seed, WorldConfig::default(), scenario).unwrap_or_else(|crash| panic!("{crash}"))
}

/// A process that echoes what it reads on port 7, forever.
async fn echo() {
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 7))).await.unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        task::spawn(async move {
            let mut buf = vec![0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..count]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// A server that echoes and a client machine.
fn echo_pair(world: &World) -> (NodeId, NodeId) {
    let server = world.add_node(NodeConfig::new("server"));
    world.start(server, echo);
    (server, world.add_node(NodeConfig::new("client")))
}

async fn connect(name: &str) -> io::Result<TcpStream> {
    TcpStream::connect(resolve(&format!("{name}:7")).await?).await
}

async fn ask(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

mod determinism {
    use super::*;

    /// A bit of everything: traffic, disks, cores, random numbers, faults.
    fn busy(seed: u64) -> (Fingerprint, u64) {
        world(seed, |world| async move {
            let nodes = ["a", "b", "c"].map(|name| world.add_node(NodeConfig::new(name)));
            for node in nodes {
                world.start(node, || async {
                    task::spawn(echo());
                    disk::create_dir_all("/data").await.unwrap();
                    let mut rng = random::stream("work");
                    let log = File::open("/data/log", &NEW).await.unwrap();
                    for turn in 0u64.. {
                        sleep(Duration::from_micros(u64::from(rng.next_u32() % 5_000))).await;
                        cpu::charge(50 * Duration::from_micros(1)).await;
                        log.write_all_at(Bytes::from(vec![turn as u8; 100]), turn * 100)
                            .await
                            .unwrap();
                        if turn % 7 == 0 {
                            log.sync_data().await.unwrap();
                        }
                        trace::event!("turn", number = turn, draw = rng.next_u32());
                    }
                });
            }
            let client = world.add_node(NodeConfig::new("client"));
            for name in ["a", "b", "c"] {
                world.spawn_on(client, async move {
                    loop {
                        let Ok(Ok(mut stream)) = timeout(SECOND, connect(name)).await else {
                            sleep(50 * MILLI).await;
                            continue;
                        };
                        while let Ok(Ok(_)) = timeout(SECOND, ask(&mut stream, b"0123456789")).await
                        {
                        }
                    }
                });
            }
            sleep(500 * MILLI).await;
            let cut = world.partition(&nodes[..1], &nodes[1..]);
            world.crash(nodes[1]);
            sleep(500 * MILLI).await;
            world.restart(nodes[1]);
            cut.into_iter().for_each(|cut| world.heal(cut));
            world.power_cut(nodes[2]);
            sleep(300 * MILLI).await;
            world.restart(nodes[2]);
            sleep(2 * SECOND).await;
            (world.fingerprint(), world.logged_events())
        })
    }

    #[test]
    fn one_seed_one_fingerprint() {
        let (first, events) = busy(7);
        assert!(events > 5_000, "{events} events");
        assert_eq!((first, events), busy(7));
        assert_ne!(first, busy(8).0);
    }

    #[test]
    fn hash_maps_and_system_clocks_are_seeded_too() {
        let run = |seed| {
            world(seed, |_| async {
                let map: std::collections::HashMap<u32, u32> = (0..50).map(|i| (i, i)).collect();
                sleep(MILLI).await;
                (map.into_keys().collect::<Vec<_>>(), std::time::SystemTime::now())
            })
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn a_stream_depends_on_seed_node_incarnation_and_label_alone() {
        let draw = |seed, disturb: bool| {
            world(seed, move |world| async move {
                let drawn = Arc::new(Mutex::new(Vec::new()));
                for name in ["a", "b"] {
                    let node = world.add_node(NodeConfig::new(name));
                    let drawn = drawn.clone();
                    world.start(node, move || {
                        let drawn = drawn.clone();
                        async move {
                            if disturb {
                                random::stream("other").next_u64();
                            }
                            let draw = random::stream("label").next_u64();
                            drawn.lock().unwrap().push((name, draw));
                        }
                    });
                    sleep(MILLI).await;
                    world.restart(node);
                    sleep(100 * MILLI).await;
                }
                drawn.lock().unwrap().clone()
            })
        };
        let first = draw(1, false);
        assert_eq!(first.len(), 4);
        assert_eq!(first, draw(1, true));
        let all: std::collections::BTreeSet<u64> =
            first.iter().chain(&draw(2, false)).map(|(_, draw)| *draw).collect();
        assert_eq!(all.len(), 8);
    }
}

mod network {
    use super::*;

    #[test]
    fn a_connect_that_nobody_answers_times_out() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            world.block(&[client], &[server]);
            let begin = world.now();
            let error = world.spawn_on(client, connect("server")).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let waited = world.now() - begin;
            assert!((15 * SECOND..30 * SECOND).contains(&waited), "{waited:?}");
            let nowhere = TcpStream::connect(SocketAddr::from(([203, 0, 113, 1], 7)));
            let error = world.spawn_on(client, nowhere).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_connect_is_answered_when_a_short_partition_is_over() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            let cut = world.partition(&[client], &[server]);
            let connecting = world.spawn_on(client, connect("server"));
            sleep(2 * SECOND).await;
            cut.into_iter().for_each(|cut| world.heal(cut));
            connecting.await.unwrap().unwrap();
            assert!(world.now() < 4 * SECOND, "{:?}", world.now());
        });
    }

    #[test]
    fn a_partition_delays_and_does_not_reset() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            let stream = world.spawn_on(client, connect("server")).await.unwrap();
            let mut stream = stream.unwrap();
            let cut = world.partition(&[client], &[server]);
            let asking = world.spawn_on(client, async move {
                let answer = ask(&mut stream, b"through?").await;
                (answer, time::Instant::now())
            });
            sleep(5 * SECOND).await;
            assert!(!asking.is_finished());
            cut.into_iter().for_each(|cut| world.heal(cut));
            let healed = world.now();
            let (answer, _) = asking.await.unwrap();
            assert_eq!(answer.unwrap(), b"through?");
            // It comes with the next retransmission, which may be as far off as the partition was
            // long, and no further.
            let waited = world.now() - healed;
            assert!(waited < 6 * SECOND, "{waited:?}");
        });
    }

    #[test]
    fn bytes_that_nobody_acknowledges_break_the_connection() {
        // Either way being blocked is enough; the other side learns of it only when it sends.
        for one_way in [true, false] {
            world(1, |world| async move {
                let (server, client) = echo_pair(&world);
                let mut stream = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
                sleep(10 * MILLI).await;
                if one_way {
                    world.block(&[server], &[client]);
                } else {
                    world.block(&[client], &[server]);
                }
                let begin = world.now();
                let asked = world.spawn_on(client, async move { ask(&mut stream, b"?").await });
                let error = asked.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                let waited = world.now() - begin;
                assert!((15 * SECOND..31 * SECOND).contains(&waited), "{waited:?}");
            });
        }
    }

    #[test]
    fn a_one_way_partition_lets_the_other_way_through() {
        world(1, |world| async move {
            let server = world.add_node(NodeConfig::new("server"));
            let client = world.add_node(NodeConfig::new("client"));
            let seen = Arc::new(Mutex::new(Vec::new()));
            let sink = seen.clone();
            world.spawn_on(server, async move {
                let listener =
                    TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 7))).await.unwrap();
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buf = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut buf).await {
                    sink.lock().unwrap().extend_from_slice(&buf[..count]);
                }
            });
            sleep(MILLI).await;
            let mut stream = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            world.block(&[server], &[client]);
            world.spawn_on(client, async move {
                stream.write_all(b"heard").await.unwrap();
                sleep(SECOND).await;
            });
            sleep(100 * MILLI).await;
            assert_eq!(*seen.lock().unwrap(), b"heard");
        });
    }

    #[test]
    fn links_have_latency_bandwidth_and_loss() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            let link = LinkConfig {
                latency: Latency::constant(50 * MILLI),
                bandwidth: Some(1_000_000),
                loss: 0.0,
            };
            world.set_link(client, server, Some(link.clone()));
            let begin = world.now();
            let stream = world.spawn_on(client, connect("server")).await.unwrap();
            let mut stream = stream.unwrap();
            let took = world.now() - begin;
            assert!((50 * MILLI..60 * MILLI).contains(&took), "one slow way: {took:?}");
            let megabyte = world.spawn_on(client, async move {
                let (mut read, mut write) = stream.into_split();
                let sent = task::spawn(async move { write.write_all(&vec![1; 1 << 20]).await });
                let mut all = Vec::new();
                read.read_to_end(&mut all).await.unwrap();
                sent.await.unwrap().unwrap();
                stream = connect("server").await.unwrap();
                stream
            });
            let begin = world.now();
            let mut stream = megabyte.await.unwrap();
            let took = world.now() - begin;
            assert!((1_050 * MILLI..1_400 * MILLI).contains(&took), "1 MiB at 1 MB/s: {took:?}");

            // One byte per round trip: what is lost waits for the retransmission timer.
            world.set_link(client, server, Some(LinkConfig { loss: 0.1, ..link }));
            let asking = world.spawn_on(client, async move {
                let mut slow = 0;
                for _ in 0..300 {
                    let begin = Instant::now();
                    ask(&mut stream, b"x").await.unwrap();
                    slow += u32::from(begin.elapsed() > 200 * MILLI);
                }
                slow
            });
            let slow = asking.await.unwrap();
            assert!((15..50).contains(&slow), "{slow} of 300 at 10 % loss");
        });
    }

    #[test]
    fn a_crash_closes_connections_and_frees_the_port() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            let mut stream = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            sleep(10 * MILLI).await;
            let talking = world.spawn_on(client, async move {
                loop {
                    if let Err(error) = ask(&mut stream, &[5; 500]).await {
                        return error;
                    }
                }
            });
            sleep(10 * MILLI).await;
            world.crash(server);
            let crashed = world.now();
            let error = talking.await.unwrap();
            let kinds =
                [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            assert!(world.now() - crashed < 50 * MILLI, "told at once");
            let error = world.spawn_on(client, connect("server")).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            world.restart(server);
            sleep(100 * MILLI).await;
            world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            assert_eq!(world.stats(server).starts, 2);
        });
    }

    #[test]
    fn a_crash_with_bytes_unread_resets() {
        world(1, |world| async move {
            let server = world.add_node(NodeConfig::new("server"));
            world.start(server, || async {
                let listener =
                    TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 7))).await.unwrap();
                let _held = listener.accept().await;
                std::future::pending().await
            });
            let client = world.add_node(NodeConfig::new("client"));
            let mut stream = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            let reading = world.spawn_on(client, async move {
                stream.write_all(b"unread").await.unwrap();
                stream.read_u8().await.unwrap_err()
            });
            sleep(10 * MILLI).await;
            world.crash(server);
            assert_eq!(reading.await.unwrap().kind(), ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn a_power_cut_leaves_connections_half_open() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            let mut reader = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            let mut writer = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            let mut second = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
            sleep(10 * MILLI).await;
            world.power_cut(server);
            let cut = world.now();
            let reading = world.spawn_on(client, async move { reader.read_u8().await });
            let writing = world.spawn_on(client, async move { ask(&mut writer, b"?").await });
            let error = writing.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(world.now() - cut >= 15 * SECOND);
            sleep(3600 * SECOND).await;
            assert!(!reading.is_finished(), "who only reads never learns of it");

            // Once the machine is back it knows no such connection.
            world.restart(server);
            sleep(SECOND).await;
            let asked = world.spawn_on(client, async move { ask(&mut second, b"?").await });
            let error = asked.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn a_writer_without_room_learns_that_its_reader_is_gone() {
        for power_cut in [true, false] {
            world(1, |world| async move {
                let server = world.add_node(NodeConfig::new("server"));
                world.start(server, || async {
                    let listener =
                        TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 7))).await.unwrap();
                    let _held = listener.accept().await;
                    std::future::pending().await
                });
                let client = world.add_node(NodeConfig::new("client"));
                let mut stream = world.spawn_on(client, connect("server")).await.unwrap().unwrap();
                let writing = world.spawn_on(client, async move {
                    stream.write_all(&vec![0; 4 << 20]).await.unwrap_err()
                });
                sleep(SECOND).await;
                assert!(!writing.is_finished());
                if power_cut {
                    world.power_cut(server)
                } else {
                    world.crash(server)
                }
                let error = timeout(60 * SECOND, writing).await.expect("learns of it").unwrap();
                let expected =
                    if power_cut { ErrorKind::TimedOut } else { ErrorKind::ConnectionReset };
                assert_eq!(error.kind(), expected);
            });
        }
    }

    #[test]
    fn a_paused_node_accepts_connections_and_answers_later() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            sleep(MILLI).await;
            world.pause(server);
            let asking = world.spawn_on(client, async {
                let mut stream = timeout(100 * MILLI, connect("server")).await.unwrap().unwrap();
                ask(&mut stream, b"awake?").await.unwrap();
            });
            sleep(5 * SECOND).await;
            assert!(!asking.is_finished());
            world.resume(server);
            timeout(100 * MILLI, asking).await.unwrap().unwrap();
            world.pause(server);
            world.crash(server);
            world.restart(server);
            sleep(100 * MILLI).await;
            world.spawn_on(client, connect("server")).await.unwrap().unwrap();
        });
    }

    #[test]
    fn a_read_may_return_a_part_of_what_is_there() {
        world(1, |world| async move {
            let (_, client) = echo_pair(&world);
            let reading = world.spawn_on(client, async {
                let mut stream = connect("server").await.unwrap();
                let mut firsts = std::collections::BTreeSet::new();
                for _ in 0..200 {
                    stream.write_all(&[1; 20]).await.unwrap();
                    let (mut buf, mut seen) = ([0; 100], 0);
                    while seen < 20 {
                        let count = stream.read(&mut buf).await.unwrap();
                        firsts.insert(count);
                        seen += count;
                    }
                }
                firsts
            });
            let lengths = reading.await.unwrap();
            assert_eq!(lengths, (1..=20).collect(), "cut anywhere, and often not at all");
        });
    }

    #[test]
    fn nothing_is_left_of_closed_connections() {
        world(1, |world| async move {
            let (server, client) = echo_pair(&world);
            let churn = world.spawn_on(client, async {
                for turn in 0..500 {
                    let mut stream = connect("server").await.unwrap();
                    ask(&mut stream, b"x").await.unwrap();
                    if turn % 3 == 0 {
                        stream.set_zero_linger().unwrap();
                    }
                }
                let refused = TcpStream::connect(resolve("server:9").await.unwrap()).await;
                refused.unwrap_err();
                timeout(Duration::ZERO, connect("server")).await.unwrap_err();
            });
            churn.await.unwrap();
            sleep(SECOND).await;
            assert_eq!(world.open_sockets(), 0);
            let (sent, received) = (world.stats(client).traffic, world.stats(server).traffic);
            assert_eq!((sent.bytes_out, received.bytes_in), (500, 500));
        });
    }
}

const NEW: OpenOptions =
    OpenOptions { read: true, write: true, create: true, create_new: false, truncate: false };

mod disks {
    use super::*;

    /// Writes two blocks, of which the first is synced, and returns what is there after `fault`.
    fn survives(seed: u64, fault: fn(&World, NodeId)) -> Option<Vec<u8>> {
        world(seed, |world| async move {
            let node = world.add_node(NodeConfig::new("node"));
            let write = world.spawn_on(node, async {
                disk::create_dir_all("/data").await.unwrap();
                disk::sync_dir("/").await.unwrap();
                let file = File::open("/data/log", &NEW).await.unwrap();
                file.write_all_at(Bytes::from(vec![1; 2048]), 0).await.unwrap();
                file.sync_data().await.unwrap();
                disk::sync_dir("/data").await.unwrap();
                file.write_all_at(Bytes::from(vec![2; 2048]), 2048).await.unwrap();
                let loose = File::open("/data/loose", &NEW).await.unwrap();
                loose.sync_data().await.unwrap();
            });
            write.await.unwrap();
            fault(&world, node);
            world.restart(node);
            sleep(SECOND).await;
            let read = world.spawn_on(node, async {
                let file = File::open("/data/log", &NEW).await.unwrap();
                let all = file.read_at(0, 1 << 20).await.unwrap().to_vec();
                disk::exists("/data/loose").await.unwrap().then_some(all)
            });
            read.await.unwrap()
        })
    }

    #[test]
    fn a_killed_process_loses_nothing_it_wrote() {
        for seed in 0..20 {
            let found = survives(seed, |world, node| world.crash(node)).unwrap();
            assert_eq!(found, [[1; 2048], [2; 2048]].concat());
        }
    }

    #[test]
    fn a_power_cut_loses_what_was_not_synced_and_nothing_else() {
        let (mut lost, mut whole, mut torn, mut names) = (0, 0, 0, 0);
        for seed in 0..100 {
            let found = survives(seed, |world, node| world.power_cut(node));
            names += u32::from(found.is_some());
            let Some(found) = found else { continue };
            assert_eq!(found[..2048], [1; 2048], "what was synced stays");
            match found[2048..].iter().filter(|byte| **byte == 2).count() {
                0 => lost += 1,
                2048 => whole += 1,
                part => {
                    assert_eq!(part % 512, 0, "a block is written or not");
                    torn += 1;
                }
            }
        }
        assert!(lost > 5 && whole > 5 && torn > 5, "lost {lost}, whole {whole}, torn {torn}");
        assert!((20..80).contains(&names), "{names} of 100 names that were not synced");
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let mut lost = 0;
        for seed in 0..30 {
            lost += world(seed, |world| async move {
                let node = world.add_node(NodeConfig::new("node"));
                let run = world.spawn_on(node, async {
                    let file = File::open("/log", &NEW).await.unwrap();
                    disk::sync_dir("/").await.unwrap();
                    file.write_all_at(Bytes::from(vec![1; 512]), 0).await.unwrap();
                    let syncing = file.clone();
                    let sync = task::spawn(async move { syncing.sync_data().await });
                    sleep(50 * Duration::from_micros(1)).await;
                    file.write_all_at(Bytes::from(vec![2; 512]), 512).await.unwrap();
                    sync.await.unwrap().unwrap();
                });
                run.await.unwrap();
                world.power_cut(node);
                world.restart(node);
                sleep(SECOND).await;
                let read = world.spawn_on(node, async {
                    File::open("/log", &NEW).await.unwrap().read_at(0, 2048).await.unwrap()
                });
                let found = read.await.unwrap();
                assert_eq!(found[..512], [1; 512]);
                u32::from(found.len() < 1024)
            });
        }
        assert!(lost > 5, "what was written during a sync was never lost");
    }

    #[test]
    fn bad_disks_fail_as_they_are_told_to() {
        world(1, |world| async move {
            let config = DiskConfig { capacity: Some(4096), ..DiskConfig::default() };
            let node = world.add_node(NodeConfig::new("node").disk(config));
            let file = world.spawn_on(node, async { File::open("/log", &NEW).await.unwrap() });
            let file = file.await.unwrap();
            let write = |len, offset| {
                let file = file.clone();
                let bytes = Bytes::from(vec![3; len]);
                world.spawn_on(node, async move { file.write_all_at(bytes, offset).await })
            };
            let error = write(5000, 0).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            write(4096, 0).await.unwrap().unwrap();
            world.set_disk_fault(node, DiskFault { full: true, ..DiskFault::default() });
            write(100, 0).await.unwrap().unwrap();
            let error = write(100, 4096).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);

            let sync = || {
                let file = file.clone();
                world.spawn_on(node, async move { file.sync_data().await })
            };
            world.set_disk_fault(node, DiskFault { failing_syncs: 1.0, ..DiskFault::default() });
            assert_eq!(sync().await.unwrap().unwrap_err().raw_os_error(), Some(5));
            world.set_disk_fault(node, DiskFault { slowness: 1000.0, ..DiskFault::default() });
            let begin = world.now();
            sync().await.unwrap().unwrap();
            assert!(world.now() - begin > 100 * MILLI);

            world.set_disk_fault(node, DiskFault { corrupt_reads: 1.0, ..DiskFault::default() });
            let read = || {
                let file = file.clone();
                world.spawn_on(node, async move { file.read_at(0, 100).await })
            };
            let wrong = read().await.unwrap().unwrap();
            assert_eq!(wrong.iter().filter(|byte| **byte != 3).count(), 1);
            world.set_disk_fault(node, DiskFault { failing_reads: 1.0, ..DiskFault::default() });
            read().await.unwrap().unwrap_err();
            world.set_disk_fault(node, DiskFault::default());
            assert!(world.damage_file(node, "/log", 7, 0xff));
            assert_eq!(read().await.unwrap().unwrap()[7], 3 ^ 0xff);
            assert!(!world.damage_file(node, "/log", 1 << 20, 1));
        });
    }

    #[test]
    fn short_writes_are_not_waited_for_and_take_their_time_all_the_same() {
        world(1, |world| async move {
            let micros = Duration::from_micros;
            let (write, sync) = (Latency::constant(micros(10)), Latency::constant(micros(100)));
            let config = DiskConfig { write, sync, ..DiskConfig::default() };
            let node = world.add_node(NodeConfig::new("node").disk(config));
            let work = || {
                world.spawn_on(node, async {
                    let file = File::open("/log", &NEW).await.unwrap();
                    let begin = Instant::now();
                    for at in 0..100 {
                        file.write_all_at(Bytes::from_static(b"x"), at).await.unwrap();
                    }
                    let written = begin.elapsed();
                    file.sync_data().await.unwrap();
                    (written, begin.elapsed())
                })
            };
            let (written, synced) = work().await.unwrap();
            assert!(written < micros(10), "{written:?}");
            assert!((micros(1_100)..micros(1_110)).contains(&synced), "{synced:?}");
            // What takes long is waited for.
            world.set_disk_fault(node, DiskFault { slowness: 10.0, ..DiskFault::default() });
            let (written, synced) = work().await.unwrap();
            assert!(written >= micros(10_000), "{written:?}");
            assert!((micros(11_000)..micros(11_100)).contains(&synced), "{synced:?}");
        });
    }

    #[test]
    fn the_writes_of_a_file_are_known_and_can_be_lost() {
        world(1, |world| async move {
            let node = world.add_node(NodeConfig::new("node"));
            let file = world.spawn_on(node, async {
                let file = File::open("/log", &NEW).await.unwrap();
                disk::sync_dir("/").await.unwrap();
                file.write_all_at(Bytes::from_static(b"one"), 0).await.unwrap();
                file.write_all_at(Bytes::from_static(b"two"), 3).await.unwrap();
                file.write_all_at(Bytes::from_static(b"ONE"), 0).await.unwrap();
                file.write_all_at(Bytes::from_static(b"three"), 6).await.unwrap();
                file.sync_data().await.unwrap();
                file
            });
            let file = file.await.unwrap();
            assert_eq!(world.appends(node, "/log"), [0..3, 3..6, 6..11]);
            assert_eq!(world.peek_file(node, "/log", 3..100), Bytes::from_static(b"twothree"));
            world.spoil_file(node, "/log", 8, b"\0\0\0\0\0\0");
            let cut = file.clone();
            world.spawn_on(node, async move { cut.set_len(10).await.unwrap() }).await.unwrap();
            assert_eq!(world.appends(node, "/log"), [0..3, 3..6]);
            // On the disk too, not only in the cache.
            world.power_cut(node);
            let found = world.peek_file(node, "/log", 0..10);
            assert_eq!(found, Bytes::from_static(b"ONEtwoth\0\0"));
        });
    }

    #[test]
    fn a_failed_sync_cannot_be_made_good_by_another() {
        let kept = (0..20).filter(|seed| {
            world(*seed, |world| async move {
                let node = world.add_node(NodeConfig::new("node"));
                let file = world.spawn_on(node, async {
                    let file = File::open("/log", &NEW).await.unwrap();
                    disk::sync_dir("/").await.unwrap();
                    file.write_all_at(Bytes::from_static(b"gone"), 0).await.unwrap();
                    file
                });
                let file = file.await.unwrap();
                world.set_disk_fault(node, DiskFault { failing_syncs: 1.0, ..Default::default() });
                let first = file.clone();
                world
                    .spawn_on(node, async move { first.sync_data().await.unwrap_err() })
                    .await
                    .unwrap();
                world.set_disk_fault(node, DiskFault::default());
                world.spawn_on(node, async move { file.sync_data().await.unwrap() }).await.unwrap();
                world.power_cut(node);
                world.restart(node);
                sleep(SECOND).await;
                let read = world.spawn_on(node, async {
                    File::open("/log", &NEW).await.unwrap().len().await.unwrap()
                });
                read.await.unwrap() > 0
            })
        });
        assert_eq!(kept.count(), 0);
    }

    #[test]
    fn a_lock_goes_with_its_process() {
        world(1, |world| async move {
            let node = world.add_node(NodeConfig::new("node"));
            world.start(node, || async {
                disk::create_dir_all("/data").await.unwrap();
                let _lock = DirLock::acquire("/data").await.unwrap();
                std::future::pending().await
            });
            sleep(10 * MILLI).await;
            let taken = world.spawn_on(node, DirLock::acquire("/data")).await.unwrap();
            assert_eq!(taken.unwrap_err().kind(), ErrorKind::WouldBlock);
            world.crash(node);
            world.restart(node);
            sleep(SECOND).await;
            assert!(world.is_up(node), "the new process has taken the lock");
        });
    }
}

mod machines {
    use super::*;

    #[test]
    fn work_waits_for_a_free_core() {
        world(1, |world| async move {
            let node = world.add_node(NodeConfig::new("node").cores(2));
            let work = world.spawn_on(node, async {
                let begin = Instant::now();
                let mut set = task::JoinSet::new();
                for _ in 0..4 {
                    set.spawn(cpu::charge(10 * MILLI));
                }
                while set.join_next().await.is_some() {}
                begin.elapsed()
            });
            let took = work.await.unwrap();
            assert!((20 * MILLI..21 * MILLI).contains(&took), "{took:?}");
            // Many small pieces of work take their time too.
            let begin = world.now();
            let small = world.spawn_on(node, async {
                for _ in 0..10_000 {
                    cpu::charge(Duration::from_micros(2)).await;
                }
            });
            small.await.unwrap();
            let took = world.now() - begin;
            assert!(
                (9 * MILLI..12 * MILLI).contains(&took),
                "both cores take their share: {took:?}"
            );
            assert_eq!(world.stats(node).cpu_busy, 60 * MILLI);
        });
    }

    #[test]
    fn clocks_are_wrong_as_they_are_told_to_be() {
        world(1, |world| async move {
            let node = world.add_node(NodeConfig::new("node").clock(-500, 100_000.0));
            let read = || world.spawn_on(node, async { time::wall_clock().0 as i64 });
            let off = async || read().await.unwrap() - world.wall_clock().0 as i64;
            assert_eq!(off().await, -500);
            sleep(10 * SECOND).await;
            assert!((499..=501).contains(&off().await), "a tenth too fast");
            world.jump_clock(node, -3_000);
            world.set_clock_drift(node, 0.0);
            sleep(10 * SECOND).await;
            assert!((-2501..=-2499).contains(&off().await));
        });
    }

    #[test]
    fn a_process_is_asked_to_stop_and_its_end_is_seen() {
        world(1, |world| async move {
            let node = world.add_node(NodeConfig::new("node"));
            world.start(node, || async {
                task::spawn(async {
                    loop {
                        sleep(MILLI).await;
                        trace::event!("alive");
                    }
                });
                shutdown::requested().await;
                sleep(10 * MILLI).await;
                shutdown::requested().await;
            });
            sleep(SECOND).await;
            assert!(world.is_up(node));
            world.request_shutdown(node);
            world.ended(node).await;
            assert!(!world.is_up(node));
            let ended = world.logged_events();
            sleep(SECOND).await;
            assert_eq!(world.logged_events(), ended, "all its tasks are gone");
            world.restart(node);
            sleep(SECOND).await;
            assert!(world.is_up(node), "the wish to stop was not for the next process");
        });
    }

    #[test]
    fn listeners_hear_events_with_node_and_incarnation() {
        let heard = world(1, |world| async move {
            let heard = Arc::new(Mutex::new(Vec::new()));
            let log = heard.clone();
            world.subscribe(move |event| log.lock().unwrap().push(event.to_string()));
            let node = world.add_node(NodeConfig::new("n1"));
            world.start(node, || async {
                struct Last;
                impl Drop for Last {
                    fn drop(&mut self) {
                        trace::event!("last words");
                    }
                }
                let _last = Last;
                trace::event!("apply", shard = 3u32, index = 9u64, late = false, name = "x");
                std::future::pending().await
            });
            sleep(SECOND).await;
            world.crash(node);
            world.restart(node);
            sleep(SECOND).await;
            heard.lock().unwrap().clone()
        });
        let kinds: Vec<&str> = heard.iter().map(|event| event.split_once(' ').unwrap().1).collect();
        assert_eq!(
            kinds,
            [
                "n1#1 node_start",
                "n1#1 apply shard=3 index=9 late=false name=x",
                "n1#1 node_crash",
                "n1#2 node_start",
                "n1#2 apply shard=3 index=9 late=false name=x",
            ],
            "a killed process has no last words"
        );
    }

    #[test]
    fn what_a_killed_process_starts_as_it_dies_never_runs() {
        struct Last(Arc<Mutex<u32>>);
        impl Drop for Last {
            fn drop(&mut self) {
                *self.0.lock().unwrap() += 1;
                let ran = self.0.clone();
                task::spawn(async move { *ran.lock().unwrap() += 10 });
            }
        }
        let ran = world(1, |world| async move {
            let ran = Arc::new(Mutex::new(0));
            let node = world.add_node(NodeConfig::new("node"));
            let last = ran.clone();
            world.start(node, move || {
                let last = Last(last.clone());
                async move {
                    std::future::pending::<()>().await;
                    drop(last);
                }
            });
            sleep(MILLI).await;
            world.crash(node);
            sleep(SECOND).await;
            *ran.lock().unwrap()
        });
        assert_eq!(ran, 1, "its destructors run, and nothing else");
    }

    #[test]
    fn a_panic_is_the_end_of_the_run() {
        let crash = World::run(1, WorldConfig::default(), |world| async move {
            let node = world.add_node(NodeConfig::new("n1"));
            world.start(node, || async {
                sleep(SECOND).await;
                task::spawn(async { panic!("index {} is gone", 7) }).await.unwrap();
            });
            sleep(60 * SECOND).await;
        });
        let crash = crash.unwrap_err();
        assert_eq!((&*crash.message, &*crash.node), ("index 7 is gone", "n1"));
        assert!((SECOND..2 * SECOND).contains(&crash.at));
        assert!(crash.location.contains("simulated.rs"), "{crash}");
    }

    #[test]
    fn a_world_in_which_nothing_can_happen_is_a_crash() {
        let stuck = World::run(1, WorldConfig::default(), |_| std::future::pending::<()>());
        assert!(stuck.unwrap_err().message.contains("block forever"));
        let config = WorldConfig { time_limit: Some(SECOND), ..WorldConfig::default() };
        let slow = World::run(1, config, |_| sleep(60 * SECOND));
        assert!(slow.unwrap_err().message.contains("time limit"));
    }
}
