//! What the workers and the engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::counters::{Drop, Drops};
use crate::events::{Bell, Event, Events};
use crate::sa::{Clock, Sa};
use crate::table::{PolicyTable, SpiTable};
use crate::tun::Queue;

/// Tables that are swapped whole, counters, and the ways to wake a worker and the engine.
pub struct Shared {
    pub policies: ArcSwap<PolicyTable>,
    pub sas: SpiTable,
    pub drops: Drops,
    pub events: Events,
    pub clock: Clock,
    pub stop: AtomicBool,
    /// Wakes the outbound worker: packets that wait may have an SA now.
    pub outbound: Bell,
    /// Wakes the inbound worker.
    pub inbound: Bell,
    /// How often each worker has come round: what came before two more rounds has been dealt with.
    pub outbound_rounds: AtomicU64,
    pub inbound_rounds: AtomicU64,
    /// How many selectors may have packets that wait.
    pub selectors_held: AtomicUsize,
    /// The TUN device, which may be taken away and made anew.
    pub device: ArcSwapOption<Queue>,
    /// True once it can no longer be read.
    pub device_gone: AtomicBool,
    /// Let a worker panic over its next packets. No build but that of the tests has this.
    #[cfg(test)]
    pub provoked: [AtomicBool; 2],
}

/// The place of each worker in `Shared::provoked`.
#[cfg(test)]
pub const OUTBOUND: usize = 0;
#[cfg(test)]
pub const INBOUND: usize = 1;

impl Shared {
    /// `now` is the engine's monotonic time in seconds.
    pub fn new(now: f64) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            policies: ArcSwap::default(),
            sas: SpiTable::default(),
            drops: Drops::default(),
            events: Events::new()?,
            clock: Clock::new(now),
            stop: AtomicBool::new(false),
            outbound: Bell::new()?,
            inbound: Bell::new()?,
            outbound_rounds: AtomicU64::new(0),
            inbound_rounds: AtomicU64::new(0),
            selectors_held: AtomicUsize::new(super::SELECTORS),
            device: ArcSwapOption::empty(),
            device_gone: AtomicBool::new(false),
            #[cfg(test)]
            provoked: Default::default(),
        }))
    }

    #[cfg(test)]
    pub fn panic_if_provoked(&self, worker: usize) {
        if self.provoked[worker].swap(false, Ordering::AcqRel) {
            panic!("provoked");
        }
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub fn tell(&self, event: Event) {
        let lost = if matches!(event, Event::Ike { .. }) {
            Drop::IkeFlood
        } else {
            Drop::EventsFull
        };
        if !self.events.push(event) {
            self.drops.add(lost, 1);
        }
    }

    pub fn tell_soft(&self, sa: &Sa) {
        if sa.tell_soft() {
            self.tell(Event::SoftExpired { spi_in: sa.spi_in });
        }
    }

    pub fn tell_hard(&self, sa: &Sa) {
        if sa.tell_hard() {
            self.tell(Event::HardExpired { spi_in: sa.spi_in });
        }
    }
}
