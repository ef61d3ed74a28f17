//! What is seen of the nodes from outside: what they say to their next hops, whom they try first, and what they hold.

use std::net::SocketAddr;

use pillarbox_core::Direction;
use pillarbox_core::node::Holdings;

use super::World;
use crate::overheard::Learnt;
use crate::timeline::{Side, Talk};

impl World {
    /// What the nodes read and said to next hops.
    pub(super) fn hear_taps(&mut self, index: usize) {
        let host = self.slots[index].host;
        let mut learnt = Vec::new();
        for (conn, direction, bytes) in self.slots[index].tap.take() {
            let slot = &mut self.slots[index];
            let key = [1 + index as u64, slot.life, conn.0];
            let Some((peer, overheard)) = slot.overheard.get_mut(&conn) else { continue };
            let (hosts, by_address) = (&self.hosts, &self.by_address);
            let talk = || {
                let server = by_address.get(peer).map_or("nobody", |there| &hosts[*there].name).to_owned();
                Talk { client: hosts[host].name.clone(), server, port: 25 }
            };
            match direction {
                Direction::In => {
                    self.trace.says(self.now, key, talk, Side::Server, &bytes);
                    overheard.server(&bytes, &mut learnt);
                }
                Direction::Out => {
                    self.trace.says(self.now, key, talk, Side::Client, &bytes);
                    overheard.client(&bytes, &mut learnt);
                }
            }
        }
        for fact in learnt {
            match fact {
                Learnt::Offered(letter, recipients) => self.ledger.offered(host, letter, &recipients),
                Learnt::Taken(letter, recipients) => self.ledger.taken(host, letter, &recipients),
            }
        }
    }

    /// An exchanger is tried after those that are preferred to it.
    pub(super) fn check_order(&mut self, index: usize, to: SocketAddr) {
        if to.port() == 53 {
            return;
        }
        let host = self.slots[index].host;
        if !self.names_are_good {
            return;
        }
        self.dialed.insert((host, to.ip()));
        for better in self.preferred.get(&to.ip()).into_iter().flatten() {
            if !self.dialed.contains(&(host, *better)) {
                self.ledger.violated(format!(
                    "node {index} goes to {} and has not tried {better}, which is preferred",
                    to.ip()
                ));
            }
        }
    }

    /// Letters in queues, and letters that wait for nobody.
    pub(crate) fn queued(&self) -> usize {
        self.hosts.iter().map(|host| host.queued()).sum()
    }

    /// What nodes hold besides their connections, and how many of those there are, by node.
    pub(crate) fn holdings(&self) -> impl Iterator<Item = (usize, usize, Holdings)> + '_ {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let node = slot.node.as_ref()?;
            Some((index, node.connections(), node.holdings()))
        })
    }
}
