//! Waiting for descriptors.

use std::os::fd::RawFd;

/// Wait until one of `fds` is readable or `milliseconds` have passed; which of them are, in their order. An error on a
/// descriptor counts as readable, so that whoever reads it learns of it.
pub fn readable<const N: usize>(fds: [RawFd; N], milliseconds: i32) -> [bool; N] {
    let mut polled = fds.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: `polled` holds exactly N entries and outlives the call. A negative descriptor is passed over.
    let found = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    polled.map(|one| found > 0 && one.revents != 0)
}
