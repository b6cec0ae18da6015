//! Each worker keeps to its own half of the cores.
//!
//! The scheduler likes to put a thread next to the one that woke it. Both workers are woken by the traffic, so that they
//! often share one core while another is idle; with a half each that cannot be, and within its half a worker still moves.

use std::mem::{MaybeUninit, size_of};

/// The calling thread keeps to every second of the cores that it may use, the first or the second one onwards. Where
/// there is only one, or where the system refuses, all stays as it is.
pub fn keep_to_half(second: bool) {
    let Some(allowed) = allowed() else {
        return;
    };
    let half = half(&allowed, second);
    if half.is_empty() || half.len() == allowed.len() {
        return;
    }
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    for core in half {
        // SAFETY: `core` is below CPU_SETSIZE, as `allowed` finds no others; zeros are a valid, empty set.
        unsafe { libc::CPU_SET(core, &mut *set.as_mut_ptr()) };
    }
    // SAFETY: 0 is the calling thread; the set outlives the call, which only reads it.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set.as_ptr()) };
}

/// The cores that the calling thread may use, in ascending order.
fn allowed() -> Option<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: 0 is the calling thread; the call writes at most the size given, which is the set's.
    let result =
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: every bit pattern is a valid set.
    let set = unsafe { set.assume_init() };
    let cores = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: the numbers are below CPU_SETSIZE.
    Some(
        cores
            .filter(|core| unsafe { libc::CPU_ISSET(*core, &set) })
            .collect(),
    )
}

fn half(allowed: &[usize], second: bool) -> Vec<usize> {
    allowed
        .iter()
        .copied()
        .skip(usize::from(second))
        .step_by(2)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_share_nothing_and_leave_nothing_out() {
        assert_eq!(half(&[0, 1], false), [0]);
        assert_eq!(half(&[0, 1], true), [1]);
        assert_eq!(half(&[2, 3, 6, 7, 9], false), [2, 6, 9]);
        assert_eq!(half(&[2, 3, 6, 7, 9], true), [3, 7]);
        assert!(half(&[5], true).is_empty());
    }

    #[test]
    fn a_thread_keeps_to_its_half_and_to_itself() {
        let all = allowed().unwrap();
        for second in [false, true] {
            let wanted = match half(&all, second) {
                some if some.is_empty() => all.clone(),
                some => some,
            };
            let kept = std::thread::spawn(move || {
                keep_to_half(second);
                allowed().unwrap()
            });
            assert_eq!(kept.join().unwrap(), wanted);
        }
        assert_eq!(allowed().unwrap(), all, "other threads are not touched");
    }
}
