//! Expanded keys of an SA, one direction each.

use super::multibuffer;
use super::single::Single;
use super::suite::{Suite, SuiteError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// What sealing and opening have in common.
///
/// A `Single` has a state while it works, hence the mutex; an SA belongs to one worker at a time, so nobody waits for it.
/// The lanes' key is constant and needs none.
pub(super) struct Keys {
    pub(super) suite: Suite,
    pub(super) salt: Zeroizing<[u8; 4]>,
    pub(super) lanes: Option<multibuffer::Key>,
    single: Mutex<Single>,
}

impl Keys {
    fn new(
        suite: Suite,
        opening: bool,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, SuiteError> {
        let expected = [
            ("encryption", suite.key() + suite.salt(), encryption.len()),
            ("integrity", suite.integrity_key(), integrity.len()),
        ];
        for (field, wanted, found) in expected {
            if wanted != found {
                return Err(SuiteError(format!(
                    "{field} key: it has {wanted} octets, not {found}"
                )));
            }
        }
        let (key, rest) = encryption.split_at(suite.key());
        let mut salt = Zeroizing::new([0; 4]);
        salt[..rest.len()].copy_from_slice(rest);
        let single = Single::new(suite, opening, key, integrity).map_err(|_| {
            SuiteError(format!(
                "encryption: OpenSSL on this host does not offer {:?}",
                suite
            ))
        })?;
        let lanes = multibuffer::Key::new(suite, opening, key, integrity);
        Ok(Self {
            suite,
            salt,
            lanes,
            single: Mutex::new(single),
        })
    }

    pub(super) fn single(&self) -> MutexGuard<'_, Single> {
        self.single.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of an outbound SA. They are wiped when it is dropped.
pub struct SealKey {
    pub(super) keys: Keys,
    pub(super) spi: [u8; 4],
}

impl SealKey {
    /// `encryption` is the key and its salt or nonce as KEYMAT has them, `integrity` is empty for an AEAD cipher.
    pub fn new(
        suite: Suite,
        spi: u32,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, SuiteError> {
        Ok(Self {
            keys: Keys::new(suite, false, encryption, integrity)?,
            spi: spi.to_be_bytes(),
        })
    }

    pub fn suite(&self) -> Suite {
        self.keys.suite
    }
}

/// Keys of an inbound SA. They are wiped when it is dropped.
pub struct OpenKey {
    pub(super) keys: Keys,
}

impl OpenKey {
    /// As [`SealKey::new`].
    pub fn new(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<Self, SuiteError> {
        Ok(Self {
            keys: Keys::new(suite, true, encryption, integrity)?,
        })
    }

    pub fn suite(&self) -> Suite {
        self.keys.suite
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKey({:?}, …)", self.keys.suite)
    }
}

impl std::fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenKey({:?}, …)", self.keys.suite)
    }
}
