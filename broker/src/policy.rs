//! What the cluster's policies say, to those who go by them.

use std::sync::Arc;

use paceline_core::{
    DestinationKind, Message,
    bounds::{Bound, Bounds},
    operation::Operation,
    rules::Rules,
};
use paceline_membership::{Durability, Policies, Policy, View, WhenFull};

use crate::config::NodeConfig;

/// The policies that are in force in a cluster at a view: those that are written down there, and until
/// some are those that its founders, of which this node is one, begin it with.
pub(crate) fn in_force(view: &View, begun_with: Option<Policies>) -> Policies {
    view.policies().cloned().or(begun_with).unwrap_or_default()
}

/// What is to be done to make the policies of a node's file of those in force, line by line. Nothing of
/// a file without any: it leaves them to the cluster.
pub(crate) fn of_file(config: &NodeConfig, in_force: &Policies) -> Vec<String> {
    let file = config.policies().expect("a checked configuration");
    if file.is_empty() { Vec::new() } else { in_force.difference(&file) }
}

/// What policies say to the leaders of shards.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// What destinations may hold.
    pub bounds: Arc<Bounds>,
    /// What becomes of messages that nobody consumes.
    pub rules: Arc<Rules>,
}

impl InForce {
    /// What these policies say.
    pub(crate) fn of(policies: &Policies) -> Self {
        let rules = Arc::new(Rules::of_policies(policies));
        Self { bounds: Arc::new(bounds(policies)), rules }
    }
}

fn bounds(policies: &Policies) -> Bounds {
    let entries = policies.entries().iter().map(|policy| {
        let is_bounded = policy.max_messages.is_some() || policy.max_bytes.is_some();
        let bound = (is_bounded || policy.when_full.is_some()).then(|| Arc::new(bound(policy)));
        (policy.destination.clone(), bound)
    });
    Bounds::new(entries.collect())
}

fn bound(policy: &Policy) -> Bound {
    let default = match policy.destination.kind {
        DestinationKind::Queue => WhenFull::Block,
        DestinationKind::Topic => WhenFull::DropOldest,
    };
    Bound {
        policy: policy.destination.to_string().into(),
        max_messages: policy.max_messages,
        max_bytes: policy.max_bytes,
        when_full: policy.when_full.unwrap_or(default),
    }
}

/// Makes an operation's messages non-persistent where the policy of their destination is
/// [`Durability::Memory`].
pub(crate) fn apply(policies: &Policies, operation: &mut Operation) {
    if policies.is_empty() {
        return;
    }
    match operation {
        Operation::Publish { message, .. } => apply_to(policies, message),
        Operation::Commit { publishes, .. } => {
            publishes.iter_mut().for_each(|message| apply_to(policies, message));
        }
        _ => {}
    }
}

fn apply_to(policies: &Policies, message: &mut Arc<Message>) {
    if message.persistent {
        let policy = policies.of(&message.destination);
        if policy.is_some_and(|policy| policy.durability == Durability::Memory) {
            Arc::make_mut(message).persistent = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use paceline_core::Destination;
    use paceline_membership::{Change, Founder, Layout};
    use paceline_placement::StrategyKind;

    use super::*;

    fn policy(destination: &str) -> Policy {
        Policy::of(Destination::parse(destination).unwrap())
    }

    fn policies(entries: &[Policy]) -> Policies {
        Policies::try_from(entries.to_vec()).unwrap()
    }

    #[test]
    fn the_founders_policies_count_until_some_are_written_down() {
        let layout = Layout { replicas: 1, slots: 1, strategy: StrategyKind::Slots };
        let (name, link) = ("n1".into(), "n1:1".into());
        let founder = Founder { name, link, zone: None, weight: 1.0 };
        let view = View::founded(layout, [founder]).unwrap();
        let (founders, others) = (policies(&[policy("/queue/a")]), policies(&[policy("/queue/b")]));
        assert_eq!(in_force(&view, None), Policies::default());
        assert_eq!(in_force(&view, Some(founders.clone())), founders);
        let change = Change::ReplacePolicies { policies: others.clone() };
        let view = view.changed(&change).unwrap().unwrap();
        assert_eq!(in_force(&view, Some(founders)), others);
    }

    #[test]
    fn a_destination_is_bounded_as_the_first_entry_that_covers_it_says() {
        let entries = [
            policy("/queue/free"),
            Policy { max_messages: Some(3), ..policy("/queue/>") },
            Policy { when_full: Some(WhenFull::Reject), ..policy("/topic/>") },
        ];
        let found = bounds(&policies(&entries));
        let of = |destination| found.of(&Destination::parse(destination).unwrap()).cloned();
        assert_eq!(of("/queue/free"), None);
        let bound = of("/queue/q").unwrap();
        assert_eq!((bound.max_messages, bound.when_full), (Some(3), WhenFull::Block));
        assert_eq!(of("/topic/t").unwrap().when_full, WhenFull::Reject);
        assert!(bounds(&policies(&entries[..1])).is_empty());
    }
}
