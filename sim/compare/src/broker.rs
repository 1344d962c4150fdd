//! What of all that is compared a broker runs.

use super::entry::Entry;

impl Entry {
    /// Why the broker does not run it as it is measured here, if it does not.
    pub fn outside_broker(self) -> Option<&'static str> {
        match self {
            Entry::SlotsByLoad => {
                Some("its table has equally many slots on every node, and it measures no loads")
            }
            Entry::SlotsSplit => Some("it keeps every destination whole"),
            Entry::Kind(kind) if !kind.works_on_slots() => {
                Some("it places slots instead of names, which gives other figures")
            }
            Entry::Kind(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use paceline::config::NodeConfig;

    use super::*;

    #[test]
    fn a_node_takes_whatever_is_not_outside_the_broker() {
        for entry in Entry::all() {
            let members: Vec<_> =
                (1..=5).map(|n| format!("{{ name = \"n{n}\", link = \"n{n}:1\" }}")).collect();
            let text = format!(
                "[node]\nname = \"n1\"\ndata_dir = \"d\"\n[cluster]\nname = \"c\"\nstrategy = \
                 \"{entry}\"\nmembers = [{}]\n",
                members.join(", ")
            );
            let config = NodeConfig::parse("node.toml", &text);
            match entry {
                Entry::SlotsByLoad | Entry::SlotsSplit => {
                    assert!(config.unwrap_err().to_string().contains("unknown variant"));
                    assert!(entry.outside_broker().is_some(), "{entry}");
                }
                Entry::Kind(kind) => {
                    let cluster = config.unwrap().cluster;
                    // By slots the table is the strategy; by names it stands for something else.
                    assert_eq!(cluster.strategy, kind);
                    assert_eq!(entry.outside_broker().is_none(), kind.works_on_slots(), "{entry}");
                }
            }
        }
    }
}
