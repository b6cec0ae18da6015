//! Whether segment offload helps: both ways are tried now and then, and the cheaper one is kept.
//!
//! That the kernel can cut is known at once; that it saves anything depends on the device behind the route, which may
//! cut in software, and on what stands before it. So it is measured, in this thread's own CPU time.

/// Batches before the first trial, and between two: a few seconds of a busy tunnel.
const FIRST: u32 = 64;
const PERIOD: u32 = 16_384;
/// Batches of a trial, sent in turns with and without offload.
const TRIAL: u32 = 32;
/// A batch of fewer datagrams says little.
const WORTH: u64 = 8;
/// Offload also lets the receiver merge, so that single datagrams have to be cheaper by more than a tenth.
const TENTHS: u64 = 9;

/// CPU time and datagrams of one way of sending.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    nanos: u64,
    datagrams: u64,
}

/// What one socket sends by; offload until a trial says otherwise.
#[derive(Clone, Debug)]
pub struct Choice {
    offload: bool,
    /// Batches until the trial begins; 0 during it.
    until: u32,
    tried: u32,
    single: Cost,
    offloaded: Cost,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            offload: true,
            until: FIRST,
            tried: 0,
            single: Cost::default(),
            offloaded: Cost::default(),
        }
    }
}

impl Choice {
    /// How to send a batch of so many datagrams that offload could carry together: (with offload, whether the CPU time
    /// that it takes is wanted by [`Choice::learn`]).
    pub fn next(&mut self, datagrams: u64) -> (bool, bool) {
        if datagrams < WORTH {
            return (self.offload, false);
        }
        if self.until > 0 {
            self.until -= 1;
            return (self.offload, false);
        }
        self.tried += 1;
        (self.tried % 2 == 1, true)
    }

    /// What a batch of the trial has cost; the last one decides.
    pub fn learn(&mut self, offload: bool, nanos: u64, datagrams: u64) {
        let cost = if offload {
            &mut self.offloaded
        } else {
            &mut self.single
        };
        cost.nanos += nanos;
        cost.datagrams += datagrams;
        if self.tried < TRIAL {
            return;
        }
        let (single, offloaded) = (self.single, self.offloaded);
        // single / its datagrams < 0.9 * offloaded / its datagrams, without fractions.
        let cheaper = u128::from(single.nanos * 10) * u128::from(offloaded.datagrams)
            < u128::from(offloaded.nanos * TENTHS) * u128::from(single.datagrams);
        *self = Self {
            offload: !cheaper,
            until: PERIOD,
            ..Self::default()
        };
    }

    /// Whether it sends with offload at present.
    pub fn offload(&self) -> bool {
        self.offload
    }
}

/// The CPU time of the calling thread in nanoseconds.
pub fn thread_nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec, which outlives the call. The clock exists on every Linux, so that it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carry batches until the trial has decided; `single` and `offloaded` are nanoseconds for a datagram.
    fn carry(choice: &mut Choice, single: u64, offloaded: u64) {
        let mut seen = [0; 2];
        for _ in 0..=PERIOD + TRIAL {
            let (offload, wanted) = choice.next(32);
            if wanted {
                seen[usize::from(offload)] += 1;
                let each = if offload { offloaded } else { single };
                choice.learn(offload, each * 32, 32);
                if seen == [TRIAL as usize / 2; 2] {
                    return;
                }
            }
        }
        panic!("no trial came to its end: {seen:?}");
    }

    #[test]
    fn the_cheaper_way_is_kept_and_asked_for_again() {
        let mut choice = Choice::default();
        assert!(choice.offload(), "until something is known");
        carry(&mut choice, 800, 1000);
        assert!(!choice.offload());
        assert_eq!(choice.next(32), (false, false));
        carry(&mut choice, 800, 300);
        assert!(choice.offload());
    }

    #[test]
    fn offload_stays_where_it_costs_the_same() {
        let mut choice = Choice::default();
        carry(&mut choice, 1000, 1050);
        assert!(choice.offload());
    }

    #[test]
    fn small_batches_say_nothing() {
        let mut choice = Choice::default();
        for _ in 0..FIRST * 2 {
            assert_eq!(choice.next(WORTH - 1), (true, false));
        }
    }

    #[test]
    fn a_busy_thread_uses_time_and_a_sleeping_one_does_not() {
        let before = thread_nanos();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let slept = thread_nanos() - before;
        let mut sum = 0u64;
        while thread_nanos() - before < 2 * slept + 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(slept < 15_000_000, "{slept}");
    }
}
