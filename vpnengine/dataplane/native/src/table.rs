//! What workers look up: policies by the longest prefix, SAs by SPI. Swapped whole, read without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::flow::{Flow, Selector, packet_ends, packet_flow, shift};
use crate::sa::Sa;

/// One configured selector, and the SA that its traffic goes to at present.
pub struct Policy {
    /// Names the policy in events; a policy that stays keeps its number over a change of the table.
    pub number: u64,
    pub selector: Selector,
    /// False where only the peer may ask for a tunnel.
    pub acquire: bool,
    /// The newest pair that sends.
    pub sending: ArcSwapOption<Sa>,
    /// How many pairs are installed for it that do not send yet.
    pub larval: AtomicU32,
}

impl Policy {
    pub fn new(number: u64, selector: Selector, acquire: bool) -> Self {
        Self {
            number,
            selector,
            acquire,
            sending: ArcSwapOption::empty(),
            larval: AtomicU32::new(0),
        }
    }
}

type Rows = FxHashMap<(u128, u128), Vec<Arc<Policy>>>;

/// Policies by the prefixes of their two ends. A range stands under each prefix it is made of.
#[derive(Default)]
pub struct PolicyTable {
    v4: Vec<((u32, u32), Rows)>,
    v6: Vec<((u32, u32), Rows)>,
    with_protocol: bool,
    numbers: FxHashSet<u64>,
}

impl PolicyTable {
    pub fn new(policies: &[Arc<Policy>]) -> Self {
        let mut tables = [BTreeMap::<(u32, u32), Rows>::new(), BTreeMap::new()];
        for policy in policies {
            let selector = &policy.selector;
            let bits = if selector.v6 { 128 } else { 32 };
            for (remote_length, remote) in selector.remote.prefixes(bits) {
                for (local_length, local) in selector.local.prefixes(bits) {
                    let table = tables[usize::from(selector.v6)]
                        .entry((remote_length, local_length))
                        .or_default();
                    let rows = table.entry((remote, local)).or_default();
                    rows.push(Arc::clone(policy));
                }
            }
        }
        for rows in tables
            .iter_mut()
            .flat_map(BTreeMap::values_mut)
            .flat_map(Rows::values_mut)
        {
            rows.sort_by_key(|row| std::cmp::Reverse(row.selector.precision()));
        }
        let [v4, v6] = tables.map(|table| table.into_iter().rev().collect());
        Self {
            v4,
            v6,
            with_protocol: policies.iter().any(|policy| policy.selector.protocol != 0),
            numbers: policies.iter().map(|policy| policy.number).collect(),
        }
    }

    /// Whether a policy is in force.
    pub fn has(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// What `find` needs of a packet: no more than these policies look at.
    pub fn flow(&self, packet: &[u8]) -> Option<Flow> {
        if self.with_protocol {
            packet_flow(packet)
        } else {
            packet_ends(packet)
        }
    }

    /// The policy with the longest remote, then the longest local prefix that covers the packet.
    pub fn find(&self, flow: &Flow) -> Option<&Arc<Policy>> {
        let (bits, tables) = if flow.v6 {
            (128, &self.v6)
        } else {
            (32, &self.v4)
        };
        tables
            .iter()
            .find_map(|((remote_length, local_length), rows)| {
                let key = (
                    shift(flow.destination, bits - remote_length),
                    shift(flow.source, bits - local_length),
                );
                rows.get(&key)?
                    .iter()
                    .find(|policy| policy.selector.matches(flow, true))
            })
    }
}

const SHARDS: usize = 256;

/// SAs by our SPI. In shards, so that one more among 10,000 copies a few dozen entries and not all.
pub struct SpiTable {
    shards: Vec<ArcSwap<FxHashMap<u32, Arc<Sa>>>>,
    /// Counts changes: what a worker keeps by SPI is looked through again when this differs.
    pub generation: AtomicU64,
}

impl Default for SpiTable {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            generation: AtomicU64::new(0),
        }
    }
}

impl SpiTable {
    fn shard(&self, spi: u32) -> &ArcSwap<FxHashMap<u32, Arc<Sa>>> {
        &self.shards[(spi as usize) % SHARDS]
    }

    pub fn get(&self, spi: u32) -> Option<Arc<Sa>> {
        self.shard(spi).load().get(&spi).cloned()
    }

    /// Only from the engine's thread: two at once could lose one of their changes.
    pub fn insert(&self, sa: Arc<Sa>) {
        let shard = self.shard(sa.spi_in);
        let mut rows = FxHashMap::clone(&shard.load());
        rows.insert(sa.spi_in, sa);
        shard.store(Arc::new(rows));
    }

    /// Likewise.
    pub fn remove(&self, spi: u32) -> Option<Arc<Sa>> {
        let shard = self.shard(spi);
        let mut rows = FxHashMap::clone(&shard.load());
        let gone = rows.remove(&spi)?;
        shard.store(Arc::new(rows));
        self.generation
            .fetch_add(1, std::sync::atomic::Ordering::Release);
        Some(gone)
    }

    pub fn all(&self) -> Vec<Arc<Sa>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.load().values().cloned().collect::<Vec<_>>())
            .collect()
    }
}
