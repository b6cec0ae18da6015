//! The sequence numbers of an outbound SA (RFC 4303 section 3.3.3).

/// How long before the end a successor should be negotiated, in packets.
const SOFT_MARGIN: u64 = 1 << 20;

/// Hands out each number once, from 1 on, and never begins again.
#[derive(Debug)]
pub struct Sequence {
    last_used: u64,
    limit: u64,
}

impl Sequence {
    /// 64-bit numbers with `esn`, else 32-bit ones.
    pub fn new(esn: bool) -> Self {
        Self {
            last_used: 0,
            limit: if esn { u64::MAX } else { u64::from(u32::MAX) },
        }
    }

    /// As [`Sequence::new`], with all numbers up to `used` gone.
    pub fn after(esn: bool, used: u64) -> Self {
        let fresh = Self::new(esn);
        Self {
            last_used: used.min(fresh.limit),
            ..fresh
        }
    }

    /// The next number; None if all are used.
    #[allow(clippy::should_implement_trait)] // not an iterator: nothing loops over it
    pub fn next(&mut self) -> Option<u64> {
        if self.last_used == self.limit {
            return None;
        }
        self.last_used += 1;
        Some(self.last_used)
    }

    /// The number used last, 0 before the first.
    pub fn last_used(&self) -> u64 {
        self.last_used
    }

    /// True when a successor should be negotiated.
    pub fn nearly_exhausted(&self) -> bool {
        self.last_used >= self.limit - SOFT_MARGIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_one_and_end() {
        let mut sequence = Sequence::new(false);
        assert_eq!((sequence.next(), sequence.next()), (Some(1), Some(2)));
        for (esn, limit) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
            let mut sequence = Sequence::after(esn, limit - 2);
            assert!(sequence.nearly_exhausted());
            assert_eq!(sequence.next(), Some(limit - 1));
            assert_eq!(sequence.next(), Some(limit));
            assert_eq!(sequence.next(), None);
            assert_eq!(sequence.next(), None);
        }
        assert!(!Sequence::after(true, u64::from(u32::MAX)).nearly_exhausted());
    }
}
