//! Nothing but the signed thing passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::Kind;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn at(time: &str) -> jiff::Timestamp {
    time.parse().unwrap()
}

fn now() -> jiff::Timestamp {
    at("2026-11-22T09:00:00Z")
}

fn claim() -> Claim {
    Claim {
        digest: DIGEST.to_owned(),
        id: "com.example.ruby".to_owned(),
        version: "1.2.0".parse().unwrap(),
        kind: "template".to_owned(),
        expires: at("2027-11-22T00:00:00Z"),
    }
}

fn signed(key: &SecretKey) -> String {
    Signature::sign(claim(), key).unwrap().to_string()
}

fn policy(require: bool, keys: &[(&str, &SecretKey)]) -> TrustPolicy {
    let keys = keys.iter().map(|(name, key)| ((*name).to_owned(), key.public().to_string())).collect();
    TrustPolicy::new(TrustSettings { require_signatures: require, keys, revocations: None }).unwrap()
}

#[test]
fn what_was_signed_is_admitted_and_confirmed() {
    let policy = policy(true, &[("release", &secret(1)), ("nightly", &secret(2))]);
    let admitted = policy.admit(DIGEST, Some(&signed(&secret(2))), now()).unwrap();
    let signer = admitted.confirm("com.example.ruby", &"1.2.0".parse().unwrap(), Kind::Template).unwrap().unwrap();
    assert_eq!((signer.name.as_str(), signer.key.as_str()), ("nightly", secret(2).public().id()));
    assert_eq!(signer.expires, at("2027-11-22T00:00:00Z"));
}

#[test]
fn a_component_must_be_what_was_signed() {
    let policy = policy(false, &[("release", &secret(1))]);
    let admitted = policy.admit(DIGEST, Some(&signed(&secret(1))), now()).unwrap();
    let what = |id: &str, version: &str, kind| match admitted.confirm(id, &version.parse().unwrap(), kind) {
        Err(TrustError::SignedAs { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what("com.example.php", "1.2.0", Kind::Template), "id");
    assert_eq!(what("com.example.ruby", "1.2.1", Kind::Template), "version");
    assert_eq!(what("com.example.ruby", "1.2.0+build", Kind::Template), "version");
    assert_eq!(what("com.example.ruby", "1.2.0", Kind::Policy), "kind");
}

#[test]
fn without_a_trusted_signature_nothing_passes_where_one_is_required() {
    let policy = policy(true, &[("release", &secret(1))]);
    let admit = |signature: Option<&str>, time| policy.admit(DIGEST, signature, time).unwrap_err();
    assert_eq!(admit(None, now()), TrustError::Missing);
    assert_eq!(
        admit(Some(&signed(&secret(2))), now()),
        TrustError::UntrustedKey { key: secret(2).public().id().to_owned() }
    );
    assert!(matches!(admit(Some(""), now()), TrustError::Malformed(_)));
    assert!(matches!(admit(Some(&"x".repeat(5000)), now()), TrustError::Malformed(SignatureError::TooLong)));
    let expired = admit(Some(&signed(&secret(1))), at("2027-11-22T00:00:00Z"));
    assert_eq!(expired, TrustError::Expired { name: "release".to_owned(), at: at("2027-11-22T00:00:00Z") });
    let error = policy.admit(OTHER, Some(&signed(&secret(1))), now()).unwrap_err();
    assert_eq!(error, TrustError::WrongBytes { signed: DIGEST.to_owned(), actual: OTHER.to_owned() });
}

#[test]
fn another_key_cannot_sign_in_the_name_of_a_trusted_one() {
    let policy = policy(false, &[("release", &secret(1))]);
    let forged = signed(&secret(2)).replace(secret(2).public().id(), secret(1).public().id());
    let error = policy.admit(DIGEST, Some(&forged), now()).unwrap_err();
    assert_eq!(error, TrustError::Forged { name: "release".to_owned() });
}

#[test]
fn where_none_is_required_one_by_an_unknown_key_counts_as_none_and_a_bad_one_is_refused() {
    let policy = policy(false, &[("release", &secret(1))]);
    let confirm = |admitted: Admitted| admitted.confirm("x", &"1.0.0".parse().unwrap(), Kind::Policy);
    assert_eq!(confirm(policy.admit(DIGEST, None, now()).unwrap()), Ok(None));
    assert_eq!(confirm(policy.admit(DIGEST, Some(&signed(&secret(2))), now()).unwrap()), Ok(None));
    for bad in ["", "{}", "not json"] {
        assert!(matches!(policy.admit(DIGEST, Some(bad), now()), Err(TrustError::Malformed(_))), "{bad}");
    }
    assert!(matches!(policy.admit(OTHER, Some(&signed(&secret(2))), now()), Err(TrustError::WrongBytes { .. })));
    let late = at("2030-01-01T00:00:00Z");
    assert!(matches!(policy.admit(DIGEST, Some(&signed(&secret(1))), late), Err(TrustError::Expired { .. })));
}

#[test]
fn the_layout_of_what_is_signed_never_changes() {
    // A change here makes every signature out there worthless: docs/plugins/signing.md shows these bytes.
    let mut expected = b"convergence plugin signature 1\0".to_vec();
    expected.extend_from_slice(&[0, 0, 0, 32]);
    for _ in 0..4 {
        expected.extend_from_slice(&[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    }
    expected.extend_from_slice(b"\0\0\0\x10com.example.ruby");
    expected.extend_from_slice(b"\0\0\0\x051.2.0");
    expected.extend_from_slice(b"\0\0\0\x08template");
    expected.extend_from_slice(b"\0\0\0\x08\0\0\0\0\x6c\xe3\x64\x00");
    assert_eq!(claim().message().unwrap(), expected);
    // Another implementation (OpenSSL) signed these bytes with the same key.
    let key = secret(7);
    assert_eq!(key.public().to_string(), "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=");
    assert_eq!(key.public().id(), "b6ee7fce5e01427d81ba0eab6ef948ee");
    let document: serde_json::Value = serde_json::from_str(&signed(&key)).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "algorithm": "ed25519",
            "key": "b6ee7fce5e01427d81ba0eab6ef948ee",
            "digest": DIGEST,
            "id": "com.example.ruby",
            "version": "1.2.0",
            "kind": "template",
            "expires": "2027-11-22T00:00:00Z",
            "signature":
                "roVqUJWR0bDxOvb7Dbtox9V2N7tFlXAxofqVE6vio7s5Rd7KIjwi1Ujs9UjwDVzxjTuMdzrFNp4Y+Xc77KDMBQ==",
        })
    );
}

#[test]
fn keys_survive_their_text_and_nothing_else_is_one() {
    let key = secret(9);
    let line = key.to_line();
    assert_eq!(SecretKey::parse(&format!("{}\n", line.as_str())).unwrap().public(), key.public());
    assert_eq!(key.public().to_string().parse::<PublicKey>().unwrap(), key.public());
    assert!(!format!("{key:?}").contains(line.trim_start_matches("ed25519-secret:")));
    assert_eq!(line.parse::<PublicKey>(), Err(KeyError::Secret));
    assert_eq!(SecretKey::parse(&key.public().to_string()).unwrap_err(), KeyError::Public);
    for text in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert!(matches!(text.parse::<PublicKey>(), Err(KeyError::Form { .. })), "{text}");
    }
    // The neutral point: under it one signature would do for every message.
    let neutral = format!(
        "ed25519:{}",
        data_encoding::BASE64.encode(&{
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        })
    );
    assert_eq!(neutral.parse::<PublicKey>(), Err(KeyError::Weak));
}

#[test]
fn settings_that_let_nothing_in_are_refused() {
    let new = |require, keys: &[(&str, String)]| {
        let keys = keys.iter().map(|(name, key)| ((*name).to_owned(), key.clone())).collect();
        TrustPolicy::new(TrustSettings { require_signatures: require, keys, revocations: None })
    };
    let key = secret(1).public().to_string();
    assert_eq!(new(true, &[]).unwrap_err(), TrustSettingsError::NoKeys);
    assert!(matches!(new(false, &[("a", key.clone()), ("b", key)]).unwrap_err(), TrustSettingsError::SameKey { .. }));
    let error = new(false, &[("release", secret(1).to_line().to_string())]).unwrap_err().to_string();
    assert!(error.contains("`release`") && error.contains("private"), "{error}");
}

#[test]
fn what_was_revoked_is_refused_and_found_among_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked.toml");
    let key = secret(1);
    let policy = TrustPolicy::new(TrustSettings {
        require_signatures: false,
        keys: [("release".to_owned(), key.public().to_string())].into(),
        revocations: Some(path.clone()),
    })
    .unwrap();
    let admit = || policy.admit(DIGEST, Some(&signed(&key)), now()).map(|_| ());

    assert!(matches!(admit(), Err(TrustError::RevocationsUnknown(_))), "nothing before the list was read");
    assert!(matches!(policy.refresh(), Err(RevocationError::Unreadable { .. })));
    assert!(matches!(admit(), Err(TrustError::RevocationsUnknown(_))));

    fs::write(&path, "").unwrap();
    assert_eq!(policy.refresh(), Ok(false), "nothing was revoked and nothing is");
    assert_eq!(admit(), Ok(()));
    assert_eq!(policy.refresh(), Ok(false));

    fs::write(&path, format!("[digests]\n\"{DIGEST}\" = \"plans as root\"\n")).unwrap();
    assert_eq!(policy.refresh(), Ok(true));
    assert!(matches!(admit(), Err(TrustError::DigestRevoked { reason, .. }) if reason == "plans as root"));
    assert!(policy.admit(OTHER, None, now()).is_ok());
    assert!(policy.is_revoked(DIGEST, None).is_some());
    assert_eq!(policy.is_revoked(OTHER, Some(key.public().id())), None);

    for named in [key.public().id().to_owned(), key.public().to_string()] {
        fs::write(&path, format!("[keys]\n\"{named}\" = \"stolen\\nlaptop\"\n")).unwrap();
        policy.refresh().unwrap();
        assert!(matches!(admit(), Err(TrustError::KeyRevoked { reason, .. }) if reason == "stolen laptop"));
        assert!(policy.is_revoked(DIGEST, Some(key.public().id())).is_some());
        assert_eq!(policy.is_revoked(DIGEST, None), None);
    }

    // A list that breaks brings nothing back, and lets nothing new in.
    fs::write(&path, "[keys]\nstolen = 3\n").unwrap();
    assert!(matches!(policy.refresh(), Err(RevocationError::Wrong { .. })));
    assert!(matches!(policy.refresh(), Err(RevocationError::Wrong { .. })), "it is said until it is fixed");
    assert!(policy.problem().is_some());
    assert!(policy.is_revoked(DIGEST, Some(key.public().id())).is_some());
    assert!(matches!(policy.admit(OTHER, None, now()), Err(TrustError::RevocationsUnknown(_))));
    fs::remove_file(&path).unwrap();
    assert!(matches!(policy.refresh(), Err(RevocationError::Unreadable { .. })));

    fs::write(&path, "").unwrap();
    assert_eq!(policy.refresh(), Ok(true));
    assert_eq!((admit(), policy.problem()), (Ok(()), None));
}

#[test]
fn an_entry_that_would_revoke_nothing_is_an_error() {
    for (text, word) in [
        ("[keys]\nrelease = \"x\"", "fingerprint"),
        ("[keys]\n0123456789ABCDEF0123456789ABCDEF = \"x\"", "lower case"),
        ("[digests]\n\"0123\" = \"x\"", "sha256:"),
        ("[digest]\n", "digest"),
        ("[keys]\nx", "line 2"),
    ] {
        let error = Revocations::parse(text).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn a_signature_lies_beside_its_component() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("ruby.wasm");
    assert_eq!(read_signature(&component).unwrap(), None);
    fs::write(folder.path().join("ruby.wasm.sig"), signed(&secret(1))).unwrap();
    assert_eq!(read_signature(&component).unwrap().unwrap(), signed(&secret(1)));
    fs::write(folder.path().join("ruby.wasm.sig"), vec![0xff; 1 << 20]).unwrap();
    let text = read_signature(&component).unwrap().unwrap();
    assert!(Signature::parse(&text).is_err());
}

/// Every single bit of the document: what is still accepted says the same thing.
#[test]
fn every_flipped_bit_of_a_signature_is_refused() {
    let policy = policy(true, &[("release", &secret(1))]);
    let good = signed(&secret(1));
    let parsed = Signature::parse(&good).unwrap();
    let (mut refused, mut same) = (0, 0);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            match policy.admit(DIGEST, Some(&text), now()) {
                Err(_) => refused += 1,
                Ok(_) => {
                    assert_eq!(Signature::parse(&text).unwrap(), parsed, "bit {bit} of byte {at}:\n{text}");
                    assert!(good.as_bytes()[at].is_ascii_whitespace(), "bit {bit} of byte {at}:\n{text}");
                    same += 1;
                }
            }
        }
    }
    assert!(refused > 3000 && same < 100, "{refused} {same}");
}

/// Every single bit of what is signed.
#[test]
fn every_flipped_bit_of_the_message_or_the_signature_fails() {
    let key = secret(1);
    let message = claim().message().unwrap();
    let signature = key.sign(&message);
    assert!(key.public().verifies(&message, &signature));
    for at in 0..message.len() * 8 {
        let mut bent = message.clone();
        bent[at / 8] ^= 1 << (at % 8);
        assert!(!key.public().verifies(&bent, &signature), "bit {at} of the message");
    }
    for at in 0..signature.len() * 8 {
        let mut bent = signature;
        bent[at / 8] ^= 1 << (at % 8);
        assert!(!key.public().verifies(&message, &bent), "bit {at} of the signature");
    }
}

prop_compose! {
    fn claims()(
        digest in "sha256:[0-9a-f]{64}",
        id in "[a-z][a-z0-9-]{0,20}(\\.[a-z][a-z0-9-]{0,20}){0,3}",
        major in 0..1000_u64, minor in 0..1000_u64,
        pre in prop_oneof![Just(String::new()), Just("-rc.1".to_owned()), Just("+build.5".to_owned())],
        kind in prop_oneof![Just("template"), Just("policy"), Just("billing")],
        expires in 0..4_000_000_000_i64,
    ) -> Claim {
        Claim {
            digest, id,
            version: format!("{major}.{minor}.0{pre}").parse().unwrap(),
            kind: kind.to_owned(),
            expires: jiff::Timestamp::from_second(expires).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_signature_survives_its_text(claim in claims(), seed: [u8; 32]) {
        let key = SecretKey::from_seed(seed);
        let signature = Signature::sign(claim, &key).unwrap();
        let read = Signature::parse(&signature.to_string()).unwrap();
        prop_assert!(read.is_by(&key.public()));
        prop_assert_eq!(read, signature);
    }

    #[test]
    fn two_claims_never_share_their_bytes(one in claims(), other in claims()) {
        prop_assert_eq!(one == other, one.message().unwrap() == other.message().unwrap());
    }

    #[test]
    fn a_signature_is_by_its_own_key_and_for_its_own_claim_alone(one in claims(), other in claims(), seed: [u8; 32], wrong: [u8; 32]) {
        prop_assume!(one != other && seed != wrong);
        let key = SecretKey::from_seed(seed);
        let signature = Signature::sign(one.clone(), &key).unwrap();
        prop_assert!(!signature.is_by(&SecretKey::from_seed(wrong).public()));
        let moved = Signature::sign(other.clone(), &key).unwrap().to_string();
        let spliced: serde_json::Value = serde_json::from_str(&moved).unwrap();
        let mut document: serde_json::Value = serde_json::from_str(&signature.to_string()).unwrap();
        document["signature"] = spliced["signature"].clone();
        prop_assert!(!Signature::parse(&document.to_string()).unwrap().is_by(&key.public()));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,300}") {
        let _ = Signature::parse(&text);
        let _ = Revocations::parse(&text);
        let _ = text.parse::<PublicKey>();
        let _ = SecretKey::parse(&text);
    }
}
