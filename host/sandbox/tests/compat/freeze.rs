//! How the frozen guests came to be: core modules in text, wrapped as components. Run once for each release
//! (`cargo test -p convergence-sandbox --test compat -- --ignored freeze`); what is frozen is never built again.

use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

const RELEASES: [(&str, &str, &str); 3] =
    [("1.0.0", "greeter", "v1_0"), ("1.1.0", "polite-greeter", "v1_1"), ("2.0.0", "greeter", "v2_0")];

/// The folder of this fixture.
pub(crate) fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

#[test]
#[ignore = "writes the frozen guests"]
fn freeze() {
    for (release, world, guest) in RELEASES {
        let frozen = here().join("guests").join(guest).with_extension("wasm");
        if !frozen.exists() {
            std::fs::write(&frozen, encode(release, world, guest)).unwrap();
        }
    }
}

fn encode(release: &str, world: &str, guest: &str) -> Vec<u8> {
    let text = here().join("guests").join(guest).with_extension("wat");
    let mut module = wat::parse_file(text).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(here().join("wit").join(release)).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
