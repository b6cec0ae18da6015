//! The first packets of a tunnel that is not up yet: kept, and sent when it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Shared;
use crate::counters::Drop;
use crate::events::Event;
use crate::table::Policy;

/// Packets kept for one selector; the newest are.
pub const PER_SELECTOR: usize = 16;
/// Selectors that packets are kept for.
pub const SELECTORS: usize = 1024;
const ACQUIRE: Duration = Duration::from_secs(1);
/// Longer than a negotiation takes; what nobody came for is thrown away.
const KEEP: Duration = Duration::from_secs(60);

struct Waiting {
    policy: Arc<Policy>,
    packets: VecDeque<Vec<u8>>,
    asked: Option<Instant>,
    newest: Instant,
}

/// What waits, by policy. It belongs to the outbound worker.
#[derive(Default)]
pub struct Hold {
    waiting: FxHashMap<u64, Waiting>,
}

impl Hold {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keep a packet and ask for its tunnel. Where only the peer may ask, it is kept while a negotiation is about to end.
    pub fn keep(&mut self, shared: &Shared, policy: &Arc<Policy>, packet: Vec<u8>) {
        if !policy.acquire && policy.larval.load(Ordering::Acquire) == 0 {
            return shared.drops.add(Drop::NoSa, 1);
        }
        let limit = shared.selectors_held.load(Ordering::Relaxed);
        if self.waiting.len() >= limit && !self.waiting.contains_key(&policy.number) {
            return shared.drops.add(Drop::QueueFull, 1);
        }
        let now = Instant::now();
        let waiting = self
            .waiting
            .entry(policy.number)
            .or_insert_with(|| Waiting {
                policy: Arc::clone(policy),
                packets: VecDeque::with_capacity(PER_SELECTOR),
                asked: None,
                newest: now,
            });
        if waiting.packets.len() == PER_SELECTOR {
            waiting.packets.pop_front();
            shared.drops.add(Drop::QueueFull, 1);
        }
        waiting.packets.push_back(packet);
        waiting.newest = now;
        if policy.acquire && waiting.asked.is_none_or(|asked| now - asked >= ACQUIRE) {
            waiting.asked = Some(now);
            shared.tell(Event::Acquire {
                policy: policy.number,
            });
        }
    }

    /// The packets of every policy that has an SA now.
    pub fn take_ready(&mut self) -> Vec<(Arc<Policy>, VecDeque<Vec<u8>>)> {
        let ready: Vec<u64> = self
            .waiting
            .values()
            .filter(|one| one.policy.sending.load().is_some())
            .map(|one| one.policy.number)
            .collect();
        ready
            .iter()
            .filter_map(|number| self.waiting.remove(number))
            .map(|one| (one.policy, one.packets))
            .collect()
    }

    /// Forget what belongs to no policy any more, and what has waited too long.
    pub fn tidy(&mut self, stays: impl Fn(u64) -> bool) {
        let now = Instant::now();
        self.waiting
            .retain(|number, one| stays(*number) && now - one.newest < KEEP);
    }
}
