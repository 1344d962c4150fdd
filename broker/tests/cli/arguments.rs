//! Arguments that make no sense are refused, not replaced by others.

use crate::harness::run;

#[test]
fn of_nothing_there_is_no_pace_and_no_client() {
    for (command, flag) in [
        ("produce", "--rate"),
        ("produce", "--producers"),
        ("produce", "--destinations"),
        ("consume", "--consumers"),
        ("consume", "--prefetch"),
        ("consume", "--destinations"),
    ] {
        // An address at which nothing listens: the argument is refused before.
        let ended = run(&[command, "--address", "127.0.0.1:1", flag, "0"]);
        assert_eq!(ended.code, Some(2), "{command} {flag} 0: {ended:?}");
        assert!(ended.err.contains(flag), "{command} {flag} 0: {ended:?}");
        assert!(ended.err.contains("at least 1"), "{command} {flag} 0: {ended:?}");
    }
}
