//! IVs that nobody can foresee, as CBC needs them (RFC 3602 section 3, RFC 4303 section 3.3.1).

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use zeroize::Zeroize;

const POOL: usize = 4096;
/// Refills under one key: the key stream stays far from the bound at which blocks of a random function would repeat.
const REFILLS: u32 = 1 << 16;

/// The key stream of AES-256-CTR under a key of the system's own randomness: one such source per thread, so that a
/// packet's IV costs a copy of 16 octets and neither a lock nor a system call. A counter, or the sequence number itself,
/// would be foreseeable, and whoever can foresee an IV can test guesses of the plaintext of CBC. Drawing all IVs from a
/// stream that is no part of any SA also keeps them apart from the SAs' keys.
pub(super) struct IvSource {
    stream: CipherCtx,
    pool: Box<[u8; POOL]>,
    used: usize,
    refills: u32,
}

impl IvSource {
    pub(super) fn new() -> Result<Self, ErrorStack> {
        let mut source = Self {
            stream: CipherCtx::new()?,
            pool: Box::new([0; POOL]),
            used: POOL,
            refills: 0,
        };
        source.seed()?;
        Ok(source)
    }

    /// Fill `iv`, at most a few hundred octets, with fresh octets.
    pub(super) fn fill(&mut self, iv: &mut [u8]) -> Result<(), ErrorStack> {
        if self.used + iv.len() > POOL {
            self.refill()?;
        }
        let fresh = &mut self.pool[self.used..self.used + iv.len()];
        iv.copy_from_slice(fresh);
        fresh.fill(0);
        self.used += iv.len();
        Ok(())
    }

    fn seed(&mut self) -> Result<(), ErrorStack> {
        let mut key = [0; 48];
        rand_bytes(&mut key)?;
        let seeded = self.stream.encrypt_init(
            Some(Cipher::aes_256_ctr()),
            Some(&key[..32]),
            Some(&key[32..]),
        );
        key.zeroize();
        self.refills = 0;
        seeded
    }

    fn refill(&mut self) -> Result<(), ErrorStack> {
        if self.refills == REFILLS {
            self.seed()?;
        }
        self.refills += 1;
        self.pool.fill(0);
        self.stream
            .cipher_update_inplace(&mut self.pool[..], POOL)?;
        self.used = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ivs_never_repeat_and_differ_between_threads() {
        let (mut a, mut b) = (IvSource::new().unwrap(), IvSource::new().unwrap());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            for source in [&mut a, &mut b] {
                let mut iv = [0; 16];
                source.fill(&mut iv).unwrap();
                assert!(seen.insert(iv));
            }
        }
    }
}
