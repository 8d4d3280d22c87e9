//! How a contract grows without breaking anybody: guests that were built against 1.0.0, 1.1.0 and 2.0.0 of one package,
//! frozen as binaries, run side by side in one host. It is the scheme that the product's own packages follow once they are
//! released (`docs/plugins/compatibility.md`):
//!
//! - a major version has a folder of bindings of its own ([`v1`], [`v2`]), which speaks its newest minor;
//! - a guest of an older minor finds its imports and exports there, because names are matched by semver;
//! - what a minor adds to guests is a new interface, and the host looks whether a guest has it;
//! - behind them is one Rust type, [`Greeter`], and which major a guest speaks is chosen once, when it is loaded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, missing_debug_implementations, unreachable_pub)]

mod freeze;
mod v1;
mod v2;

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

/// What a guest asked of the host: lines, and whether they matter.
#[derive(Debug, Default)]
pub(crate) struct Journal(Vec<(String, bool)>);

/// A guest, whatever it was built against.
enum Greeter {
    V1(v1::Greeter),
    V2(v2::Greeter),
}

impl Greeter {
    /// Chooses the adapter by what the component exports.
    fn load(engine: &Engine, bytes: &[u8]) -> Result<Self, String> {
        let component = Component::from_binary(engine, bytes).map_err(|error| format!("{error:#}"))?;
        let exports: Vec<String> =
            component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
        let speaks =
            |major: &str| exports.iter().any(|name| name.starts_with(&format!("fixture:greeter/greet@{major}.")));
        let mut linker = Linker::new(engine);
        match () {
            () if speaks("1") => v1::Greeter::link(&mut linker, &component).map(Self::V1),
            () if speaks("2") => v2::Greeter::link(&mut linker, &component).map(Self::V2),
            () => return Err(format!("it speaks no version of greeter that is known here: {exports:?}")),
        }
        .map_err(|error| format!("{error:#}"))
    }

    /// Greets somebody. What an older contract has no word for is the adapter's to make up.
    fn greet(&self, store: &mut Store<Journal>, name: &str, formal: bool) -> Result<String, String> {
        match self {
            Self::V1(guest) => Ok(guest.greet(store, name)),
            Self::V2(guest) => guest.greet(store, name, formal),
        }
    }

    /// Says goodbye, where the guest knows how.
    fn farewell(&self, store: &mut Store<Journal>, name: &str) -> Option<String> {
        match self {
            Self::V1(guest) => guest.farewell(store, name),
            Self::V2(_) => None,
        }
    }
}

fn guest(engine: &Engine, name: &str) -> Greeter {
    let bytes = std::fs::read(freeze::here().join("guests").join(name)).unwrap();
    Greeter::load(engine, &bytes).unwrap()
}

#[test]
fn guests_of_every_release_work_side_by_side() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, Journal::default());
    let first = guest(&engine, "v1_0.wasm");
    let minor = guest(&engine, "v1_1.wasm");
    let major = guest(&engine, "v2_0.wasm");
    for _ in 0..2 {
        assert_eq!(first.greet(&mut store, "Ada", true).unwrap(), "hello, Ada");
        assert_eq!(minor.greet(&mut store, "Ada", true).unwrap(), "HELLO, Ada");
        assert_eq!(major.greet(&mut store, "Ada", true).unwrap(), "good day, Ada");
    }
    assert_eq!(major.greet(&mut store, "Ada", false).unwrap_err(), "we have not met");
    // The line of 1.0, the one that 1.1 added, and the one that 2.0 changed.
    let line = |important| ("greeting".to_owned(), important);
    assert_eq!(store.data().0[..3], [line(false), line(true), line(true)]);
}

#[test]
fn what_a_minor_adds_is_used_where_it_is_there() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, Journal::default());
    assert_eq!(guest(&engine, "v1_0.wasm").farewell(&mut store, "Ada"), None);
    assert_eq!(guest(&engine, "v1_1.wasm").farewell(&mut store, "Ada").as_deref(), Some("goodbye, Ada"));
    assert_eq!(guest(&engine, "v2_0.wasm").farewell(&mut store, "Ada"), None);
}

#[test]
fn a_guest_of_a_later_major_is_refused_by_name() {
    let mut bytes = std::fs::read(freeze::here().join("guests/v2_0.wasm")).unwrap();
    let places: Vec<usize> = (0..bytes.len() - 5).filter(|at| bytes[*at..].starts_with(b"2.0.0")).collect();
    for at in places {
        bytes[at] = b'3';
    }
    let Err(error) = Greeter::load(&Engine::default(), &bytes) else { panic!("it was accepted") };
    assert!(error.contains("fixture:greeter/greet@3.0.0"), "{error}");
}
