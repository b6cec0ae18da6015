//! What sealing and opening cost: nanoseconds per packet by suite and library, as JSON.
//!
//! `cargo run --release --example crypto -- [INNER OCTETS] [PACKETS A BATCH] [SUITE]`, 1400, 45 and
//! all if absent: 45 packets are what one write of 64 KB to a TUN device makes. Medians of rounds that take the two libraries in turn.

use culvert_native::esp::{Backend, Engine, NEXT_IPV4, OpenJob, OpenKey, SealJob, SealKey, Suite};

const SUITES: [(&str, Option<&str>); 13] = [
    ("aes128gcm16", None),
    ("aes256gcm16", None),
    ("aes128", Some("sha1")),
    ("aes256", Some("sha1")),
    ("aes256", Some("sha256")),
    ("aes256", Some("sha384")),
    ("aes256", Some("sha512")),
    ("aes256ctr", Some("sha256")),
    ("aes256ccm16", None),
    ("chacha20poly1305", None),
    ("camellia256", Some("sha256")),
    ("3des", Some("sha1")),
    ("null", Some("sha256")),
];
const ROUNDS: usize = 7;
const ROUND_NS: u64 = 30_000_000;

struct Bench {
    engine: Engine,
    seal_key: SealKey,
    open_key: OpenKey,
    buffers: Vec<Vec<u8>>,
    inner: usize,
    sequence: u64,
}

impl Bench {
    fn new(backend: Backend, suite: Suite, inner: usize, batch: usize) -> Self {
        let encryption: Vec<u8> = (0..suite.key() + suite.salt())
            .map(|index| index as u8 * 7 + 1)
            .collect();
        let integrity = vec![0x5a; suite.integrity_key()];
        Self {
            engine: Engine::new(backend).expect("the system has random numbers"),
            seal_key: SealKey::new(suite, 1, &encryption, &integrity)
                .expect("the suite is supported"),
            open_key: OpenKey::new(suite, &encryption, &integrity).expect("the suite is supported"),
            buffers: vec![vec![0; suite.sealed_len(inner)]; batch],
            inner,
            sequence: 0,
        }
    }

    fn seal(&mut self) {
        let (key, inner, sequence) = (&self.seal_key, self.inner, &mut self.sequence);
        let mut jobs: Vec<_> = self
            .buffers
            .iter_mut()
            .map(|buffer| {
                *sequence += 1;
                SealJob::new(key, buffer, inner, *sequence, NEXT_IPV4)
            })
            .collect();
        self.engine.seal(&mut jobs);
        assert!(jobs.iter().all(|job| job.sealed.is_some()));
    }

    /// What was opened is no packet any more, so that the next call finds forgeries: the same work up to the ICV.
    fn open(&mut self) -> bool {
        let key = &self.open_key;
        let mut jobs: Vec<_> = self
            .buffers
            .iter_mut()
            .map(|buffer| OpenJob::new(key, buffer, 1))
            .collect();
        self.engine.open(&mut jobs);
        jobs.iter().all(|job| job.opened.is_ok())
    }

    /// Nanoseconds per packet of `work`.
    fn time(&mut self, work: fn(&mut Self)) -> f64 {
        let (started, mut packets, mut spent) = (processor_ns(), 0, 0);
        while spent < ROUND_NS {
            for _ in 0..20 {
                work(self);
                packets += self.buffers.len();
            }
            spent = processor_ns() - started;
        }
        spent as f64 / packets as f64
    }
}

/// What this thread has had of a processor, so that others on the machine count less.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    text.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let inner = arguments.next().unwrap_or(1400);
    let batch = arguments.next().unwrap_or(45);
    let mut lines = Vec::new();
    let only = std::env::args().nth(3);
    let named = |(encryption, integrity): &(&str, Option<&str>)| {
        let name = integrity.map_or(encryption.to_string(), |integrity| {
            format!("{encryption}-{integrity}")
        });
        only.as_ref().is_none_or(|only| *only == name)
    };
    for (encryption, integrity) in SUITES.into_iter().filter(named) {
        let suite = Suite::parse(encryption, integrity, false).expect("a suite of this crate");
        let mut benches = [Backend::Best, Backend::OpenSsl]
            .map(|backend| Bench::new(backend, suite, inner, batch));
        let mut results: [[Vec<f64>; 2]; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (bench, [seal, both]) in benches.iter_mut().zip(&mut results) {
                seal.push(bench.time(Bench::seal));
                both.push(bench.time(|bench| {
                    bench.seal();
                    assert!(bench.open());
                }));
            }
        }
        for (bench, [seal, both]) in benches.iter().zip(results) {
            let (seal, both) = (median(seal), median(both));
            lines.push(format!(
                r#"{{"suite": "{}", "library": "{}", "seal_ns": {seal:.0}, "open_ns": {:.0}}}"#,
                integrity.map_or(encryption.to_string(), |integrity| format!(
                    "{encryption}-{integrity}"
                )),
                bench.engine.backend(),
                both - seal,
            ));
        }
    }
    println!(
        "{{\"inner_octets\": {inner}, \"batch\": {batch}, \"cases\": [\n  {}\n]}}",
        lines.join(",\n  ")
    );
}
