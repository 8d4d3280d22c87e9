//! Major version 2.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Result, Store};

use crate::Journal;

mod bindings {
    wasmtime::component::bindgen!({ path: "tests/compat/wit/2.0.0", world: "greeter" });
}

impl bindings::fixture::greeter::journal::Host for Journal {
    fn write(&mut self, line: String, important: bool) {
        self.0.push((line, important));
    }
}

/// A guest of this major.
pub(crate) struct Greeter {
    pre: bindings::GreeterPre<Journal>,
}

impl Greeter {
    pub(crate) fn link(linker: &mut Linker<Journal>, component: &Component) -> Result<Self> {
        bindings::Greeter::add_to_linker::<_, HasSelf<_>>(linker, |journal| journal)?;
        Ok(Self { pre: bindings::GreeterPre::new(linker.instantiate_pre(component)?)? })
    }

    pub(crate) fn greet(
        &self,
        store: &mut Store<Journal>,
        name: &str,
        formal: bool,
    ) -> std::result::Result<String, String> {
        let guest = self.pre.instantiate(&mut *store).unwrap();
        let greeting = bindings::exports::fixture::greeter::greet::Greeting { name: name.to_owned(), formal };
        guest.fixture_greeter_greet().call_greet(store, &greeting).unwrap()
    }
}
