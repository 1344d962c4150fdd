//! Channels of clients come and go, and with them what they stood for.

use paceline_reached::{Point, reached};

use super::{Client, Output, Serving, Told, send_ready, serve};
use crate::{channel::FromLeader, dispatch::ConsumerKey, shard::SessionId};

impl<T: Told> Serving<T> {
    /// A client has opened a channel.
    pub fn handle_opened(&mut self, channel: u64, session: SessionId) {
        // One channel for each node. Those before are dead, or this one is: it may come late, from a
        // link that its node has given up. So they are told, and whoever still needs one asks anew.
        let older = self.clients.iter().filter(|(_, client)| {
            client.session.node == session.node && client.session.incarnation <= session.incarnation
        });
        for channel in older.map(|(channel, _)| *channel).collect::<Vec<_>>() {
            reached(Point::ChannelSuperseded);
            self.handle_closed(channel);
            let message = FromLeader::NotLeader { leader: None };
            self.output.push_back(Output::Say { channel, message });
        }
        let mut client = Client { session, served: false, outcomes: Vec::new() };
        if let Some(term) = &self.term {
            serve(&mut self.output, channel, &mut client, term.number);
        }
        self.clients.insert(channel, client);
    }

    /// A client or its link is gone.
    pub fn handle_closed(&mut self, channel: u64) {
        if self.clients.remove(&channel).is_none() {
            return;
        }
        let Some(term) = &mut self.term else { return };
        term.room_awaited.forget(channel);
        term.present.forget(channel, &mut term.dispatcher);
        let consumers = term.consumers.iter().filter(|(_, of)| **of == channel);
        let consumers: Vec<ConsumerKey> = consumers.map(|(consumer, _)| *consumer).collect();
        for consumer in consumers {
            term.consumers.remove(&consumer);
            term.bodies.forget(consumer);
            term.present.forget_listener(consumer);
            let is_told = !term.dispatcher.is_browser(consumer);
            term.dispatcher.detach_lost(consumer);
            if is_told {
                self.told.detached(term.number, consumer);
            }
        }
        // What stood behind theirs.
        send_ready(term, &self.clients, &mut self.output);
    }
}
