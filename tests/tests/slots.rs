//! The formula of docs/slots.md, and the programs there, against the broker's own slots.
//!
//! `cargo suite` runs the programs; they need python3 and a JDK.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use paceline_core::slotting::slot_name_of;
use paceline_placement::{HashFunction, NameHasher, SlotCount};

const DOCUMENT: &str = include_str!("../../docs/slots.md");

/// Names whose slots tell one reading of the formula from another: shorter and longer than the
/// salt, longer than a block of the hash functions, not ASCII, dead-letter queues, and queues of virtual
/// topics.
fn names() -> Vec<String> {
    let plain = ["a", "orders", "orders.eu.created", "Bestellungen-Köln", "注文", "🐇 and 🥕"];
    let dead = ["DLQ.orders", "DLQ.", "DLQ.DLQ.orders", "dlq.orders", "orders.DLQ.x"];
    let shared = [
        "Consumer.a.VirtualTopic.b.c",
        "DLQ.Consumer.ä.VirtualTopic.b",
        "Consumer.a.b.VirtualTopic.c",
        "Consumer.a.VirtualTopic.",
        "VirtualTopic.b",
    ];
    let all = plain.iter().chain(&dead).chain(&shared);
    let mut names: Vec<String> = all.map(|name| name.to_string()).collect();
    names.push("long.".repeat(60));
    names
}

const SALTS: [&str; 4] = ["", "s", "paceline", "Salz für jeden Namen, der kürzer ist"];

/// A power of two and numbers that are none.
const SLOTS: [u64; 3] = [64, 100, 65_521];

/// The slot that a broker with these settings gives a name.
fn slot(hash: HashFunction, name: &str, salt: &str, slots: u64) -> u32 {
    let key = NameHasher::new(hash, salt).key(slot_name_of(name).as_bytes());
    SlotCount::new(slots, 1).expect("a possible number of slots").slot(key).0
}

/// The document's program in a language.
fn program(language: &str) -> Result<&'static str> {
    let fence = format!("```{language}\n");
    let (_, rest) = DOCUMENT.split_once(&fence).context("docs/slots.md has no such program")?;
    let (program, _) = rest.split_once("```").context("a program in docs/slots.md has no end")?;
    Ok(program)
}

/// Runs a program for every name, salt and number of slots under each hash function, given with how
/// the program calls it. `placeholder` is what the program calls MD5.
fn agrees(
    command: &str,
    file: &str,
    program: &str,
    placeholder: &str,
    hashes: &[(HashFunction, &str)],
) -> Result<()> {
    ensure!(program.matches(placeholder).count() == 1, "`{placeholder}` is not there once");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(file);
    for (hash, called) in hashes {
        fs::write(&path, program.replace(placeholder, called))?;
        for (number, name) in names().iter().enumerate() {
            // Every salt meets every number of slots, without the hundreds of processes that all
            // combinations would take.
            let salt = SALTS[number % SALTS.len()];
            let slots = SLOTS[number % SLOTS.len()];
            let mut run = Command::new(command);
            // Java takes its arguments to be in the locale's encoding.
            run.env("LC_ALL", "C.UTF-8").arg(&path).args([name, salt, &slots.to_string()]);
            let output = run.output().with_context(|| format!("cannot start {command}"))?;
            let complaint = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{command} {file}: {}: {complaint}", output.status);
            let expected = slot(*hash, name, salt, slots).to_string();
            let got = String::from_utf8(output.stdout)?;
            ensure!(
                got.trim() == expected,
                "{command}: {hash}, name {name:?}, salt {salt:?}, {slots} slots: \
                 it prints {}, the broker has {expected}",
                got.trim()
            );
        }
    }
    Ok(())
}

#[test]
fn the_example_of_the_document_has_the_slot_it_says() {
    let slot = slot(HashFunction::Md5, "orders", "paceline", 64);
    assert!(DOCUMENT.contains(&format!("the name `orders` has slot {slot}.")), "it is {slot}");
}

#[test]
#[ignore = "needs python3; run by cargo suite"]
fn the_program_in_python_agrees_with_the_broker() -> Result<()> {
    let hashes = [
        (HashFunction::Md5, "md5"),
        (HashFunction::Sha1, "sha1"),
        (HashFunction::Sha256, "sha256"),
    ];
    agrees("python3", "slot.py", program("python")?, "md5", &hashes)
}

#[test]
#[ignore = "needs a JDK; run by cargo suite"]
fn the_program_in_java_agrees_with_the_broker() -> Result<()> {
    let hashes = [
        (HashFunction::Md5, "MD5"),
        (HashFunction::Sha1, "SHA-1"),
        (HashFunction::Sha256, "SHA-256"),
    ];
    agrees("java", "Slot.java", program("java")?, "MD5", &hashes)
}
