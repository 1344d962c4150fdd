//! Faults in words.

use super::{
    Fault,
    extent::Extent,
    kind::Kind,
    nodes::{BitRot, LossyLink, SlowLink},
};
use crate::event::Nth;

/// An expanded fault in one line, or what is known of it before it begins:
/// `15s partition n1 n2 | n3 n4 n5 for 10s`, `1s to 4s, 2ms after vote 3 in slot 7: crash the emitter`.
pub fn describe(fault: &Fault) -> String {
    let mut text = match (fault.at, fault.between, occasion(fault)) {
        (Some(at), ..) => format!("{at} "),
        (None, Some([from, to]), Some(occasion)) => match fault.after {
            Some(Extent::Fixed(after)) => format!("{from} to {to}, {after} after {occasion}: "),
            _ => format!("{from} to {to}, at {occasion}: "),
        },
        _ => String::new(),
    };
    text.push_str(&label(fault));
    match (fault.lasts, fault.kinds().first().and_then(Kind::back_after).flatten()) {
        (Some(Extent::Fixed(span)), _) => text.push_str(&format!(" for {span}")),
        (_, Some(Extent::Fixed(span))) => text.push_str(&format!(", back after {span}")),
        _ if fault.outlasts => text.push_str(", until the rest has drained"),
        _ => {}
    }
    text
}

/// The event that a fault waits for: `vote 3 of n2 in slot 7`.
pub fn occasion(fault: &Fault) -> Option<String> {
    let mut text = fault.on?.name().to_owned();
    if let Some(nth) = fault.nth.map(Nth::most).filter(|nth| *nth > 1) {
        text.push_str(&format!(" {nth}"));
    }
    if let Some(node) = &fault.by {
        text.push_str(&format!(" of {node}"));
    }
    if let Some(slot) = fault.slot {
        text.push_str(&format!(" in slot {slot}"));
    }
    Some(text)
}

/// What happens and to whom, in a few words: `power cut n3`.
pub fn label(fault: &Fault) -> String {
    let kinds = fault.kinds();
    let Some(kind) = kinds.first() else { return String::new() };
    let name = kind.name().replace('_', " ");
    match kind {
        Kind::Partition(partition) => {
            let groups: Vec<String> = match (partition.groups(), kind.target()) {
                (Some(groups), _) => groups.iter().map(|group| group.join(" ")).collect(),
                (None, target) => {
                    vec![target.map_or_else(String::new, |it| it.to_string()), "the others".into()]
                }
            };
            let sides = groups.join(if partition.one_way() { " -| " } else { " | " });
            format!("{name} {sides}")
        }
        other => {
            let target = other.target().map_or_else(String::new, |target| target.to_string());
            let how = match other {
                Kind::SlowLink(SlowLink { one_way: Some(true), .. })
                | Kind::LossyLink(LossyLink { one_way: Some(true), .. }) => "one-way ",
                Kind::BitRot(BitRot { tail: Some(true), .. }) => "tail ",
                _ => "",
            };
            format!("{how}{name} {target}")
        }
    }
}

/// The nodes a fault befalls that names them; empty for a partition.
pub fn nodes(fault: &Fault) -> Vec<String> {
    let kinds = fault.kinds();
    let target = kinds.first().and_then(Kind::target);
    target.and_then(|target| target.nodes.clone()).unwrap_or_default()
}
