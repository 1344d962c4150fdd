//! What both sides of the seam must do alike: each test runs against tokio and the system, and
//! against the simulated world. Where they differ, the native side is right.
//!
//! Not here because loopback has no such faults: a connect that nobody answers, partitions, power
//! cuts and lost bytes. They are in `simulated.rs`.

mod harness;

use bytes::Bytes;
use harness::{SIMULATED, alone, pair};
use paceline_runtime::disk::{self, DirLock, File, OpenOptions};
use paceline_runtime::net::{TcpListener, TcpStream};
use paceline_runtime::time::{self, Duration, Instant, sleep, timeout};
use paceline_runtime::{random, task};
use rand::{Rng, RngExt};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Bytes that are not the same anywhere.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

mod net {
    use super::*;

    fn local(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    #[test]
    fn a_port_that_nobody_listens_on_refuses() {
        pair(
            |listener| async move { drop(listener) },
            |addr| async move {
                sleep(100 * MILLI).await;
                let error = TcpStream::connect(addr).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            },
        );
    }

    #[test]
    fn a_port_in_use_is_refused_and_free_again_when_dropped() {
        alone(|_| async {
            let first = TcpListener::bind(local(0)).await.unwrap();
            let addr = first.local_addr().unwrap();
            let error = TcpListener::bind(addr).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            drop(first);
            TcpListener::bind(addr).await.unwrap();
            let foreign = TcpListener::bind(SocketAddr::from(([203, 0, 113, 9], 4000))).await;
            assert_eq!(foreign.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        });
    }

    #[test]
    fn addresses_agree_on_both_sides() {
        pair(
            |listener| async move {
                let (mut stream, remote) = listener.accept().await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), remote);
                assert_eq!(stream.local_addr().unwrap(), listener.local_addr().unwrap());
                stream.write_all(remote.to_string().as_bytes()).await.unwrap();
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.set_nodelay(true).unwrap();
                assert_eq!(stream.peer_addr().unwrap(), addr);
                let mut seen = String::new();
                stream.read_to_string(&mut seen).await.unwrap();
                assert_eq!(seen, stream.local_addr().unwrap().to_string());
            },
        );
    }

    #[test]
    fn a_connection_stands_before_it_is_accepted() {
        pair(
            |listener| async move {
                sleep(200 * MILLI).await;
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, b"early");
            },
            |addr| async move {
                let connect = timeout(100 * MILLI, TcpStream::connect(addr));
                let mut stream = connect.await.expect("no accept is needed").unwrap();
                stream.write_all(b"early").await.unwrap();
                stream.shutdown().await.unwrap();
            },
        );
    }

    #[test]
    fn one_direction_can_be_closed_alone() {
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                assert_eq!(all, "question");
                sleep(20 * MILLI).await;
                stream.write_all(b"answer").await.unwrap();
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(b"question").await.unwrap();
                stream.shutdown().await.unwrap();
                let error = stream.write_all(b"more").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                assert_eq!(all, "answer");
            },
        );
    }

    #[test]
    fn dropping_the_half_that_writes_closes_that_direction() {
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                stream.write_all(all.to_uppercase().as_bytes()).await.unwrap();
            },
            |addr| async move {
                let (mut read, mut write) = TcpStream::connect(addr).await.unwrap().into_split();
                write.write_all(b"loud").await.unwrap();
                drop(write);
                let mut all = String::new();
                read.read_to_string(&mut all).await.unwrap();
                assert_eq!(all, "LOUD");
            },
        );
    }

    #[test]
    fn a_reader_that_does_not_read_stops_its_writer() {
        const TOTAL: usize = 64 << 20;
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                sleep(SECOND).await;
                let (mut seen, mut buf) = (0, vec![0; 1 << 20]);
                while let Ok(count @ 1..) = stream.read(&mut buf).await {
                    seen += count;
                }
                assert_eq!(seen, TOTAL);
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                let chunk = vec![7; 1 << 16];
                let mut written = 0;
                let blocked = loop {
                    match timeout(300 * MILLI, stream.write(&chunk)).await {
                        Ok(count) => written += count.unwrap(),
                        Err(_) => break true,
                    }
                    if written == TOTAL {
                        break false;
                    }
                };
                assert!(blocked, "{written} bytes were taken though nobody read");
                while written < TOTAL {
                    let next = chunk.len().min(TOTAL - written);
                    written += stream.write(&chunk[..next]).await.unwrap();
                }
            },
        );
    }

    #[test]
    fn closing_with_bytes_unread_resets_the_peer() {
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), b'x');
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(b"xy").await.unwrap();
                let error = stream.read_u8().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                // Told once; from then on the stream is merely over.
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
                let error = stream.write_all(b"z").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            },
        );
    }

    #[test]
    fn closing_without_lingering_resets_the_peer() {
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), b'x');
                stream.set_zero_linger().unwrap();
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(b"x").await.unwrap();
                let error = stream.read_u8().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            },
        );
    }

    #[test]
    fn writing_to_a_closed_peer_fails_in_the_end() {
        pair(
            |listener| async move { drop(listener.accept().await.unwrap()) },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
                // The first write goes out, and is answered by a reset.
                stream.write_all(b"anybody").await.unwrap();
                sleep(100 * MILLI).await;
                let error = stream.write_all(b"there").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            },
        );
    }

    #[test]
    fn what_was_written_before_closing_arrives() {
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                sleep(100 * MILLI).await;
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, pattern(100_000));
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(&pattern(100_000)).await.unwrap();
            },
        );
    }

    #[test]
    fn a_megabyte_each_way_arrives_in_order() {
        const TOTAL: usize = 1 << 20;
        pair(
            |listener| async move {
                let (mut read, mut write) = listener.accept().await.unwrap().0.into_split();
                let sent = task::spawn(async move { write.write_all(&pattern(TOTAL)).await });
                let mut all = Vec::new();
                read.read_to_end(&mut all).await.unwrap();
                assert!(all == pattern(TOTAL));
                sent.await.unwrap().unwrap();
            },
            |addr| async move {
                let (mut read, mut write) = TcpStream::connect(addr).await.unwrap().into_split();
                let sent = task::spawn(async move { write.write_all(&pattern(TOTAL)).await });
                let mut all = Vec::new();
                read.read_to_end(&mut all).await.unwrap();
                assert!(all == pattern(TOTAL));
                sent.await.unwrap().unwrap();
            },
        );
    }

    #[test]
    fn frames_are_whole_however_they_are_cut() {
        const FRAMES: u32 = 2_000;
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut held, mut next, mut partial) = (Vec::new(), 0, 0);
                while stream.read_buf(&mut held).await.unwrap() > 0 {
                    while held.len() >= 4 {
                        let len = u32::from_be_bytes(held[..4].try_into().unwrap()) as usize;
                        if held.len() < 4 + len {
                            break;
                        }
                        assert!(held[4..4 + len] == pattern(len), "frame {next}");
                        held.drain(..4 + len);
                        next += 1;
                    }
                    partial += usize::from(!held.is_empty());
                }
                assert_eq!((next, held.len()), (FRAMES, 0));
                assert!(!SIMULATED || partial > 100, "only {partial} reads ended inside a frame");
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                let mut rng = random::stream("frames");
                for _ in 0..FRAMES {
                    let len = rng.random_range(0..300);
                    let mut frame = (len as u32).to_be_bytes().to_vec();
                    frame.extend(pattern(len));
                    stream.write_all(&frame).await.unwrap();
                }
            },
        );
    }

    #[test]
    fn several_buffers_are_written_at_once() {
        pair(
            |listener| async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                assert_eq!(all, "one two three");
            },
            |addr| async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                assert!(stream.is_write_vectored());
                let bufs = ["one ", "two ", "three"].map(|s| std::io::IoSlice::new(s.as_bytes()));
                assert_eq!(stream.write_vectored(&bufs).await.unwrap(), 13);
            },
        );
    }

    #[test]
    fn localhost_resolves_and_nonsense_does_not() {
        alone(|_| async {
            let addr = paceline_runtime::net::resolve("127.0.0.1:80").await.unwrap();
            assert_eq!(addr, "127.0.0.1:80".parse().unwrap());
            let addr = paceline_runtime::net::resolve("localhost:80").await.unwrap();
            assert!(addr.ip().is_loopback());
            assert!(paceline_runtime::net::resolve("no port").await.is_err());
        });
    }
}

mod clocks {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_not_early() {
        alone(|_| async {
            let begin = Instant::now();
            let mut set = task::JoinSet::new();
            for wait in [30, 10, 20, 0] {
                set.spawn(async move {
                    sleep(wait * MILLI).await;
                    wait
                });
            }
            let mut order = Vec::new();
            while let Some(wait) = set.join_next().await {
                let wait = wait.unwrap();
                assert!(begin.elapsed() >= wait * MILLI);
                order.push(wait);
            }
            assert_eq!(order, [0, 10, 20, 30]);
        });
    }

    #[test]
    fn a_deadline_in_the_past_is_over_at_once() {
        alone(|_| async {
            let begin = Instant::now();
            sleep(5 * MILLI).await;
            let late = Instant::now();
            time::sleep_until(begin).await;
            assert!(late.elapsed() < 5 * MILLI);
            assert_eq!(begin.saturating_duration_since(late), Duration::ZERO);
        });
    }

    #[test]
    fn a_timeout_ends_what_takes_too_long_and_nothing_else() {
        alone(|_| async {
            assert_eq!(timeout(SECOND, async { 7 }).await.unwrap(), 7);
            let begin = Instant::now();
            let late = timeout(10 * MILLI, std::future::pending::<()>()).await;
            late.unwrap_err();
            assert!(begin.elapsed() >= 10 * MILLI && begin.elapsed() < SECOND);
            let deadline = Instant::now() + 10 * MILLI;
            time::timeout_at(deadline, std::future::pending::<()>()).await.unwrap_err();
            // What is ready wins even when the time is over.
            time::timeout_at(begin, async {}).await.unwrap();
        });
    }

    #[test]
    fn timeouts_that_are_dropped_leave_nothing_behind() {
        alone(|_| async {
            for _ in 0..10_000 {
                let pending = timeout(3600 * SECOND, task::yield_now());
                pending.await.unwrap();
            }
            let mut sleeping = Box::pin(sleep(3600 * SECOND));
            for _ in 0..100 {
                timeout(Duration::ZERO, &mut sleeping).await.unwrap_err();
            }
            #[cfg(madsim)]
            assert_eq!(time::waiting(), 1, "only the sleep that is still held");
        });
    }

    #[test]
    fn a_sleep_can_be_set_anew() {
        alone(|_| async {
            let begin = Instant::now();
            let mut sleeping = std::pin::pin!(sleep(3600 * SECOND));
            timeout(MILLI, &mut sleeping).await.unwrap_err();
            sleeping.as_mut().reset(begin + 20 * MILLI);
            sleeping.await;
            assert!(begin.elapsed() >= 20 * MILLI && begin.elapsed() < SECOND);
        });
    }

    #[test]
    fn a_late_tick_delays_the_next() {
        alone(|_| async {
            let mut ticks = time::interval(20 * MILLI);
            let begin = Instant::now();
            ticks.tick().await;
            assert!(begin.elapsed() < 15 * MILLI, "the first tick comes at once");
            sleep(70 * MILLI).await;
            ticks.tick().await;
            let late = Instant::now();
            ticks.tick().await;
            assert!(late.elapsed() >= 15 * MILLI, "the ticks that were missed are not made up for");
        });
    }

    #[test]
    fn the_wall_clock_goes_on() {
        alone(|_| async {
            let begin = time::wall_clock();
            sleep(50 * MILLI).await;
            let passed = time::wall_clock().0 - begin.0;
            assert!((45..1000).contains(&passed), "{passed} ms");
            assert!(begin.0 > 1_700_000_000_000, "a time of this century");
        });
    }
}

mod tasks {
    use super::*;

    #[test]
    fn handles_go_between_tasks() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<task::JoinHandle<u8>>();
        shared::<task::JoinSet<u8>>();
        shared::<task::JoinError>();
        shared::<time::Sleep>();
        shared::<time::Timeout<time::Sleep>>();
        shared::<time::Interval>();
        shared::<TcpListener>();
        shared::<TcpStream>();
        shared::<File>();
        shared::<DirLock>();
    }

    #[test]
    fn an_aborted_task_is_cancelled() {
        alone(|_| async {
            let waiting = task::spawn(std::future::pending::<()>());
            assert!(!waiting.is_finished());
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
            let done = task::spawn(async { 5 });
            assert_eq!(done.await.unwrap(), 5);
        });
    }

    #[test]
    fn a_set_reports_each_end_once_and_aborts_the_rest() {
        alone(|_| async {
            let (alive, mut gone) = tokio::sync::mpsc::channel::<()>(1);
            let mut set = task::JoinSet::new();
            set.spawn(async { 1 });
            let held = alive.clone();
            let abort = set.spawn(async move {
                let _held = held;
                std::future::pending().await
            });
            assert_eq!(set.len(), 2);
            assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
            abort.abort();
            assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
            assert!(set.join_next().await.is_none());
            set.spawn(async move {
                let _held = alive;
                std::future::pending().await
            });
            drop(set);
            let ended = timeout(SECOND, gone.recv()).await;
            assert!(ended.expect("all tasks are gone").is_none());
        });
    }

    #[test]
    fn streams_of_random_numbers_differ() {
        alone(|_| async {
            let draws = ["a", "b", "a"].map(|label| random::stream(label).next_u64());
            assert!(draws[0] != draws[1] && draws[0] != draws[2] && draws[1] != draws[2]);
        });
    }
}

mod files {
    use super::*;

    const NEW: OpenOptions =
        OpenOptions { read: true, write: true, create: true, create_new: false, truncate: false };
    const READ: OpenOptions =
        OpenOptions { read: true, write: false, create: false, create_new: false, truncate: false };

    #[test]
    fn what_was_written_is_read() {
        alone(|dir| async move {
            let file = File::open(dir.join("a"), &NEW).await.unwrap();
            assert!(file.is_empty().await.unwrap());
            file.write_all_at(Bytes::from_static(b"hello"), 3).await.unwrap();
            assert_eq!(file.len().await.unwrap(), 8);
            assert_eq!(file.read_at(0, 100).await.unwrap(), &b"\0\0\0hello"[..]);
            assert_eq!(file.read_at(4, 2).await.unwrap(), &b"el"[..]);
            assert_eq!(file.read_at(8, 2).await.unwrap().len(), 0);
            assert_eq!(file.read_at(1000, 2).await.unwrap().len(), 0);
            file.clone().write_all_at(Bytes::from_static(b"J"), 3).await.unwrap();
            file.sync_data().await.unwrap();
            file.sync_all().await.unwrap();
            disk::sync_dir(&dir).await.unwrap();
            let again = File::open(dir.join("a"), &READ).await.unwrap();
            assert_eq!(again.read_at(3, 5).await.unwrap(), &b"Jello"[..]);
            again.write_all_at(Bytes::from_static(b"x"), 0).await.unwrap_err();
        });
    }

    #[test]
    fn a_file_is_cut_and_extended_with_zeros() {
        alone(|dir| async move {
            let file = File::open(dir.join("a"), &NEW).await.unwrap();
            file.write_all_at(Bytes::from_static(b"abcdef"), 0).await.unwrap();
            file.set_len(2).await.unwrap();
            file.set_len(4).await.unwrap();
            assert_eq!(file.read_at(0, 9).await.unwrap(), &b"ab\0\0"[..]);
            let truncate = OpenOptions { truncate: true, ..NEW };
            let emptied = File::open(dir.join("a"), &truncate).await.unwrap();
            assert_eq!(emptied.len().await.unwrap(), 0);
            assert_eq!(file.len().await.unwrap(), 0);
        });
    }

    #[test]
    fn opening_says_what_is_wrong() {
        alone(|dir| async move {
            let missing = File::open(dir.join("missing"), &READ).await.unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
            let no_dir = File::open(dir.join("no/file"), &NEW).await.unwrap_err();
            assert_eq!(no_dir.kind(), ErrorKind::NotFound);
            File::open(dir.join("a"), &NEW).await.unwrap();
            let create_new = OpenOptions { create_new: true, ..NEW };
            let there = File::open(dir.join("a"), &create_new).await.unwrap_err();
            assert_eq!(there.kind(), ErrorKind::AlreadyExists);
            let create_only = OpenOptions { write: false, ..NEW };
            let useless = File::open(dir.join("b"), &create_only).await.unwrap_err();
            assert_eq!(useless.kind(), ErrorKind::InvalidInput);
        });
    }

    #[test]
    fn names_are_listed_renamed_and_removed() {
        alone(|dir| async move {
            disk::create_dir_all(dir.join("x/y")).await.unwrap();
            disk::create_dir_all(dir.join("x/y")).await.unwrap();
            for name in ["c", "a", "b"] {
                File::open(dir.join("x").join(name), &NEW).await.unwrap();
            }
            assert_eq!(disk::read_dir(dir.join("x")).await.unwrap(), ["a", "b", "c", "y"]);
            disk::remove_file(dir.join("x/a")).await.unwrap();
            assert!(!disk::exists(dir.join("x/a")).await.unwrap());
            let gone = disk::remove_file(dir.join("x/a")).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound);
            disk::rename(dir.join("x/b"), dir.join("x/d")).await.unwrap();
            assert_eq!(disk::read_dir(dir.join("x")).await.unwrap(), ["c", "d", "y"]);
            let gone = disk::read_dir(dir.join("none")).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound);
        });
    }

    #[test]
    fn an_open_file_keeps_its_bytes_whatever_becomes_of_its_name() {
        alone(|dir| async move {
            let old = File::open(dir.join("a"), &NEW).await.unwrap();
            old.write_all_at(Bytes::from_static(b"old"), 0).await.unwrap();
            disk::remove_file(dir.join("a")).await.unwrap();
            let new = File::open(dir.join("a"), &NEW).await.unwrap();
            assert_eq!(new.len().await.unwrap(), 0, "a new file under an old name is empty");
            assert_eq!(old.read_at(0, 3).await.unwrap(), &b"old"[..]);
            disk::rename(dir.join("a"), dir.join("b")).await.unwrap();
            new.write_all_at(Bytes::from_static(b"new"), 0).await.unwrap();
            new.sync_data().await.unwrap();
            let renamed = File::open(dir.join("b"), &READ).await.unwrap();
            assert_eq!(renamed.read_at(0, 9).await.unwrap(), &b"new"[..]);
        });
    }

    #[test]
    fn renaming_replaces_what_was_there() {
        alone(|dir| async move {
            for (name, content) in [("old", "1"), ("new", "2")] {
                let file = File::open(dir.join(name), &NEW).await.unwrap();
                file.write_all_at(Bytes::from_static(content.as_bytes()), 0).await.unwrap();
            }
            disk::rename(dir.join("new"), dir.join("old")).await.unwrap();
            assert_eq!(disk::read_dir(&dir).await.unwrap(), ["old"]);
            let file = File::open(dir.join("old"), &READ).await.unwrap();
            assert_eq!(file.read_at(0, 9).await.unwrap(), &b"2"[..]);
            let missing = disk::rename(dir.join("new"), dir.join("old")).await.unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
        });
    }

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        alone(|dir| async move {
            let lock = DirLock::acquire(&dir).await.unwrap();
            let taken = DirLock::acquire(&dir).await.unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::WouldBlock);
            drop(lock);
            let _lock = DirLock::acquire(&dir).await.unwrap();
            assert_eq!(disk::read_dir(&dir).await.unwrap(), ["lock"]);
            DirLock::acquire(dir.join("missing")).await.unwrap_err();
        });
    }
}
