//! Values that the database keeps and cannot read: AES-256-GCM (NIST SP 800-38D) under a ring of keys that is not in it.
//!
//! The newest key of a ring seals, every key of it opens, so that values are sealed anew one after the other while the server
//! runs. A sealed value is bound to its [`Place`]: moved to another row, it does not open.
//!
//! ```text
//! sealed value:   <nonce: 12 bytes> <ciphertext> <tag: 16 bytes>
//! associated:     "convergence/sealed/v1" and key id, column, owner, name, version, each after its length
//! ring, as text:  one key a line, the newest last: <id: 8 hexadecimal digits> <key: 64 hexadecimal digits>
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use convergence_model::{Sealed, SealingKeyId, Secret};
use data_encoding::HEXLOWER;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 4;

/// The keys that values are sealed with. They can be exchanged while the server runs.
pub struct Seals(RwLock<Ring>);

struct Ring {
    keys: BTreeMap<SealingKeyId, LessSafeKey>,
    newest: SealingKeyId,
}

/// Where a value is kept. A sealed value opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Table and column, for example `secrets.sealed`.
    pub column: &'a str,
    /// The tenant or organization that owns the row.
    pub owner: &'a str,
    /// Which of its rows.
    pub name: &'a str,
    /// Which version of that row.
    pub version: u32,
}

/// Why a text is no ring of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRing {
    /// There is no key in it.
    #[error("it has no key; each line must be an id of 8 hexadecimal digits, a space, and a key of 64")]
    Empty,
    /// A line is no key. The line is not repeated: it may be most of one.
    #[error("line {0} is not a key: it must be an id of 8 hexadecimal digits, a space, and a key of 64")]
    Line(usize),
    /// Two lines have one id.
    #[error("line {line} has the id {id} of an earlier line; remove one of the two")]
    Doubled {
        /// The later line.
        line: usize,
        /// The id of both.
        id: SealingKeyId,
    },
}

/// Why a value does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key is not in the ring.
    #[error("key {0} is not in this server's key ring")]
    NoKey(SealingKeyId),
    /// It was changed, or moved to another place, or another key has this id.
    #[error("a value sealed with key {0} was altered, or belongs to another row")]
    Altered(SealingKeyId),
}

/// A value could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers, or the value is too long to be sealed")]
pub struct SealError;

impl Seals {
    /// Reads a ring from its text. Empty lines and lines that begin with `#` are left out.
    ///
    /// # Errors
    /// [`BadRing`].
    pub fn parse(text: &str) -> Result<Self, BadRing> {
        Ring::parse(text).map(|ring| Self(RwLock::new(ring)))
    }

    /// Goes on with another ring, which must have all keys that are still needed.
    ///
    /// # Errors
    /// [`BadRing`]; then the ring is as before.
    pub fn replace(&self, text: &str) -> Result<(), BadRing> {
        let ring = Ring::parse(text)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// A key of its own, as a line of a ring.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Secret, SealError> {
        let mut bytes = [0; ID_BYTES + KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SealError)?;
        let (id, key) = bytes.split_at(ID_BYTES);
        Ok(Secret::new(format!("{} {}\n", HEXLOWER.encode(id), HEXLOWER.encode(key))))
    }

    /// The key that seals.
    pub fn newest(&self) -> SealingKeyId {
        self.ring().newest.clone()
    }

    /// All keys, in the order of their ids.
    pub fn ids(&self) -> Vec<SealingKeyId> {
        self.ring().keys.keys().cloned().collect()
    }

    /// Seals a value for a place, with the newest key.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, place: Place<'_>, value: &Secret) -> Result<Sealed, SealError> {
        let ring = self.ring();
        let key = ring.keys.get(&ring.newest).ok_or(SealError)?;
        // Random: of one key, two values in 2^32 have one nonce with a chance of 2^-33, and a rotation begins anew.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError)?;
        let mut sealed = value.expose().as_bytes().to_vec();
        let associated = Aad::from(place.associated(&ring.newest));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), associated, &mut sealed)
            .map_err(|_| SealError)?;
        Ok(Sealed { key: ring.newest.clone(), bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// Opens a value that was sealed for this place.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        let altered = || OpenError::Altered(sealed.key.clone());
        let ring = self.ring();
        let key = ring.keys.get(&sealed.key).ok_or_else(|| OpenError::NoKey(sealed.key.clone()))?;
        let (nonce, bytes) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or_else(altered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| altered())?;
        let mut bytes = bytes.to_vec();
        let opened =
            key.open_in_place(nonce, Aad::from(place.associated(&sealed.key)), &mut bytes).map_err(|_| altered())?;
        std::str::from_utf8(opened).map(Secret::new).map_err(|_| altered())
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn parse(text: &str) -> Result<Self, BadRing> {
        let mut keys = BTreeMap::new();
        let mut newest = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || BadRing::Line(number);
            let (id, key) = line.split_once(' ').ok_or_else(bad)?;
            let id = SealingKeyId::parse(id).ok_or_else(bad)?;
            let key = HEXLOWER.decode(key.trim().as_bytes()).map_err(|_| bad())?;
            let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| bad())?;
            if keys.insert(id.clone(), LessSafeKey::new(key)).is_some() {
                return Err(BadRing::Doubled { line: number, id });
            }
            newest = Some(id);
        }
        newest.map(|newest| Self { keys, newest }).ok_or(BadRing::Empty)
    }
}

impl Place<'_> {
    fn associated(&self, key: &SealingKeyId) -> Vec<u8> {
        let mut bytes = b"convergence/sealed/v1".to_vec();
        let version = self.version.to_be_bytes();
        let fields = [key.as_str(), self.column, self.owner, self.name].map(str::as_bytes);
        for field in fields.into_iter().chain([version.as_slice()]) {
            // A length before each, so that no two places have the same bytes.
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field);
        }
        bytes
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FIRST: &str = "0a0b0c0d 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const SECOND: &str = "11111111 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    const PLACE: Place<'_> = Place { column: "secrets.sealed", owner: "tenant", name: "KEY", version: 1 };

    fn ring(lines: &[&str]) -> Seals {
        Seals::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn a_value_opens_in_its_place_alone() {
        let seals = ring(&[FIRST]);
        let value = Secret::new("correct horse");
        let sealed = seals.seal(PLACE, &value).unwrap();
        assert_eq!(seals.open(PLACE, &sealed), Ok(value.clone()));
        assert_ne!(seals.seal(PLACE, &value).unwrap().bytes, sealed.bytes, "each time another nonce");
        assert!(!sealed.bytes.windows(5).any(|part| part == b"horse"));
        for other in [
            Place { column: "registries.sealed", ..PLACE },
            Place { owner: "other", ..PLACE },
            Place { name: "KEZ", ..PLACE },
            Place { owner: "tenantK", name: "EY", ..PLACE },
            Place { version: 2, ..PLACE },
        ] {
            assert_eq!(seals.open(other, &sealed), Err(OpenError::Altered(sealed.key.clone())), "{other:?}");
        }
    }

    #[test]
    fn a_flipped_bit_or_a_cut_value_does_not_open() {
        let seals = ring(&[FIRST]);
        let sealed = seals.seal(PLACE, &Secret::new("value")).unwrap();
        for at in 0..sealed.bytes.len() {
            let mut flipped = sealed.clone();
            flipped.bytes[at] ^= 1;
            assert!(seals.open(PLACE, &flipped).is_err(), "byte {at}");
            flipped.bytes.truncate(at);
            assert!(seals.open(PLACE, &flipped).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn the_last_key_seals_and_all_of_them_open() {
        let seals = ring(&[FIRST]);
        let old = seals.seal(PLACE, &Secret::new("old")).unwrap();
        seals.replace(&[FIRST, "", "# a note", SECOND].join("\n")).unwrap();
        let new = seals.seal(PLACE, &Secret::new("new")).unwrap();
        assert_eq!((old.key.as_str(), new.key.as_str()), ("0a0b0c0d", "11111111"));
        assert_eq!(seals.open(PLACE, &old).unwrap().expose(), "old");
        seals.replace(SECOND).unwrap();
        assert_eq!(seals.open(PLACE, &old), Err(OpenError::NoKey(old.key.clone())));
        // Another key under the same id.
        let other = ring(&[&SECOND.replace("11111111", "0a0b0c0d")]);
        assert_eq!(other.open(PLACE, &old), Err(OpenError::Altered(old.key)));
    }

    #[test]
    fn a_bad_ring_is_refused_by_line_and_never_repeated() {
        let doubled = Seals::parse(&format!("{FIRST}\n{FIRST}")).unwrap_err();
        assert_eq!(doubled.to_string(), "line 2 has the id 0a0b0c0d of an earlier line; remove one of the two");
        for (text, told) in [
            ("", BadRing::Empty),
            ("# only a note\n", BadRing::Empty),
            ("0a0b0c0d", BadRing::Line(1)),
            ("0a0b0c0d 00", BadRing::Line(1)),
            (&FIRST.to_uppercase(), BadRing::Line(1)),
            (&format!("\n{FIRST}0"), BadRing::Line(2)),
        ] {
            let refused = Seals::parse(text).unwrap_err();
            assert_eq!(refused, told, "{text}");
        }
        let made = Seals::generate().unwrap();
        assert_eq!(Seals::parse(made.expose()).unwrap().ids().len(), 1);
        assert_eq!(format!("{:?}", ring(&[FIRST])), r#"[SealingKeyId("0a0b0c0d")]"#);
    }
}
