//! The anti-replay window (RFC 4303 section 3.4.3 and appendix A2).

/// Which sequence numbers have been seen: [`check`](Self::check) before the work, [`commit`](Self::commit) after it.
///
/// The bits lie in a ring of words, of which the newest is cleared as the window moves on, so that moving by one word or
/// less touches one word (the idea of RFC 6479).
#[derive(Debug)]
pub struct ReplayWindow {
    top: u64,
    size: u64,
    esn: bool,
    bits: Box<[u64]>,
}

impl ReplayWindow {
    /// A window of `size` packets, brought within 32 to 4096.
    pub fn new(size: u32, esn: bool) -> Self {
        let size = u64::from(size.clamp(32, 4096));
        let words = (size.div_ceil(64) + 1).next_power_of_two() as usize;
        Self {
            top: 0,
            size,
            esn,
            bits: vec![0; words].into_boxed_slice(),
        }
    }

    /// The highest number seen, 0 before the first.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// The whole number whose lower half is `low`, if a packet with it may be opened: it is neither seen nor older than
    /// the window. With ESN the upper half follows from where the window stands (RFC 4303 appendix A2.2); only the
    /// verified ICV proves it right.
    pub fn check(&self, low: u32) -> Option<u64> {
        let number = if self.esn {
            self.infer(low)?
        } else {
            u64::from(low)
        };
        self.fresh(number).then_some(number)
    }

    /// An authentic packet had this number; false if it has been seen since it was checked, as the second of two copies
    /// in a batch is.
    #[must_use]
    pub fn commit(&mut self, number: u64) -> bool {
        if !self.fresh(number) {
            return false;
        }
        let (new, old) = (number / 64, self.top / 64);
        if new > old {
            let words = self.bits.len() as u64;
            for word in 1..=(new - old).min(words) {
                let index = self.index(old + word);
                self.bits[index] = 0;
            }
        }
        self.top = self.top.max(number);
        let index = self.index(new);
        self.bits[index] |= 1 << (number % 64);
        true
    }

    fn infer(&self, low: u32) -> Option<u64> {
        let (high, top) = (self.top >> 32, self.top as u32);
        let bottom = top.wrapping_sub(self.size as u32 - 1);
        let high = if u64::from(top) >= self.size - 1 {
            // The window lies within one half.
            if low < bottom {
                high.checked_add(1)
                    .filter(|high| *high <= u64::from(u32::MAX))?
            } else {
                high
            }
        } else if low >= bottom {
            // It begins in the half before.
            high.checked_sub(1)?
        } else {
            high
        };
        Some(high << 32 | u64::from(low))
    }

    fn fresh(&self, number: u64) -> bool {
        if number > self.top {
            return true;
        }
        let seen = self.bits[self.index(number / 64)] >> (number % 64) & 1 == 1;
        number != 0 && self.top - number < self.size && !seen
    }

    fn index(&self, word: u64) -> usize {
        (word & (self.bits.len() as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The same by its definition, with every number kept.
    struct Plain {
        seen: BTreeSet<u64>,
        size: u64,
    }

    impl Plain {
        fn fresh(&self, number: u64) -> bool {
            let top = self.seen.last().copied().unwrap_or(0);
            number > 0 && !self.seen.contains(&number) && number + self.size > top
        }
    }

    fn random(state: &mut u64) -> u64 {
        *state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *state >> 33
    }

    #[test]
    fn it_agrees_with_its_definition() {
        let mut state = 1;
        for size in [32, 33, 63, 64, 65, 127, 128, 1000, 4096] {
            for esn in [false, true] {
                let start = if esn { (1 << 32) - 500 } else { 1 };
                let mut window = ReplayWindow::new(size, esn);
                let mut plain = Plain {
                    seen: BTreeSet::new(),
                    size: u64::from(size),
                };
                let mut around = start;
                if esn {
                    assert!(window.commit(start));
                    plain.seen.insert(start);
                }
                for _ in 0..20_000 {
                    let jump = if random(&mut state) % 50 == 0 {
                        9000
                    } else {
                        5
                    };
                    around += random(&mut state) % jump;
                    let back = random(&mut state) % (2 * u64::from(size));
                    let number = (around + 3).saturating_sub(back).max(start);
                    let expected = plain.fresh(number);
                    // What is older than the window may be taken for a number of the next half.
                    let checked = window
                        .check(number as u32)
                        .filter(|checked| *checked == number);
                    assert_eq!(
                        checked.is_some(),
                        expected,
                        "{size} {esn} {number} at {}",
                        window.top()
                    );
                    assert_eq!(window.commit(number), expected);
                    plain.seen.insert(number).then(|| {
                        if !expected {
                            plain.seen.remove(&number)
                        } else {
                            true
                        }
                    });
                }
                assert_eq!(plain.seen.last().copied(), Some(window.top()));
            }
        }
    }

    #[test]
    fn the_upper_half_follows_the_window() {
        let mut window = ReplayWindow::new(64, true);
        assert_eq!(window.check(1), Some(1));
        assert_eq!(window.check(u32::MAX), None); // before the first number
        assert!(window.commit((1 << 32) - 1));
        assert_eq!(window.check(5), Some((1 << 32) + 5));
        assert!(window.commit((1 << 32) + 5));
        assert_eq!(window.check(u32::MAX - 3), Some((1 << 32) - 4));
        assert_eq!(window.check(u32::MAX), None); // seen
        assert_eq!(window.check(0), Some(1 << 32));
    }

    #[test]
    fn numbers_of_the_last_half_never_wrap() {
        let mut window = ReplayWindow::new(64, true);
        assert!(window.commit(u64::MAX - 1));
        assert_eq!(window.check(u32::MAX), Some(u64::MAX));
        assert!(window.commit(u64::MAX));
        assert_eq!(window.check(7), None);
    }

    #[test]
    fn zero_and_copies_are_refused() {
        let mut window = ReplayWindow::new(64, false);
        assert_eq!(window.check(0), None);
        assert!(!window.commit(0));
        assert!(window.commit(9));
        assert!(!window.commit(9));
        assert_eq!(window.check(9), None);
    }
}
