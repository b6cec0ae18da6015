//! What holds for every suite and both backends.

use super::*;

const ENCRYPTION: [&str; 24] = [
    "aes128",
    "aes192",
    "aes256",
    "aes128ctr",
    "aes192ctr",
    "aes256ctr",
    "aes128gcm8",
    "aes128gcm12",
    "aes128gcm16",
    "aes192gcm8",
    "aes192gcm16",
    "aes256gcm8",
    "aes256gcm12",
    "aes256gcm16",
    "aes128ccm16",
    "aes192ccm16",
    "aes256ccm8",
    "aes256ccm12",
    "aes256ccm16",
    "chacha20poly1305",
    "camellia128",
    "camellia256",
    "3des",
    "null",
];
const INTEGRITY: [&str; 5] = ["md5", "sha1", "sha256", "sha384", "sha512"];

fn every_suite() -> Vec<Suite> {
    let mut suites = vec![Suite::unprotected()];
    for encryption in ENCRYPTION {
        for esn in [false, true] {
            match Suite::parse(encryption, None, esn) {
                Ok(suite) => suites.push(suite),
                Err(_) => {
                    suites.extend(
                        INTEGRITY.map(|integrity| {
                            Suite::parse(encryption, Some(integrity), esn).unwrap()
                        }),
                    );
                }
            }
        }
    }
    suites
}

fn key(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|index| (index as u8).wrapping_mul(37).wrapping_add(seed))
        .collect()
}

fn keys(suite: Suite) -> (SealKey, OpenKey) {
    let (encryption, integrity) = (
        key(suite.key() + suite.salt(), 3),
        key(suite.integrity_key(), 90),
    );
    (
        SealKey::new(suite, 0x1001, &encryption, &integrity).unwrap(),
        OpenKey::new(suite, &encryption, &integrity).unwrap(),
    )
}

fn inner(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + seed * 13 + index / 256) as u8)
        .collect()
}

/// Seal packets of these lengths as one batch; 40 octets behind each show whether it kept to its place.
fn seal(engine: &mut Engine, key: &SealKey, lengths: &[usize], first: u64) -> Vec<Vec<u8>> {
    let suite = key.suite();
    let mut buffers: Vec<Vec<u8>> = lengths
        .iter()
        .enumerate()
        .map(|(seed, length)| {
            let mut buffer = vec![0xee; suite.sealed_len(*length) + 40];
            buffer[suite.offset()..suite.offset() + length].copy_from_slice(&inner(*length, seed));
            buffer
        })
        .collect();
    let mut jobs: Vec<SealJob<'_>> = buffers
        .iter_mut()
        .zip(lengths)
        .enumerate()
        .map(|(index, (buffer, length))| {
            SealJob::new(key, buffer, *length, first + index as u64, NEXT_IPV4)
        })
        .collect();
    engine.seal(&mut jobs);
    let sealed: Vec<usize> = jobs.iter().map(|job| job.sealed.unwrap()).collect();
    for ((buffer, length), inner) in buffers.iter_mut().zip(sealed).zip(lengths) {
        assert_eq!(length, suite.sealed_len(*inner));
        assert!(
            buffer[length..].iter().all(|octet| *octet == 0xee),
            "{suite:?} wrote behind the packet"
        );
        buffer.truncate(length);
    }
    buffers
}

fn open(
    engine: &mut Engine,
    key: &OpenKey,
    packets: &mut [Vec<u8>],
    first: u64,
) -> Vec<Result<Vec<u8>, Refusal>> {
    let mut jobs: Vec<OpenJob<'_>> = packets
        .iter_mut()
        .enumerate()
        .map(|(index, packet)| OpenJob::new(key, packet, first + index as u64))
        .collect();
    engine.open(&mut jobs);
    jobs.iter()
        .map(|job| {
            job.opened.map(|at| {
                assert_eq!(at.next_header, NEXT_IPV4);
                job.packet[at.offset..at.offset + at.len].to_vec()
            })
        })
        .collect()
}

fn engines() -> Vec<Engine> {
    vec![
        Engine::new(Backend::Best).unwrap(),
        Engine::new(Backend::OpenSsl).unwrap(),
    ]
}

#[test]
fn each_backend_opens_what_the_other_seals() {
    let lengths: Vec<usize> = (0..70)
        .chain([127, 128, 1400, 1500, 9000, 40_000, 64_000, 65_535])
        .collect();
    let first = (1 << 33) + 7; // so that ESN has an upper half
    for suite in every_suite() {
        let (seal_key, open_key) = keys(suite);
        let plain: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(seed, length)| Ok(inner(*length, seed)))
            .collect();
        for sealing in &mut engines() {
            for opening in &mut engines() {
                let mut packets = seal(sealing, &seal_key, &lengths, first);
                for (index, opened) in open(opening, &open_key, &mut packets, first)
                    .into_iter()
                    .enumerate()
                {
                    assert!(
                        opened == plain[index],
                        "{suite:?}: {} to {}, {} octets: {:?}",
                        sealing.backend(),
                        opening.backend(),
                        lengths[index],
                        opened.map(drop),
                    );
                }
            }
        }
    }
}

#[test]
fn what_needs_no_chance_is_sealed_alike() {
    let lengths = [0, 1, 100, 1400];
    for suite in every_suite()
        .into_iter()
        .filter(|suite| suite.iv() == 8 && suite.block() == 4 || suite.iv() == 0)
    {
        let (seal_key, _) = keys(suite);
        let [one, other] = [Backend::Best, Backend::OpenSsl]
            .map(|backend| seal(&mut Engine::new(backend).unwrap(), &seal_key, &lengths, 5));
        assert_eq!(one, other, "{suite:?}");
    }
}

#[test]
fn each_altered_octet_is_refused() {
    for suite in every_suite().into_iter().filter(|suite| suite.icv() > 0) {
        let (seal_key, open_key) = keys(suite);
        for engine in &mut engines() {
            let sealed = seal(engine, &seal_key, &[29], 9).remove(0);
            let mut packets: Vec<Vec<u8>> = (0..sealed.len())
                .map(|at| {
                    let mut packet = sealed.clone();
                    packet[at] ^= 1 << (at % 8);
                    packet
                })
                .collect();
            let mut jobs: Vec<_> = packets
                .iter_mut()
                .map(|packet| OpenJob::new(&open_key, packet, 9))
                .collect();
            engine.open(&mut jobs);
            for (at, job) in jobs.iter().enumerate() {
                assert_eq!(
                    job.opened,
                    Err(Refusal::NotAuthentic),
                    "{suite:?} octet {at}"
                );
            }
            for length in 0..sealed.len() {
                let mut cut = vec![sealed[..length].to_vec()];
                let opened = open(engine, &open_key, &mut cut, 9).remove(0);
                assert!(
                    matches!(opened, Err(Refusal::NotAuthentic | Refusal::TooShort)),
                    "{suite:?} at {length}"
                );
            }
            assert_eq!(
                open(engine, &open_key, &mut [sealed.clone()], 9),
                [Ok(inner(29, 0))]
            );
            if suite.esn() {
                let wrong_half = open(engine, &open_key, &mut [sealed], 9 + (1 << 32));
                assert_eq!(wrong_half, [Err(Refusal::NotAuthentic)], "{suite:?}");
            }
        }
    }
}

#[test]
fn suites_mix_in_a_batch_and_forgeries_harm_no_neighbour() {
    let suites: Vec<_> = every_suite()
        .into_iter()
        .filter(|suite| suite.icv() > 0)
        .collect();
    let pairs: Vec<_> = suites.iter().map(|suite| keys(*suite)).collect();
    for engine in &mut engines() {
        let mut packets: Vec<Vec<u8>> = Vec::new();
        for (index, (seal_key, _)) in pairs.iter().enumerate() {
            packets.extend(seal(engine, seal_key, &[index * 11 % 300], 1));
        }
        for packet in packets.iter_mut().step_by(3) {
            *packet.last_mut().unwrap() ^= 1;
        }
        let mut jobs: Vec<_> = packets
            .iter_mut()
            .zip(&pairs)
            .map(|(packet, (_, open_key))| OpenJob::new(open_key, packet, 1))
            .collect();
        engine.open(&mut jobs);
        for (index, job) in jobs.iter().enumerate() {
            match job.opened {
                Ok(at) if index % 3 > 0 => assert_eq!(at.len, index * 11 % 300),
                Err(Refusal::NotAuthentic) if index % 3 == 0 => {}
                other => panic!("{:?}: {other:?}", suites[index]),
            }
        }
    }
}

#[test]
fn a_buffer_that_is_too_short_is_left_alone() {
    let (seal_key, _) = keys(Suite::parse("aes128", Some("sha1"), false).unwrap());
    let mut buffer = vec![0; seal_key.suite().sealed_len(100) - 1];
    let mut jobs = [SealJob::new(&seal_key, &mut buffer, 100, 1, NEXT_IPV4)];
    Engine::new(Backend::Best).unwrap().seal(&mut jobs);
    assert_eq!(jobs[0].sealed, None);
}

#[test]
fn keys_of_the_wrong_length_are_refused() {
    let suite = Suite::parse("aes128gcm16", None, false).unwrap();
    assert_eq!(
        SealKey::new(suite, 1, &[0; 16], &[])
            .unwrap_err()
            .to_string(),
        "encryption key: it has 20 octets, not 16"
    );
    assert!(OpenKey::new(suite, &[0; 20], &[0; 20]).is_err());
}

#[test]
fn authentic_nonsense_has_its_own_name() {
    let suite = Suite::parse("null", Some("sha1"), false).unwrap();
    let (seal_key, open_key) = keys(suite);
    for engine in &mut engines() {
        // Of NULL the trailer is what the inner packet ends with, once the own trailer is cut off and the ICV made anew.
        for (next_header, payload, expected) in [
            (NEXT_DUMMY, vec![0; 6], Refusal::Dummy),
            (NEXT_IPV4, vec![0x60; 46], Refusal::NotTunnel),
            (NEXT_IPV6, vec![0x45; 46], Refusal::NotTunnel),
            (NEXT_IPV4, vec![], Refusal::NotTunnel),
            (6, vec![0x45; 46], Refusal::NotTunnel),
            (NEXT_IPV4, vec![0x45; 19], Refusal::CutShort),
            (NEXT_IPV4, vec![0x45; 46], Refusal::CutShort),
            (NEXT_IPV6, vec![0x60; 39], Refusal::CutShort),
        ] {
            let mut buffer = vec![0; suite.sealed_len(payload.len())];
            buffer[8..8 + payload.len()].copy_from_slice(&payload);
            engine.seal(&mut [SealJob::new(
                &seal_key,
                &mut buffer,
                payload.len(),
                1,
                next_header,
            )]);
            let mut jobs = [OpenJob::new(&open_key, &mut buffer, 1)];
            engine.open(&mut jobs);
            let opened = jobs[0].opened.unwrap();
            assert_eq!(
                (opened.len, opened.next_header),
                (payload.len(), next_header)
            );
            assert_eq!(opened.tunnel(jobs[0].packet), Err(expected));
        }
    }
}

#[test]
fn traffic_flow_padding_is_cut_off() {
    let mut packet = vec![0; 8];
    packet.extend([0x45, 0, 0, 24]);
    packet.resize(80, 7);
    let opened = Opened {
        offset: 8,
        len: 72,
        next_header: NEXT_IPV4,
    };
    assert_eq!(opened.tunnel(&packet), Ok(Opened { len: 24, ..opened }));
}

#[test]
fn bad_padding_is_refused_after_authentication() {
    assert_eq!(
        trailer::read(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 2, 4, 0], 8, 14),
        Err(Refusal::BadPadding)
    );
    assert_eq!(
        trailer::read(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 3, 2, 4, 0], 8, 13),
        Err(Refusal::BadPadding)
    );
    assert_eq!(
        trailer::read(&[0, 0, 0, 0, 0, 0, 0, 0, 200, 4], 8, 10),
        Err(Refusal::BadPadding)
    );
    let opened = Opened {
        offset: 8,
        len: 1,
        next_header: 4,
    };
    assert_eq!(
        trailer::read(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 2, 4], 8, 13),
        Ok(opened)
    );
    assert!(Refusal::BadPadding.is_authentic() && !Refusal::TooShort.is_authentic());
}

#[test]
fn keys_and_engines_go_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<SealKey>();
    shared::<OpenKey>();
    sent::<Engine>();
}
