//! Where a forward proxy calls: one upstream for each server that was called lately, at the addresses that were checked.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_engine::{Origin, UpstreamFailure};

use super::{Group, Upstream};

/// Servers whose connections a worker keeps for the next call.
const MOST: usize = 1024;
/// What was not used for so long goes, in milliseconds.
const UNUSED: u64 = 60_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    servers: HashMap<Origin, Server>,
}

#[derive(Debug)]
struct Server {
    upstream: Rc<Upstream>,
    last: u64,
}

impl Elsewhere {
    /// The upstream that is `origin`, called as `group` says. Other addresses are another upstream: a connection to an
    /// address that was good for an earlier call is not used for one that was checked against others.
    pub(crate) fn upstream(
        &mut self,
        group: &Arc<Group>,
        origin: &Origin,
        now: u64,
    ) -> Result<Rc<Upstream>, UpstreamFailure> {
        if let Some(server) = self.servers.get_mut(origin) {
            server.last = now;
            return Ok(Rc::clone(&server.upstream));
        }
        let pinned = super::Origin::pinned(origin, &group.config.circuit)
            .map_err(|error| UpstreamFailure::Unreachable(error.to_string().into()))?;
        let upstream = Upstream::new(group.toward(pinned), 0);
        if self.servers.len() >= MOST
            && let Some(oldest) = self.servers.iter().min_by_key(|(_, server)| server.last)
        {
            let oldest = oldest.0.clone();
            self.servers.remove(&oldest);
        }
        self.servers.insert(origin.clone(), Server { upstream: Rc::clone(&upstream), last: now });
        Ok(upstream)
    }

    /// Closes connections, and forgets servers, that were not used for too long.
    pub(crate) fn sweep(&mut self, now: u64) {
        self.servers.retain(|_, server| {
            server.upstream.sweep(now);
            !server.upstream.is_unused() || server.last.saturating_add(UNUSED) > now
        });
    }

    /// Closes all unused connections.
    pub(crate) fn clear(&mut self) {
        for server in self.servers.values() {
            server.upstream.clear();
        }
        self.servers.clear();
    }
}
