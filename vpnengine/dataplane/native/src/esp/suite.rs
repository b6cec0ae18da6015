//! The algorithms of an SA, and the sizes of its packets (RFC 4303 section 2).

use super::HEADER;

/// How the payload is encrypted; `bits` is the length of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// RFC 2410.
    Null,
    /// RFC 3602.
    AesCbc { bits: u16 },
    /// RFC 3686.
    AesCtr { bits: u16 },
    /// RFC 4106; `icv` is 8, 12 or 16 octets.
    AesGcm { bits: u16, icv: u8 },
    /// RFC 4309; `icv` is 8, 12 or 16 octets.
    AesCcm { bits: u16, icv: u8 },
    /// RFC 7634.
    ChaCha20Poly1305,
    /// RFC 4312.
    CamelliaCbc { bits: u16 },
    /// RFC 2451.
    TripleDesCbc,
}

/// HMAC cut short (RFC 2403, RFC 2404, RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Why algorithms and keys do not make an SA; the text names the field and the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteError(pub String);

impl std::fmt::Display for SuiteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SuiteError {}

/// The algorithms of one SA; `esn` means 64-bit sequence numbers (RFC 4303 section 2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    cipher: Cipher,
    integrity: Option<Integrity>,
    esn: bool,
}

impl Suite {
    /// A suite that protects: an AEAD cipher by itself, or any other with an integrity algorithm.
    pub fn new(
        cipher: Cipher,
        integrity: Option<Integrity>,
        esn: bool,
    ) -> Result<Self, SuiteError> {
        let suite = Self {
            cipher,
            integrity,
            esn,
        };
        match cipher {
            Cipher::AesGcm { icv, .. } | Cipher::AesCcm { icv, .. }
                if !matches!(icv, 8 | 12 | 16) =>
            {
                return Err(SuiteError(format!(
                    "encryption: an ICV of {icv} octets is not possible; it has 8, 12 or 16"
                )));
            }
            _ => {}
        }
        if !matches!(suite.key_bits(), 0 | 128 | 192 | 256) {
            return Err(SuiteError(
                "encryption: a key has 128, 192 or 256 bits".into(),
            ));
        }
        match (suite.is_aead(), integrity) {
            (true, Some(_)) => Err(SuiteError(
                "integrity: this cipher authenticates by itself".into(),
            )),
            (false, None) => Err(SuiteError(
                "integrity: this cipher needs an integrity algorithm".into(),
            )),
            _ => Ok(suite),
        }
    }

    /// Neither encryption nor integrity: what a benchmark measures as the bound. No SA may be made of it.
    pub fn unprotected() -> Self {
        Self {
            cipher: Cipher::Null,
            integrity: None,
            esn: false,
        }
    }

    /// A suite by the names of the configuration, such as `aes128gcm16`, or `aes256` and `sha256`.
    pub fn parse(encryption: &str, integrity: Option<&str>, esn: bool) -> Result<Self, SuiteError> {
        let cipher = parse_cipher(encryption).ok_or_else(|| {
            SuiteError(format!("encryption: there is no algorithm '{encryption}'"))
        })?;
        let integrity = integrity
            .map(|name| {
                parse_integrity(name)
                    .ok_or_else(|| SuiteError(format!("integrity: there is no algorithm '{name}'")))
            })
            .transpose()?;
        Self::new(cipher, integrity, esn)
    }

    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    pub fn integrity(&self) -> Option<Integrity> {
        self.integrity
    }

    pub fn esn(&self) -> bool {
        self.esn
    }

    /// True if the cipher authenticates by itself.
    pub fn is_aead(&self) -> bool {
        matches!(
            self.cipher,
            Cipher::AesGcm { .. } | Cipher::AesCcm { .. } | Cipher::ChaCha20Poly1305
        )
    }

    fn key_bits(&self) -> u16 {
        match self.cipher {
            Cipher::AesCbc { bits }
            | Cipher::AesCtr { bits }
            | Cipher::AesGcm { bits, .. }
            | Cipher::AesCcm { bits, .. }
            | Cipher::CamelliaCbc { bits } => bits,
            Cipher::ChaCha20Poly1305 => 256,
            Cipher::TripleDesCbc => 192,
            Cipher::Null => 0,
        }
    }

    /// Octets of the cipher's key alone.
    pub fn key(&self) -> usize {
        usize::from(self.key_bits() / 8)
    }

    /// Octets of salt or nonce that follow the key in KEYMAT (RFC 3686 section 5.1, RFC 4106 section 8.1).
    pub fn salt(&self) -> usize {
        match self.cipher {
            Cipher::AesCtr { .. } | Cipher::AesGcm { .. } | Cipher::ChaCha20Poly1305 => 4,
            Cipher::AesCcm { .. } => 3,
            _ => 0,
        }
    }

    /// Octets of the integrity algorithm's key.
    pub fn integrity_key(&self) -> usize {
        match self.integrity {
            None => 0,
            Some(Integrity::Md5) => 16,
            Some(Integrity::Sha1) => 20,
            Some(Integrity::Sha256) => 32,
            Some(Integrity::Sha384) => 48,
            Some(Integrity::Sha512) => 64,
        }
    }

    /// Octets of the IV in each packet.
    pub fn iv(&self) -> usize {
        match self.cipher {
            Cipher::AesCbc { .. } | Cipher::CamelliaCbc { .. } => 16,
            Cipher::Null => 0,
            _ => 8,
        }
    }

    /// Octets of the integrity check value at the end of each packet.
    pub fn icv(&self) -> usize {
        match (self.cipher, self.integrity) {
            (Cipher::AesGcm { icv, .. } | Cipher::AesCcm { icv, .. }, _) => usize::from(icv),
            (Cipher::ChaCha20Poly1305, _) => 16,
            (_, None) => 0,
            (_, Some(Integrity::Md5 | Integrity::Sha1)) => 12,
            (_, Some(Integrity::Sha256)) => 16,
            (_, Some(Integrity::Sha384)) => 24,
            (_, Some(Integrity::Sha512)) => 32,
        }
    }

    /// What the encrypted part is a multiple of, in octets (RFC 4303 section 2.4).
    pub fn block(&self) -> usize {
        match self.cipher {
            Cipher::AesCbc { .. } | Cipher::CamelliaCbc { .. } => 16,
            Cipher::TripleDesCbc => 8,
            _ => 4,
        }
    }

    /// Where the inner packet begins in an ESP packet.
    pub fn offset(&self) -> usize {
        HEADER + self.iv()
    }

    /// Octets of the ESP packet, from SPI to ICV, around `inner` octets.
    pub fn sealed_len(&self, inner: usize) -> usize {
        self.offset() + (inner + 2).next_multiple_of(self.block()) + self.icv()
    }

    /// The longest inner packet whose ESP packet has at most `sealed` octets; None if there is none.
    pub fn inner_len(&self, sealed: usize) -> Option<usize> {
        let room = sealed.checked_sub(self.offset() + self.icv())?;
        (room / self.block() * self.block()).checked_sub(2)
    }
}

fn parse_cipher(name: &str) -> Option<Cipher> {
    match name {
        "null" => return Some(Cipher::Null),
        "3des" => return Some(Cipher::TripleDesCbc),
        "chacha20poly1305" => return Some(Cipher::ChaCha20Poly1305),
        _ => {}
    }
    if let Some(bits) = name.strip_prefix("camellia") {
        return Some(Cipher::CamelliaCbc {
            bits: parse_bits(bits)?,
        });
    }
    let rest = name.strip_prefix("aes")?;
    let (bits, mode) = (parse_bits(rest.get(..3)?)?, &rest[3..]);
    match mode {
        "" => Some(Cipher::AesCbc { bits }),
        "ctr" => Some(Cipher::AesCtr { bits }),
        "gcm8" | "gcm12" | "gcm16" => Some(Cipher::AesGcm {
            bits,
            icv: mode[3..].parse().ok()?,
        }),
        "ccm8" | "ccm12" | "ccm16" => Some(Cipher::AesCcm {
            bits,
            icv: mode[3..].parse().ok()?,
        }),
        _ => None,
    }
}

fn parse_bits(text: &str) -> Option<u16> {
    matches!(text, "128" | "192" | "256").then(|| text.parse().ok())?
}

fn parse_integrity(name: &str) -> Option<Integrity> {
    Some(match name {
        "md5" => Integrity::Md5,
        "sha1" => Integrity::Sha1,
        "sha256" => Integrity::Sha256,
        "sha384" => Integrity::Sha384,
        "sha512" => Integrity::Sha512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_inner_packet_is_the_inverse_of_the_sealed_length() {
        for (encryption, integrity) in [
            ("aes128gcm16", None),
            ("aes256", Some("sha1")),
            ("3des", Some("md5")),
        ] {
            let suite = Suite::parse(encryption, integrity, false).unwrap();
            for sealed in 0..4000 {
                match suite.inner_len(sealed) {
                    Some(inner) => {
                        assert!(suite.sealed_len(inner) <= sealed);
                        assert!(suite.sealed_len(inner + 1) > sealed);
                    }
                    None => assert!(suite.sealed_len(0) > sealed),
                }
            }
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for (encryption, integrity) in [
            ("aes128gcm16", Some("sha1")),
            ("aes128", None),
            ("null", None),
            ("aes128gcm9", None),
            ("aes100", Some("sha1")),
            ("aes", Some("sha1")),
            ("des", Some("sha1")),
            ("aes128", Some("sha224")),
        ] {
            assert!(
                Suite::parse(encryption, integrity, false).is_err(),
                "{encryption} {integrity:?}"
            );
        }
        assert!(Suite::new(Cipher::AesGcm { bits: 128, icv: 4 }, None, false).is_err());
        assert!(Suite::new(Cipher::AesCtr { bits: 64 }, Some(Integrity::Sha1), false).is_err());
    }
}
