//! libipsec-mb: many packets at once, in the lanes of the vector registers.
//!
//! The wrapper is safe: a [`Job`] borrows its packet and its key for as long as the library may touch them, and
//! [`Manager::run`] returns when it no longer does. Where the library's header was absent when this was built, or the
//! library or the processor's instructions are absent now, there is no [`Manager`] and no [`Key`].

#[cfg(multibuffer)]
pub(super) use with::{Job, Key, Manager};
#[cfg(not(multibuffer))]
pub(super) use without::{Job, Key, Manager};

/// The lanes count octets in 16 bits, with room for what they add themselves.
pub(super) const LONGEST: usize = 65_000;

#[cfg(multibuffer)]
mod with {
    use super::super::suite::{Cipher, Integrity, Suite};
    use std::ffi::{c_int, c_void};
    use std::marker::PhantomData;
    use std::ptr::NonNull;
    use std::sync::{Mutex, OnceLock, PoisonError};

    // SAFETY: these are the functions of multibuffer.c, with their types.
    unsafe extern "C" {
        fn culvert_mb_load() -> c_int;
        fn culvert_mb_manager_new() -> *mut c_void;
        fn culvert_mb_manager_free(manager: *mut c_void);
        fn culvert_mb_key_new(
            manager: *mut c_void,
            opening: c_int,
            cipher: c_int,
            hash: c_int,
            icv: u32,
            encryption: *const u8,
            encryption_length: u32,
            integrity: *const u8,
            integrity_length: u32,
        ) -> *mut c_void;
        fn culvert_mb_key_free(key: *mut c_void);
        fn culvert_mb_gcm(
            key: *const c_void,
            text: *mut u8,
            length: u64,
            nonce: *const u8,
            aad: *const u8,
            aad_length: u64,
            tag: *mut u8,
            tag_length: u64,
        );
        fn culvert_mb_run(manager: *mut c_void, jobs: *mut Job<'_>, count: u32);
    }

    /// The library's state of one thread: its lanes and queues.
    pub(crate) struct Manager(NonNull<c_void>);

    // SAFETY: a manager has no tie to the thread that made it; it is used by one at a time, through &mut.
    unsafe impl Send for Manager {}
    // SAFETY: a shared reference gives no way to the library.
    unsafe impl Sync for Manager {}

    /// What expands keys; None if the library cannot be used on this host.
    fn expander() -> Option<&'static Mutex<Manager>> {
        static EXPANDER: OnceLock<Option<Mutex<Manager>>> = OnceLock::new();
        EXPANDER
            .get_or_init(|| {
                // SAFETY: OnceLock calls this once, and nothing else of the shim was called before.
                (unsafe { culvert_mb_load() } == 0)
                    .then(Manager::allocate)?
                    .map(Mutex::new)
            })
            .as_ref()
    }

    impl Manager {
        pub(crate) fn new() -> Option<Self> {
            expander()?;
            Self::allocate()
        }

        fn allocate() -> Option<Self> {
            // SAFETY: the library has been loaded by `expander`.
            NonNull::new(unsafe { culvert_mb_manager_new() }).map(Self)
        }

        /// Do all jobs; [`Job::done`] tells which the library has done.
        pub(crate) fn run(&mut self, jobs: &mut [Job<'_>]) {
            // SAFETY: the jobs hold their packets and keys for longer than this call, at the end of which the
            // library's queues are empty; Job::new has checked every offset against the packet's length.
            unsafe { culvert_mb_run(self.0.as_ptr(), jobs.as_mut_ptr(), jobs.len() as u32) }
        }
    }

    impl Drop for Manager {
        fn drop(&mut self) {
            // SAFETY: made by culvert_mb_manager_new, and freed once.
            unsafe { culvert_mb_manager_free(self.0.as_ptr()) }
        }
    }

    /// The expanded keys of one SA and direction, aligned as the library wants them.
    pub(crate) struct Key {
        pointer: NonNull<c_void>,
        pub(crate) is_gcm: bool,
        icv: usize,
    }

    // SAFETY: the block is constant from its making to its freeing.
    unsafe impl Send for Key {}
    // SAFETY: as above.
    unsafe impl Sync for Key {}

    impl Key {
        /// None if the library is not to be used on this host or does not have the algorithms.
        pub(crate) fn new(
            suite: Suite,
            opening: bool,
            encryption: &[u8],
            integrity: &[u8],
        ) -> Option<Self> {
            let cipher = match suite.cipher() {
                Cipher::Null => 0,
                Cipher::AesCbc { .. } => 1,
                Cipher::AesCtr { .. } => 2,
                Cipher::AesGcm { .. } => 3,
                Cipher::AesCcm { .. } => 4,
                Cipher::ChaCha20Poly1305 => 5,
                Cipher::TripleDesCbc => 6,
                Cipher::CamelliaCbc { .. } => return None,
            };
            let hash = match suite.integrity() {
                None if cipher == 0 => return None,
                None => 0,
                Some(Integrity::Md5) => 1,
                Some(Integrity::Sha1) => 2,
                Some(Integrity::Sha256) => 3,
                Some(Integrity::Sha384) => 4,
                Some(Integrity::Sha512) => 5,
            };
            let expander = expander()?.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the manager is ours while the lock is held; the lengths are those of the slices, and the shim
            // refuses those that do not fit the algorithm.
            let key = unsafe {
                culvert_mb_key_new(
                    expander.0.as_ptr(),
                    c_int::from(opening),
                    cipher,
                    hash,
                    suite.icv() as u32,
                    encryption.as_ptr(),
                    encryption.len() as u32,
                    integrity.as_ptr(),
                    integrity.len() as u32,
                )
            };
            NonNull::new(key).map(|pointer| Self {
                pointer,
                is_gcm: matches!(suite.cipher(), Cipher::AesGcm { .. }),
                icv: suite.icv(),
            })
        }

        /// AES-GCM over `text` in place; the tag is computed, not checked.
        pub(crate) fn gcm(&self, text: &mut [u8], nonce: &[u8; 12], aad: &[u8], tag: &mut [u8]) {
            assert!(self.is_gcm && matches!(tag.len(), 8 | 12 | 16));
            // SAFETY: the key was expanded for GCM; every pointer comes with the length of its slice, and the nonce
            // has the 12 octets that the library reads.
            unsafe {
                culvert_mb_gcm(
                    self.pointer.as_ptr(),
                    text.as_mut_ptr(),
                    text.len() as u64,
                    nonce.as_ptr(),
                    aad.as_ptr(),
                    aad.len() as u64,
                    tag.as_mut_ptr(),
                    tag.len() as u64,
                );
            }
        }
    }

    impl Drop for Key {
        fn drop(&mut self) {
            // SAFETY: made by culvert_mb_key_new, and freed once; no job outlives the key that it borrows.
            unsafe { culvert_mb_key_free(self.pointer.as_ptr()) }
        }
    }

    /// One packet in work; multibuffer.c has the same structure.
    #[repr(C)]
    pub(crate) struct Job<'a> {
        key: *const c_void,
        packet: *mut u8,
        start: u32,
        end: u32,
        hashed: u32,
        aad_length: u32,
        nonce: [u8; 16],
        aad: [u8; 16],
        tag: [u8; 64],
        done: u32,
        /// The caller's own number of this job.
        pub(crate) index: u32,
        icv: u32,
        received: [u8; 32],
        borrowed: PhantomData<&'a mut [u8]>,
    }

    impl<'a> Job<'a> {
        /// Octets `start..end` are encrypted, the first `hashed` are under the HMAC, and the ICV's octets follow the encrypted ones.
        pub(crate) fn new(
            key: &'a Key,
            packet: &'a mut [u8],
            start: usize,
            end: usize,
            hashed: usize,
        ) -> Self {
            assert!(
                !key.is_gcm
                    && 8 <= start
                    && start < end
                    && end <= packet.len()
                    && hashed <= packet.len()
                    && end + key.icv <= packet.len()
            );
            assert!(packet.len() <= super::LONGEST);
            Self {
                key: key.pointer.as_ptr(),
                packet: packet.as_mut_ptr(),
                start: start as u32,
                end: end as u32,
                hashed: hashed as u32,
                aad_length: 0,
                nonce: [0; 16],
                aad: [0; 16],
                tag: [0; 64],
                done: 0,
                index: 0,
                icv: key.icv as u32,
                received: [0; 32],
                borrowed: PhantomData,
            }
        }

        /// For AEAD and CTR; at most 16 octets each.
        pub(crate) fn with(&mut self, nonce: &[u8], aad: &[u8]) {
            self.nonce[..nonce.len()].copy_from_slice(nonce);
            self.aad[..aad.len()].copy_from_slice(aad);
            self.aad_length = aad.len() as u32;
        }

        /// Keep the ICV that came with the packet.
        pub(crate) fn keep_icv(&mut self, received: &[u8]) {
            self.received[..received.len()].copy_from_slice(received);
        }

        /// Write the ICV behind the ciphertext; false if the library has not done the job.
        pub(crate) fn store_icv(&mut self) -> bool {
            if self.done == 1 {
                // SAFETY: the packet is borrowed by this job alone, and `new` has seen that it has `icv` octets at `end`.
                let icv = unsafe {
                    let at = self.packet.add(self.end as usize);
                    std::slice::from_raw_parts_mut(at, self.icv as usize)
                };
                icv.copy_from_slice(&self.tag[..self.icv as usize]);
            }
            self.done == 1
        }

        /// True if the ICV that was kept is the right one.
        pub(crate) fn icv_matches(&self) -> bool {
            let length = self.icv as usize;
            self.done == 1 && openssl::memcmp::eq(&self.tag[..length], &self.received[..length])
        }
    }
}

#[cfg(not(multibuffer))]
mod without {
    use super::super::suite::Suite;
    use std::convert::Infallible;
    use std::marker::PhantomData;

    /// There is none.
    pub(crate) struct Manager(Infallible);

    impl Manager {
        pub(crate) fn new() -> Option<Self> {
            None
        }

        pub(crate) fn run(&mut self, _: &mut [Job<'_>]) {
            match self.0 {}
        }
    }

    /// There is none.
    pub(crate) struct Key {
        pub(crate) is_gcm: bool,
        never: Infallible,
    }

    impl Key {
        pub(crate) fn new(_: Suite, _: bool, _: &[u8], _: &[u8]) -> Option<Self> {
            None
        }

        pub(crate) fn gcm(&self, _: &mut [u8], _: &[u8; 12], _: &[u8], _: &mut [u8]) {
            match self.never {}
        }
    }

    /// There is none.
    pub(crate) struct Job<'a> {
        pub(crate) index: u32,
        never: Infallible,
        borrowed: PhantomData<&'a mut [u8]>,
    }

    impl<'a> Job<'a> {
        pub(crate) fn new(key: &'a Key, _: &'a mut [u8], _: usize, _: usize, _: usize) -> Self {
            match key.never {}
        }

        pub(crate) fn with(&mut self, _: &[u8], _: &[u8]) {
            match self.never {}
        }

        pub(crate) fn keep_icv(&mut self, _: &[u8]) {
            match self.never {}
        }

        pub(crate) fn store_icv(&mut self) -> bool {
            match self.never {}
        }

        pub(crate) fn icv_matches(&self) -> bool {
            match self.never {}
        }
    }
}
