//! What both targets need: an SA of every kind, and engines.

use culvert_native::esp::{Backend, Engine, OpenKey, SealKey, Suite};
use std::cell::RefCell;

const ENCRYPTION: [&str; 12] = [
    "aes128gcm16",
    "aes256gcm8",
    "aes192gcm12",
    "aes128",
    "aes256",
    "aes128ctr",
    "aes256ccm16",
    "aes192ccm8",
    "chacha20poly1305",
    "camellia128",
    "3des",
    "null",
];
const INTEGRITY: [&str; 5] = ["sha1", "sha256", "sha384", "sha512", "md5"];

/// One SA, both directions.
pub struct Sa {
    pub suite: Suite,
    pub seal: SealKey,
    pub open: OpenKey,
}

pub struct World {
    pub sas: Vec<Sa>,
    /// The best there is, and OpenSSL alone.
    pub engines: [Engine; 2],
}

fn sa(suite: Suite) -> Sa {
    let encryption: Vec<u8> = (0..suite.key() + suite.salt())
        .map(|index| index as u8 * 5 + 3)
        .collect();
    let integrity = vec![0x77; suite.integrity_key()];
    let seal = SealKey::new(suite, 0x1001, &encryption, &integrity).expect("supported");
    Sa {
        suite,
        seal,
        open: OpenKey::new(suite, &encryption, &integrity).expect("supported"),
    }
}

impl World {
    fn new() -> Self {
        let mut sas = Vec::new();
        for encryption in ENCRYPTION {
            for esn in [false, true] {
                match Suite::parse(encryption, None, esn) {
                    Ok(suite) => sas.push(sa(suite)),
                    Err(_) => sas.extend(INTEGRITY.map(|name| {
                        sa(Suite::parse(encryption, Some(name), esn).expect("a suite"))
                    })),
                }
            }
        }
        let engines = [Backend::Best, Backend::OpenSsl]
            .map(|backend| Engine::new(backend).expect("random numbers"));
        Self { sas, engines }
    }
}

thread_local! {
    /// Made once: what is fuzzed is the packets' way.
    pub static WORLD: RefCell<World> = RefCell::new(World::new());
}
