//! Batches of packets, of any SAs, through the lanes or one at a time.

use super::HEADER;
use super::iv::IvSource;
use super::keys::{Keys, OpenKey, SealKey};
use super::multibuffer::{Job, Key, LONGEST, Manager};
use super::single::Layout;
use super::suite::{Cipher, Suite, SuiteError};
use super::trailer::{self, Opened, Refusal};

/// How many packets go to the library together. The lanes are flushed after each such batch, and 16 packets of equal
/// length fill them, so that a long batch wastes the least; the library's queue holds 256.
const BATCH: usize = 256;

/// Which library works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// libipsec-mb where it is there, OpenSSL for the rest.
    Best,
    /// OpenSSL alone.
    OpenSsl,
}

/// A packet to be sealed. `packet` has the inner packet at [`Suite::offset`] and at least [`Suite::sealed_len`] octets;
/// what lies around the inner packet is overwritten.
pub struct SealJob<'a> {
    pub key: &'a SealKey,
    pub packet: &'a mut [u8],
    pub inner_len: usize,
    /// From [`super::Sequence::next`]: never used before with this key.
    pub sequence: u64,
    /// 4 or 41 in tunnel mode.
    pub next_header: u8,
    /// The ESP packet's length afterwards; None if it was not sealed, because `packet` is too short or the library fails.
    pub sealed: Option<usize>,
}

impl<'a> SealJob<'a> {
    pub fn new(
        key: &'a SealKey,
        packet: &'a mut [u8],
        inner_len: usize,
        sequence: u64,
        next_header: u8,
    ) -> Self {
        Self {
            key,
            packet,
            inner_len,
            sequence,
            next_header,
            sealed: None,
        }
    }
}

/// A packet to be opened: exactly the ESP packet, from SPI to ICV. It is decrypted in place.
pub struct OpenJob<'a> {
    pub key: &'a OpenKey,
    pub packet: &'a mut [u8],
    /// The whole number from [`super::ReplayWindow::check`].
    pub sequence: u64,
    /// Where the payload lies, whatever the mode; see [`Opened::tunnel`].
    pub opened: Result<Opened, Refusal>,
}

impl<'a> OpenJob<'a> {
    pub fn new(key: &'a OpenKey, packet: &'a mut [u8], sequence: u64) -> Self {
        Self {
            key,
            packet,
            sequence,
            opened: Err(Refusal::NotAuthentic),
        }
    }
}

/// One thread's way to seal and open.
pub struct Engine {
    manager: Option<Manager>,
    ivs: IvSource,
}

impl Engine {
    /// With [`Backend::Best`] the engine works everywhere; [`Engine::backend`] tells what it found.
    pub fn new(backend: Backend) -> Result<Self, SuiteError> {
        let ivs =
            IvSource::new().map_err(|_| SuiteError("OpenSSL gives no random numbers".into()))?;
        let manager = if backend == Backend::Best {
            Manager::new()
        } else {
            None
        };
        Ok(Self { manager, ivs })
    }

    /// A name for the status: `ipsec-mb` or `openssl`.
    pub fn backend(&self) -> &'static str {
        if self.manager.is_some() {
            "ipsec-mb"
        } else {
            "openssl"
        }
    }

    /// Seal all of them; each tells in `sealed` how it went.
    pub fn seal(&mut self, jobs: &mut [SealJob<'_>]) {
        for batch in jobs.chunks_mut(BATCH) {
            self.seal_batch(batch);
        }
    }

    /// Open all of them; each tells in `opened` how it went.
    pub fn open(&mut self, jobs: &mut [OpenJob<'_>]) {
        for batch in jobs.chunks_mut(BATCH) {
            self.open_batch(batch);
        }
    }

    fn seal_batch(&mut self, batch: &mut [SealJob<'_>]) {
        let mut queue: Vec<Job<'_>> = Vec::new();
        let count = batch.len();
        for (index, job) in batch.iter_mut().enumerate() {
            let (keys, suite) = (&job.key.keys, job.key.keys.suite);
            job.sealed = None;
            let length = suite.sealed_len(job.inner_len);
            if job.packet.len() < length || self.prepare(job).is_err() {
                continue;
            }
            let packet = &mut job.packet[..length];
            let end = trailer::write(
                packet,
                suite.offset(),
                job.inner_len,
                suite.block(),
                job.next_header,
            );
            let context = Context::new(keys, packet, job.sequence);
            match lanes(&self.manager, keys, length) {
                Some(key) if key.is_gcm => {
                    let (text, icv) = packet[suite.offset()..].split_at_mut(end - suite.offset());
                    key.gcm(text, &context.nonce12(), context.aad(), icv);
                    job.sealed = Some(length);
                }
                Some(key) => {
                    queue.reserve(if queue.is_empty() { count } else { 0 });
                    queue.push(context.job(suite, key, packet, end, index));
                }
                None if suite.icv() == 0 => job.sealed = Some(length),
                None => {
                    let sealed = keys.single().seal(packet, &context.layout(suite, end));
                    job.sealed = sealed.is_ok().then_some(length);
                }
            }
        }
        let Some(manager) = self.manager.as_mut().filter(|_| !queue.is_empty()) else {
            return;
        };
        manager.run(&mut queue);
        let sealed = queue
            .iter_mut()
            .map(|job| (job.index as usize, job.store_icv()));
        let sealed: Vec<_> = sealed.collect();
        drop(queue);
        for (index, _) in sealed.into_iter().filter(|(_, done)| *done) {
            let job = &mut batch[index];
            job.sealed = Some(job.key.suite().sealed_len(job.inner_len));
        }
    }

    /// Header and IV.
    fn prepare(&mut self, job: &mut SealJob<'_>) -> Result<(), openssl::error::ErrorStack> {
        let suite = job.key.keys.suite;
        job.packet[..4].copy_from_slice(&job.key.spi);
        job.packet[4..HEADER].copy_from_slice(&(job.sequence as u32).to_be_bytes());
        match suite.cipher() {
            Cipher::Null => Ok(()),
            Cipher::AesCbc { .. } | Cipher::CamelliaCbc { .. } | Cipher::TripleDesCbc => {
                self.ivs.fill(&mut job.packet[HEADER..suite.offset()])
            }
            // The sequence number never repeats under a key, which is all that counter modes ask for (RFC 3686
            // section 4, RFC 4106 section 3.1, RFC 7634 section 2).
            _ => {
                job.packet[HEADER..HEADER + 8].copy_from_slice(&job.sequence.to_be_bytes());
                Ok(())
            }
        }
    }

    fn open_batch(&mut self, batch: &mut [OpenJob<'_>]) {
        let mut queue: Vec<Job<'_>> = Vec::new();
        let count = batch.len();
        for (index, job) in batch.iter_mut().enumerate() {
            let (keys, suite) = (&job.key.keys, job.key.keys.suite);
            let Some(end) = encrypted_end(suite, job.packet.len()) else {
                job.opened = Err(Refusal::TooShort);
                continue;
            };
            job.opened = Err(Refusal::NotAuthentic);
            let context = Context::new(keys, job.packet, job.sequence);
            let authentic = match lanes(&self.manager, keys, job.packet.len()) {
                Some(key) if key.is_gcm => {
                    let (text, icv) =
                        job.packet[suite.offset()..].split_at_mut(end - suite.offset());
                    let mut tag = [0; 16];
                    key.gcm(
                        text,
                        &context.nonce12(),
                        context.aad(),
                        &mut tag[..icv.len()],
                    );
                    openssl::memcmp::eq(&tag[..icv.len()], icv)
                }
                Some(key) => {
                    queue.reserve(if queue.is_empty() { count } else { 0 });
                    queue.push(context.job(suite, key, job.packet, end, index));
                    continue;
                }
                None if suite.icv() == 0 => true,
                None => keys
                    .single()
                    .open(job.packet, &context.layout(suite, end))
                    .unwrap_or(false),
            };
            if authentic {
                job.opened = trailer::read(job.packet, suite.offset(), end);
            }
        }
        let Some(manager) = self.manager.as_mut().filter(|_| !queue.is_empty()) else {
            return;
        };
        manager.run(&mut queue);
        let opened = queue
            .iter()
            .map(|job| (job.index as usize, job.icv_matches()));
        let opened: Vec<_> = opened.collect();
        drop(queue);
        for (index, _) in opened.into_iter().filter(|(_, authentic)| *authentic) {
            let job = &mut batch[index];
            let suite = job.key.keys.suite;
            job.opened = trailer::read(job.packet, suite.offset(), job.packet.len() - suite.icv());
        }
    }
}

/// The lanes' key, if this packet goes there.
fn lanes<'a>(manager: &Option<Manager>, keys: &'a Keys, length: usize) -> Option<&'a Key> {
    keys.lanes
        .as_ref()
        .filter(|_| manager.is_some() && length <= LONGEST)
}

/// Where the ICV of a received packet begins; None if the packet cannot be of this SA.
fn encrypted_end(suite: Suite, length: usize) -> Option<usize> {
    let end = length.checked_sub(suite.icv())?;
    let encrypted = end.checked_sub(suite.offset())?;
    // An AEAD cipher takes any number of octets; that they end on a boundary of four is the sender's duty.
    let fits = if suite.is_aead() {
        encrypted >= 2
    } else {
        encrypted > 0 && encrypted % suite.block() == 0
    };
    fits.then_some(end)
}

/// What goes into the ciphers beside key and text.
struct Context {
    nonce: [u8; 16],
    nonce_length: usize,
    aad: [u8; 12],
    aad_length: usize,
    high: [u8; 4],
    esn: bool,
}

impl Context {
    /// From a packet whose header and IV are in place.
    fn new(keys: &Keys, packet: &[u8], sequence: u64) -> Self {
        let suite = keys.suite;
        let mut made = Self {
            nonce: [0; 16],
            nonce_length: 0,
            aad: [0; 12],
            aad_length: 0,
            high: ((sequence >> 32) as u32).to_be_bytes(),
            esn: suite.esn(),
        };
        let salt = suite.salt();
        if salt > 0 {
            // Salt, IV and, for CTR alone, a count that starts at one (RFC 3686 section 4).
            made.nonce[..salt].copy_from_slice(&keys.salt[..salt]);
            made.nonce[salt..salt + 8].copy_from_slice(&packet[HEADER..HEADER + 8]);
            made.nonce_length = salt + 8;
            if matches!(suite.cipher(), Cipher::AesCtr { .. }) {
                made.nonce[15] = 1;
                made.nonce_length = 16;
            }
        }
        if suite.is_aead() {
            made.additional(packet);
        }
        made
    }

    /// SPI and sequence number, of which the upper half is in the middle (RFC 4106 section 5).
    fn additional(&mut self, packet: &[u8]) {
        self.aad[..4].copy_from_slice(&packet[..4]);
        if self.esn {
            self.aad[4..8].copy_from_slice(&self.high);
            self.aad[8..].copy_from_slice(&packet[4..8]);
            self.aad_length = 12;
        } else {
            self.aad[4..8].copy_from_slice(&packet[4..8]);
            self.aad_length = 8;
        }
    }

    fn nonce(&self) -> &[u8] {
        &self.nonce[..self.nonce_length]
    }

    fn nonce12(&self) -> [u8; 12] {
        std::array::from_fn(|index| self.nonce[index])
    }

    fn aad(&self) -> &[u8] {
        &self.aad[..self.aad_length]
    }

    fn layout(&self, suite: Suite, end: usize) -> Layout<'_> {
        let high = if suite.esn() && !suite.is_aead() {
            &self.high[..]
        } else {
            &[]
        };
        Layout {
            start: suite.offset(),
            end,
            nonce: self.nonce(),
            aad: self.aad(),
            high,
        }
    }

    /// For the lanes, which hash one range: the upper half of the sequence number (RFC 4303 section 2.8) goes behind the
    /// ciphertext for the while, where the ICV is to come or, kept in the job, has been.
    fn job<'a>(
        &self,
        suite: Suite,
        key: &'a Key,
        packet: &'a mut [u8],
        end: usize,
        index: usize,
    ) -> Job<'a> {
        let mut received = [0; 32];
        let icv = &packet[end..end + suite.icv()];
        received[..icv.len()].copy_from_slice(icv);
        let mut hashed = end;
        if suite.esn() && !suite.is_aead() {
            packet[end..end + 4].copy_from_slice(&self.high);
            hashed += 4;
        }
        let mut job = Job::new(key, packet, suite.offset(), end, hashed);
        job.keep_icv(&received);
        job.with(self.nonce(), self.aad());
        job.index = index as u32;
        job
    }
}
