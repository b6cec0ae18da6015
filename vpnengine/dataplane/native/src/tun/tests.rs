//! A real device in a network namespace of the test's own thread. Needs root and `/dev/net/tun`, as the data path does.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use super::*;
use crate::offload::{Coalescer, Plan};

/// Run `test` in a thread with a namespace of its own; false if this user may not make one.
fn in_namespace(test: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::spawn(|| {
        // SAFETY: takes a number, moves this thread alone to a new network namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return false;
        }
        test();
        true
    });
    thread.join().unwrap()
}

fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn up(name: &str, queues: usize) -> Vec<Queue> {
    let queues = open(name, queues).unwrap();
    for line in [
        "addr add 10.9.0.1/24 dev",
        "-6 addr add fd09::1/64 nodad dev",
        "link set mtu 1400 up dev",
    ] {
        ip(&format!("{line} {name}"));
    }
    queues
}

/// Swap the addresses of an inner packet, so that what the host sends to the other side comes back as the other's.
fn turn(packet: &mut [u8]) {
    let (from, size) = if packet[0] >> 4 == 4 {
        (12, 4)
    } else {
        (8, 16)
    };
    let (left, right) = packet[from..].split_at_mut(size);
    left.swap_with_slice(&mut right[..size]);
}

/// Cut, turn around, merge and write back whatever comes, until `done`; (reads, packets, writes).
fn mirror(queue: &Queue, done: impl Fn() -> bool) -> (usize, usize, usize) {
    let mut buffer = vec![0; READ_SIZE];
    let mut coalescer = Coalescer::new(queue.offloads().uso);
    let (mut reads, mut packets, mut writes) = (0, 0, 0);
    let end = Instant::now() + Duration::from_secs(20);
    while !done() && Instant::now() < end {
        let (header, packet) = match queue.read(&mut buffer) {
            Ok(read) => read,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
        };
        if packet[0] >> 4 == 6 && matches!(packet[6], 0 | 58) {
            continue; // the host's own questions for routers
        }
        let plan = Plan::new(&header, packet).unwrap();
        assert!(plan.full_len() <= 1400, "{header:?}");
        let mut all: Vec<Vec<u8>> = (0..plan.count())
            .map(|index| vec![0; plan.len(index)])
            .collect();
        for (index, out) in all.iter_mut().enumerate() {
            plan.write(index, out);
            turn(out);
        }
        let mut burst = coalescer.burst();
        all.iter().for_each(|packet| burst.push(packet));
        burst.finish(|slices, _| {
            queue.write(slices).unwrap();
            writes += 1;
        });
        reads += 1;
        packets += plan.count();
    }
    (reads, packets, writes)
}

/// The host's TCP connects to itself through the mirror: to the other address, which comes back as its own.
fn tcp_through_the_mirror(local: &str, remote: &str) {
    let queue = up("mirror0", 1).remove(0);
    assert!(
        queue.offloads().tso,
        "this kernel cuts TCP for TUN since Linux 2.6.27"
    );
    let listener = TcpListener::bind((local, 0)).unwrap();
    let target = SocketAddr::new(
        remote.parse().unwrap(),
        listener.local_addr().unwrap().port(),
    );
    let data: Vec<u8> = (0..4_000_000u32)
        .map(|i| (i.wrapping_mul(7919) >> 8) as u8)
        .collect();
    let sent = data.clone();
    let receiver = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_end(&mut received)
            .unwrap();
        received
    });
    let sender = std::thread::spawn(move || {
        TcpStream::connect(target)
            .unwrap()
            .write_all(&sent)
            .unwrap()
    });
    let (reads, packets, writes) = mirror(&queue, || receiver.is_finished());
    assert!(
        receiver.is_finished(),
        "the stream has stalled: {reads} reads, {packets} packets, {writes} writes"
    );
    sender.join().unwrap();
    assert!(receiver.join().unwrap() == data);
    assert!(
        packets > 3 * reads,
        "{packets} packets in {reads} reads: no large packets came"
    );
    assert!(
        packets > 3 * writes,
        "{packets} packets in {writes} writes: nothing was merged"
    );
}

#[test]
fn tcp_passes_in_large_packets_over_ipv4() {
    assert!(
        in_namespace(|| tcp_through_the_mirror("10.9.0.1", "10.9.0.2")),
        "not root"
    );
}

#[test]
fn tcp_passes_in_large_packets_over_ipv6() {
    assert!(
        in_namespace(|| tcp_through_the_mirror("fd09::1", "fd09::2")),
        "not root"
    );
}

#[test]
fn datagrams_pass_segmented_by_the_sender() {
    let test = || {
        let queue = up("mirror0", 1).remove(0);
        let receiver = UdpSocket::bind("10.9.0.1:0").unwrap();
        let sender = UdpSocket::bind("10.9.0.1:0").unwrap();
        let target = SocketAddr::new([10, 9, 0, 2].into(), receiver.local_addr().unwrap().port());
        let sender = crate::udp::Socket::adopt(sender.into()).unwrap();
        let data: Vec<u8> = (0..40u8).flat_map(|i| [i; 1000]).collect();
        let item = crate::udp::Outgoing {
            data: &data,
            segment: 1000,
            remote: target,
            local: None,
            tos: 0,
            fragmenting: None,
        };
        let mut report = crate::udp::SendReport::default();
        crate::udp::SendBatch::default().send(&sender, &[item], &mut report);
        assert_eq!((report.sent, report.calls), (40, 1));
        let count = std::cell::Cell::new(0u8);
        receiver.set_nonblocking(true).unwrap();
        let (reads, packets, _) = mirror(&queue, || {
            let mut datagram = [0; 2000];
            while let Ok(length) = receiver.recv(&mut datagram) {
                assert_eq!(datagram[..length], [count.get(); 1000]);
                count.set(count.get() + 1);
            }
            count.get() == 40
        });
        assert_eq!((packets, count.get()), (40, 40));
        assert!(!queue.offloads().uso || reads == 1, "{reads} reads");
    };
    assert!(in_namespace(test), "not root");
}

#[test]
fn opens_several_queues_and_names_a_wrong_name() {
    let test = || {
        assert_eq!(up("mirror0", 3).len(), 3);
        assert_eq!(open("", 1).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(
            open("a-name-that-is-too-long", 1).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    };
    assert!(in_namespace(test), "not root");
}
