//! Major version 1: bindings of its newest minor, 1.1, which guests of 1.0 fit as well.

use wasmtime::component::{Component, ComponentExportIndex, HasSelf, InstancePre, Linker};
use wasmtime::{Result, Store};

use crate::Journal;

mod bindings {
    wasmtime::component::bindgen!({ path: "tests/compat/wit/1.1.0", world: "greeter" });
}

impl bindings::fixture::greeter::journal::Host for Journal {
    fn write(&mut self, line: String) {
        self.0.push((line, false));
    }

    fn shout(&mut self, line: String) {
        self.0.push((line, true));
    }
}

/// A guest of this major.
pub(crate) struct Greeter {
    pre: bindings::GreeterPre<Journal>,
    instance: InstancePre<Journal>,
    /// Since 1.1; not every guest has it.
    farewell: Option<ComponentExportIndex>,
}

impl Greeter {
    pub(crate) fn link(linker: &mut Linker<Journal>, component: &Component) -> Result<Self> {
        bindings::Greeter::add_to_linker::<_, HasSelf<_>>(linker, |journal| journal)?;
        let instance = linker.instantiate_pre(component)?;
        let interface = component.get_export_index(None, "fixture:greeter/farewell@1.1.0");
        let farewell = interface.and_then(|interface| component.get_export_index(Some(&interface), "farewell"));
        Ok(Self { pre: bindings::GreeterPre::new(instance.clone())?, instance, farewell })
    }

    pub(crate) fn greet(&self, store: &mut Store<Journal>, name: &str) -> String {
        let guest = self.pre.instantiate(&mut *store).unwrap();
        guest.fixture_greeter_greet().call_greet(store, name).unwrap()
    }

    pub(crate) fn farewell(&self, store: &mut Store<Journal>, name: &str) -> Option<String> {
        let farewell = self.farewell?;
        let guest = self.instance.instantiate(&mut *store).unwrap();
        let function = guest.get_typed_func::<(&str,), (String,)>(&mut *store, farewell).unwrap();
        Some(function.call(store, (name,)).unwrap().0)
    }
}
