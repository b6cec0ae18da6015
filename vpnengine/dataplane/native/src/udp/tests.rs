//! Real sockets on loopback.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::*;

fn pair(host: &str) -> (Socket, Socket) {
    let local = SocketAddr::new(host.parse().unwrap(), 0);
    (
        Socket::udp(local, 0, false).unwrap(),
        Socket::udp(local, 0, false).unwrap(),
    )
}

/// Everything that arrives until `count` datagrams are there, as payload, remote, local, type of service.
fn collect(socket: &Socket, count: usize) -> Vec<(Vec<u8>, SocketAddr, IpAddr, u8)> {
    let mut batch = RecvBatch::new(16, 65_535);
    let mut out = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while out.len() < count && Instant::now() < end {
        match batch.receive(socket) {
            Ok(_) => out.extend(
                batch
                    .datagrams()
                    .map(|d| (d.data.to_vec(), d.remote, d.local, d.tos)),
            ),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    out
}

fn numbered(count: usize, size: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|i| std::iter::repeat_n(i as u8, size))
        .collect()
}

fn deliver(host: &str, gso: bool, gro: bool) {
    let (from, to) = pair(host);
    from.set_gso(gso);
    to.set_gro(gro).unwrap();
    to.set_buffers(4 << 20);
    let data = numbered(100, 1300);
    let local: IpAddr = host.parse().unwrap();
    let item = Outgoing {
        data: &data[..data.len() - 7],
        segment: 1300,
        remote: to.local().unwrap(),
        local: Some(local),
        tos: 0xb9,
        fragmenting: None,
    };
    let mut report = SendReport::default();
    SendBatch::default().send(&from, &[item], &mut report);
    assert_eq!(
        (report.sent, report.octets),
        (100, 130_000 - 7),
        "{report:?}"
    );
    let calls = if gso { 1 } else { 2 };
    assert_eq!(report.calls, calls);
    let received = collect(&to, 100);
    assert_eq!(received.len(), 100);
    for (index, (payload, remote, to_address, tos)) in received.iter().enumerate() {
        assert_eq!(payload.len(), if index == 99 { 1293 } else { 1300 });
        assert!(
            payload.iter().all(|&octet| octet == index as u8),
            "datagram {index}"
        );
        assert_eq!(
            (*remote, *to_address, *tos),
            (from.local().unwrap(), local, 0xb9)
        );
    }
}

#[test]
fn delivers_batches_with_offloads_over_ipv4() {
    deliver("127.0.0.1", true, true);
}

#[test]
fn delivers_batches_with_offloads_over_ipv6() {
    deliver("::1", true, true);
}

#[test]
fn delivers_batches_without_offloads() {
    deliver("127.0.0.1", false, false);
    deliver("::1", false, false);
    deliver("127.0.0.1", true, false);
}

#[test]
fn sends_to_many_destinations_from_chosen_addresses_in_one_call() {
    let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let from = Socket::udp(any, 0, false).unwrap();
    let receivers: Vec<Socket> = (0..3)
        .map(|_| Socket::udp("0.0.0.0:0".parse().unwrap(), 0, false).unwrap())
        .collect();
    let port = |socket: &Socket| socket.local().unwrap().port();
    let item = |index: usize, socket: &Socket| Outgoing {
        data: b"one datagram",
        segment: 0,
        remote: SocketAddr::new(IpAddr::from([127, 0, 1, index as u8]), port(socket)),
        local: Some(IpAddr::from([127, 0, 2, index as u8])),
        tos: index as u8,
        fragmenting: None,
    };
    let items: Vec<_> = receivers
        .iter()
        .enumerate()
        .map(|(index, socket)| item(index, socket))
        .collect();
    let mut report = SendReport::default();
    SendBatch::default().send(&from, &items, &mut report);
    assert_eq!((report.sent, report.calls), (3, 1));
    for (index, socket) in receivers.iter().enumerate() {
        let (payload, remote, local, tos) = collect(socket, 1).remove(0);
        assert_eq!(payload, b"one datagram");
        assert_eq!(
            remote,
            SocketAddr::new(IpAddr::from([127, 0, 2, index as u8]), port(&from))
        );
        assert_eq!(local, IpAddr::from([127, 0, 1, index as u8]));
        assert_eq!(tos, index as u8);
    }
}

#[test]
fn an_empty_datagram_arrives_as_none() {
    let (from, to) = pair("127.0.0.1");
    let item = Outgoing {
        data: b"",
        segment: 0,
        remote: to.local().unwrap(),
        local: None,
        tos: 0,
        fragmenting: None,
    };
    let mut report = SendReport::default();
    SendBatch::default().send(&from, &[item], &mut report);
    assert_eq!(report.sent, 1);
    assert!(collect_for(&to, Duration::from_millis(30)).is_empty());
}

fn collect_for(socket: &Socket, time: Duration) -> Vec<Vec<u8>> {
    std::thread::sleep(time);
    let mut batch = RecvBatch::new(4, 2048);
    match batch.receive(socket) {
        Ok(_) => batch.datagrams().map(|d| d.data.to_vec()).collect(),
        Err(_) => Vec::new(),
    }
}

#[test]
fn counts_what_is_too_big_and_learns_the_mtu_from_the_error_queue() {
    let (from, to) = pair("127.0.0.1");
    let remote = to.local().unwrap();
    let data = vec![0; 65_508];
    let item = Outgoing {
        data: &data,
        segment: 0,
        remote,
        local: None,
        tos: 0,
        fragmenting: None,
    };
    let mut report = SendReport::default();
    SendBatch::default().send(&from, &[item], &mut report);
    assert_eq!((report.sent, report.too_big), (0, 1), "{report:?}");
}

#[test]
fn a_closed_port_is_told_and_does_not_stop_the_next_datagram() {
    let (from, to) = pair("127.0.0.1");
    let (closed, listening) = pair("127.0.0.1");
    let gone = closed.local().unwrap();
    drop(closed);
    drop(to);
    let send = |remote: SocketAddr| {
        let item = Outgoing {
            data: b"data",
            segment: 0,
            remote,
            local: None,
            tos: 0,
            fragmenting: None,
        };
        let mut report = SendReport::default();
        SendBatch::default().send(&from, &[item], &mut report);
        report
    };
    assert_eq!(send(gone).sent, 1);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(send(listening.local().unwrap()).sent, 1);
    assert_eq!(collect(&listening, 1).len(), 1);
    let mut errors = Vec::new();
    from.errors(|error| errors.push(error)).unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        (errors[0].remote, errors[0].kind),
        (gone, PathErrorKind::Refused)
    );
    assert_eq!(errors[0].by.unwrap().ip(), gone.ip());
}

#[test]
fn a_message_larger_than_its_slot_is_dropped_and_counted() {
    let (from, to) = pair("127.0.0.1");
    let item = Outgoing {
        data: &[1; 200],
        segment: 0,
        remote: to.local().unwrap(),
        local: None,
        tos: 0,
        fragmenting: None,
    };
    SendBatch::default().send(&from, &[item], &mut SendReport::default());
    std::thread::sleep(Duration::from_millis(20));
    let mut batch = RecvBatch::new(4, 100);
    assert_eq!(batch.receive(&to).unwrap(), 1);
    assert_eq!((batch.datagrams().count(), batch.truncated()), (0, 1));
}

#[test]
fn datagrams_go_together_if_only_the_last_is_shorter() {
    let octets = [0; 64];
    let remote: SocketAddr = "127.0.0.1:4500".parse().unwrap();
    let item = |length: usize, segment: usize, remote: SocketAddr, tos: u8| Outgoing {
        data: &octets[..length],
        segment,
        remote,
        local: None,
        tos,
        fragmenting: None,
    };
    let first = item(16, 8, remote, 0);
    assert!(first.continues_with(&item(8, 8, remote, 0)));
    assert!(first.continues_with(&item(24, 8, remote, 0)));
    // A last one that is shorter, whatever its own stride.
    assert!(first.continues_with(&item(5, 5, remote, 0)));
    assert!(first.continues_with(&item(5, 0, remote, 0)));
    // Two of four octets would become one of eight; one of twelve would be cut.
    assert!(!first.continues_with(&item(8, 4, remote, 0)));
    assert!(!first.continues_with(&item(12, 12, remote, 0)));
    // After a shorter one nothing can follow.
    assert!(!item(13, 8, remote, 0).continues_with(&item(8, 8, remote, 0)));
    assert!(!item(16, 0, remote, 0).continues_with(&item(8, 8, remote, 0)));
    assert!(!first.continues_with(&item(8, 8, remote, 4)));
    let elsewhere = "127.0.0.2:4500".parse().unwrap();
    assert!(!first.continues_with(&item(8, 8, elsewhere, 0)));
}
