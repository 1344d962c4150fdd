//! What an installation wants besides the program.

use crate::harness::run;

const COMMANDS: [&str; 7] =
    ["serve", "produce", "consume", "status", "route", "completions", "man"];

#[test]
fn every_shell_is_told_every_command_and_flag() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, Some(0), "{shell}: {ended:?}");
        for word in COMMANDS.iter().chain(&["data-dir", "prefetch", "window", "verify"]) {
            assert!(ended.out.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(run(&["completions", "command.com"]).code, Some(2));
}

#[test]
fn every_command_has_a_page_that_the_first_one_names() {
    let first = run(&["man"]);
    assert!(first.out.contains("\n.TH paceline 1 "), "{first:?}");
    for command in COMMANDS {
        assert!(first.out.contains(&format!("paceline\\-{command}(1)")), "{command}: {first:?}");
        let page = run(&["man", command]);
        assert_eq!(page.code, Some(0), "{command}: {page:?}");
        assert!(page.out.contains(&format!("\n.TH paceline-{command} 1 ")), "{page:?}");
        assert!(page.out.contains(&format!("\n\\fBpaceline {command}\\fR")), "{page:?}");
    }
    assert!(!first.out.contains("help(1)"), "there is no such page");
    let unknown = run(&["man", "help"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.err.contains("the commands are serve, produce"), "{unknown:?}");
}
