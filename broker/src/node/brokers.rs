//! Which nodes OpenWire clients are told of.

use std::sync::Arc;

use paceline_core::session::Brokers;
use paceline_membership::{MemberState, NodeId, View};
use tokio::sync::watch;

use crate::{cluster::Cluster, link::Peers};

/// Tells `out` which nodes there are for clients, until nobody wants to know. This one, `node`, is
/// reached at `own`.
pub async fn follow(
    node: u64,
    own: Option<String>,
    cluster: Arc<Cluster>,
    peers: Peers,
    out: watch::Sender<Arc<Brokers>>,
) {
    let (mut views, mut links) = (cluster.watch(), peers.watch());
    loop {
        let view = views.borrow_and_update().clone();
        links.mark_unchanged();
        let address = |id: NodeId| match id.0 == node {
            true => own.clone(),
            false => peers.connection(id.0)?.openwire().map(ToOwned::to_owned),
        };
        let brokers = Arc::new(brokers(&view, NodeId(node), address));
        out.send_if_modified(|told| {
            let is_news = **told != *brokers;
            *told = brokers;
            is_news
        });
        let changed = tokio::select! {
            biased;
            changed = views.changed() => changed,
            changed = links.changed() => changed,
            () = out.closed() => return,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Those of a view that hold shards and can be reached now. Of a cluster of one node nobody has to be
/// told.
fn brokers(view: &View, own: NodeId, address: impl Fn(NodeId) -> Option<String>) -> Brokers {
    let stays = |id| view.member(id).is_some_and(|member| member.state == MemberState::Active);
    let members = view.members().iter().map(|member| member.id);
    let others = members.clone().filter(|id| *id != own && stays(*id)).filter_map(&address).count();
    if others == 0 {
        return Brokers::default();
    }
    let addresses = members.filter(|id| stays(*id)).filter_map(address).collect();
    Brokers { addresses, moves_on: !stays(own) }
}

#[cfg(test)]
mod tests {
    use paceline_membership::{Change, Founder, Layout};
    use paceline_placement::StrategyKind;

    use super::*;

    fn view() -> View {
        let layout = Layout { replicas: 1, slots: 8, strategy: StrategyKind::Slots };
        let founder = |name: &str| {
            let (name, link) = (name.to_owned(), format!("{name}:1"));
            Founder { name, link, zone: None, weight: 1.0 }
        };
        View::founded(layout, ["a", "b", "c"].map(founder)).unwrap()
    }

    fn drained(name: &str) -> View {
        let change = Change::Drain { name: name.into(), force: false };
        view().changed(&change).unwrap().unwrap()
    }

    fn number(view: &View, name: &str) -> NodeId {
        view.id_of(name).unwrap()
    }

    #[test]
    fn those_are_told_that_stay_and_are_reached() {
        let own = number(&view(), "a");
        let b = number(&view(), "b");
        let all = brokers(&view(), own, |id| Some(id.0.to_string()));
        assert_eq!((all.addresses.len(), all.moves_on), (3, false));
        let reached = brokers(&view(), own, |id| (id != b).then(|| id.0.to_string()));
        assert_eq!(reached.addresses.len(), 2);
        let staying = brokers(&drained("b"), own, |id| Some(id.0.to_string()));
        assert_eq!(staying, reached);
    }

    #[test]
    fn a_node_that_is_to_hold_nothing_sends_its_clients_to_the_others() {
        let own = number(&view(), "a");
        let others = brokers(&drained("a"), own, |id| Some(id.0.to_string()));
        assert_eq!((others.addresses.len(), others.moves_on), (2, true));
        assert!(!others.addresses.contains(&own.0.to_string()));
        let nobody = brokers(&drained("a"), own, |id| (id == own).then(|| id.0.to_string()));
        assert_eq!(nobody, Brokers::default());
    }
}
