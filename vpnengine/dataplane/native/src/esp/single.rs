//! OpenSSL, one packet at a time: every algorithm, on every machine.

use super::suite::{Cipher, Integrity, Suite};
use openssl::cipher::{Cipher as Algorithm, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::hash::{Hasher, MessageDigest};
use openssl::sha::{Sha1, Sha256, Sha384, Sha512};
use std::hint::black_box;
use zeroize::Zeroize;

/// What is to be done with one packet: its encrypted part is `start..end`, and the ICV follows.
pub(super) struct Layout<'a> {
    pub start: usize,
    pub end: usize,
    /// AEAD and CTR: what goes into the cipher beside the key.
    pub nonce: &'a [u8],
    /// AEAD: what is authenticated and not encrypted.
    pub aad: &'a [u8],
    /// HMAC: the upper half of a 64-bit sequence number, or nothing (RFC 4303 section 2.8).
    pub high: &'a [u8],
}

/// The keys of one SA and direction. OpenSSL wipes a context that it frees.
pub(super) struct Single {
    cipher: Option<CipherCtx>,
    hmac: Option<Hmac>,
    suite: Suite,
    opening: bool,
}

impl Single {
    /// `encryption` is the key without its salt.
    pub(super) fn new(
        suite: Suite,
        opening: bool,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Self, ErrorStack> {
        let cipher = match algorithm(suite.cipher()) {
            Some(algorithm) => Some(context(suite, algorithm, opening, encryption)?),
            None => None,
        };
        let hmac = suite
            .integrity()
            .map(|algorithm| Hmac::new(algorithm, integrity))
            .transpose()?;
        Ok(Self {
            cipher,
            hmac,
            suite,
            opening,
        })
    }

    /// Encrypt in place and write the ICV.
    pub(super) fn seal(&mut self, packet: &mut [u8], at: &Layout<'_>) -> Result<(), ErrorStack> {
        let icv = self.suite.icv();
        self.crypt(packet, at)?;
        if self.suite.is_aead() {
            if let Some(context) = &self.cipher {
                context.tag(&mut packet[at.end..at.end + icv])?;
            }
        } else if let Some(hmac) = &self.hmac {
            let mut mac = [0; MAC];
            hmac.mac(&packet[..at.end], at.high, &mut mac)?;
            packet[at.end..at.end + icv].copy_from_slice(&mac[..icv]);
        }
        Ok(())
    }

    /// Check the ICV and decrypt in place; false if it is not authentic. What is in the packet then is nothing.
    pub(super) fn open(&mut self, packet: &mut [u8], at: &Layout<'_>) -> Result<bool, ErrorStack> {
        let icv = self.suite.icv();
        if self.suite.is_aead() {
            // The one thing that fails here is the check: key, nonce and lengths are ours.
            return Ok(self.crypt(packet, at).is_ok());
        }
        if let Some(hmac) = &self.hmac {
            let mut mac = [0; MAC];
            hmac.mac(&packet[..at.end], at.high, &mut mac)?;
            if !openssl::memcmp::eq(&mac[..icv], &packet[at.end..at.end + icv]) {
                return Ok(false);
            }
        }
        self.crypt(packet, at)?;
        Ok(true)
    }

    fn crypt(&mut self, packet: &mut [u8], at: &Layout<'_>) -> Result<(), ErrorStack> {
        let Some(context) = &mut self.cipher else {
            return Ok(());
        };
        match self.suite.cipher() {
            Cipher::AesCbc { .. } | Cipher::CamelliaCbc { .. } | Cipher::TripleDesCbc => {
                let mut iv = [0; 16];
                let length = self.suite.iv();
                iv[..length].copy_from_slice(&packet[at.start - length..at.start]);
                begin(context, self.opening, &iv[..length])?;
                cbc(context, &mut packet[at.start..at.end], length)
            }
            Cipher::AesCtr { .. } => {
                begin(context, self.opening, at.nonce)?;
                context
                    .cipher_update_inplace(&mut packet[at.start..at.end], at.end - at.start)
                    .map(drop)
            }
            Cipher::AesCcm { .. } => self.ccm(packet, at),
            _ => {
                begin(context, self.opening, at.nonce)?;
                if self.opening {
                    context.set_tag(&packet[at.end..at.end + self.suite.icv()])?;
                }
                context.cipher_update(at.aad, None)?;
                context.cipher_update_inplace(&mut packet[at.start..at.end], at.end - at.start)?;
                context.cipher_final(&mut []).map(drop)
            }
        }
    }

    /// CCM has to know the length before anything else, and checks the ICV as it decrypts.
    fn ccm(&mut self, packet: &mut [u8], at: &Layout<'_>) -> Result<(), ErrorStack> {
        let Some(context) = &mut self.cipher else {
            return Ok(());
        };
        if self.opening {
            context.set_tag(&packet[at.end..at.end + self.suite.icv()])?;
        }
        begin(context, self.opening, at.nonce)?;
        context.set_data_len(at.end - at.start)?;
        context.cipher_update(at.aad, None)?;
        context
            .cipher_update_inplace(&mut packet[at.start..at.end], at.end - at.start)
            .map(drop)
    }
}

fn begin(context: &mut CipherCtx, opening: bool, nonce: &[u8]) -> Result<(), ErrorStack> {
    if opening {
        context.decrypt_init(None, None, Some(nonce))
    } else {
        context.encrypt_init(None, None, Some(nonce))
    }
}

/// The crate wants room for one block more than it writes, so the last block goes through a buffer of its own.
fn cbc(context: &mut CipherCtx, text: &mut [u8], block: usize) -> Result<(), ErrorStack> {
    let last = text.len() - block;
    if last > 0 {
        context.cipher_update_inplace(text, last)?;
    }
    let mut buffer = [0; 32];
    buffer[..block].copy_from_slice(&text[last..]);
    context.cipher_update_inplace(&mut buffer, block)?;
    text[last..].copy_from_slice(&buffer[..block]);
    buffer.zeroize();
    Ok(())
}

fn context(
    suite: Suite,
    algorithm: &CipherRef,
    opening: bool,
    key: &[u8],
) -> Result<CipherCtx, ErrorStack> {
    let mut context = CipherCtx::new()?;
    if opening {
        context.decrypt_init(Some(algorithm), None, None)?;
    } else {
        context.encrypt_init(Some(algorithm), None, None)?;
    }
    if let Cipher::AesCcm { icv, .. } = suite.cipher() {
        // Both are part of what CCM makes of the key, so they come before it.
        context.set_iv_length(11)?;
        context.set_tag_length(usize::from(icv))?;
    }
    if opening {
        context.decrypt_init(None, Some(key), None)?
    } else {
        context.encrypt_init(None, Some(key), None)?
    };
    context.set_padding(false);
    Ok(context)
}

fn algorithm(cipher: Cipher) -> Option<&'static CipherRef> {
    Some(match cipher {
        Cipher::Null => return None,
        Cipher::AesCbc { bits: 128 } => Algorithm::aes_128_cbc(),
        Cipher::AesCbc { bits: 192 } => Algorithm::aes_192_cbc(),
        Cipher::AesCbc { .. } => Algorithm::aes_256_cbc(),
        Cipher::AesCtr { bits: 128 } => Algorithm::aes_128_ctr(),
        Cipher::AesCtr { bits: 192 } => Algorithm::aes_192_ctr(),
        Cipher::AesCtr { .. } => Algorithm::aes_256_ctr(),
        Cipher::AesGcm { bits: 128, .. } => Algorithm::aes_128_gcm(),
        Cipher::AesGcm { bits: 192, .. } => Algorithm::aes_192_gcm(),
        Cipher::AesGcm { .. } => Algorithm::aes_256_gcm(),
        Cipher::AesCcm { bits: 128, .. } => Algorithm::aes_128_ccm(),
        Cipher::AesCcm { bits: 192, .. } => Algorithm::aes_192_ccm(),
        Cipher::AesCcm { .. } => Algorithm::aes_256_ccm(),
        Cipher::ChaCha20Poly1305 => Algorithm::chacha20_poly1305(),
        Cipher::CamelliaCbc { bits: 128 } => Algorithm::camellia128_cbc(),
        Cipher::CamelliaCbc { bits: 192 } => Algorithm::camellia192_cbc(),
        Cipher::CamelliaCbc { .. } => Algorithm::camellia256_cbc(),
        Cipher::TripleDesCbc => Algorithm::des_ede3_cbc(),
    })
}

/// The longest MAC, in octets.
const MAC: usize = 64;

/// The inner and outer hash of HMAC (RFC 2104), each with the key's block already in it.
struct Pair<H: Clone> {
    inner: H,
    outer: H,
    empty: H,
}

impl<H: Clone> Drop for Pair<H> {
    /// A key can be found from neither state, but a forger needs no more than both.
    fn drop(&mut self) {
        self.inner = self.empty.clone();
        self.outer = self.empty.clone();
        black_box((&self.inner, &self.outer));
    }
}

enum Hmac {
    Md5(Box<Pair<Hasher>>),
    Sha1(Box<Pair<Sha1>>),
    Sha256(Box<Pair<Sha256>>),
    Sha384(Box<Pair<Sha384>>),
    Sha512(Box<Pair<Sha512>>),
}

impl Hmac {
    fn new(algorithm: Integrity, key: &[u8]) -> Result<Self, ErrorStack> {
        Ok(match algorithm {
            Integrity::Md5 => {
                let empty = Hasher::new(MessageDigest::md5())?;
                Self::Md5(pair(empty, key, 64, |hash, block| hash.update(block))?)
            }
            Integrity::Sha1 => Self::Sha1(pair(Sha1::new(), key, 64, |h, b| {
                h.update(b);
                Ok(())
            })?),
            Integrity::Sha256 => Self::Sha256(pair(Sha256::new(), key, 64, |h, b| {
                h.update(b);
                Ok(())
            })?),
            Integrity::Sha384 => Self::Sha384(pair(Sha384::new(), key, 128, |h, b| {
                h.update(b);
                Ok(())
            })?),
            Integrity::Sha512 => Self::Sha512(pair(Sha512::new(), key, 128, |h, b| {
                h.update(b);
                Ok(())
            })?),
        })
    }

    /// The MAC of the two parts, at the beginning of `mac`.
    fn mac(&self, packet: &[u8], high: &[u8], mac: &mut [u8; MAC]) -> Result<(), ErrorStack> {
        macro_rules! sha {
            ($pair:expr) => {{
                let (mut inner, mut outer) = ($pair.inner.clone(), $pair.outer.clone());
                inner.update(packet);
                inner.update(high);
                outer.update(&inner.finish());
                let digest = outer.finish();
                mac[..digest.len()].copy_from_slice(&digest);
            }};
        }
        match self {
            Self::Md5(pair) => {
                let (mut inner, mut outer) = (pair.inner.clone(), pair.outer.clone());
                inner.update(packet)?;
                inner.update(high)?;
                outer.update(&inner.finish()?)?;
                mac[..16].copy_from_slice(&outer.finish()?);
            }
            Self::Sha1(pair) => sha!(pair),
            Self::Sha256(pair) => sha!(pair),
            Self::Sha384(pair) => sha!(pair),
            Self::Sha512(pair) => sha!(pair),
        }
        Ok(())
    }
}

fn pair<H: Clone>(
    empty: H,
    key: &[u8],
    block: usize,
    update: fn(&mut H, &[u8]) -> Result<(), ErrorStack>,
) -> Result<Box<Pair<H>>, ErrorStack> {
    let mut made = Box::new(Pair {
        inner: empty.clone(),
        outer: empty.clone(),
        empty,
    });
    for (hash, with) in [(&mut made.inner, 0x36), (&mut made.outer, 0x5c)] {
        let mut padded = [with; 128];
        padded
            .iter_mut()
            .zip(key)
            .for_each(|(octet, of_key)| *octet ^= of_key);
        let updated = update(hash, &padded[..block]);
        padded.zeroize();
        updated?;
    }
    Ok(made)
}
