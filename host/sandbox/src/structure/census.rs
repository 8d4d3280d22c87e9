//! How much of everything a component may have.
//!
//! Validating and compiling take time in proportion to most of these, and worse than that to some. The limits are a few
//! times what the largest honest guest has: an interpreter of 18 MB with 13 500 functions in 38 modules.

use wasmparser::{Payload, SectionLimited};

use super::malformed;
use crate::error::LoadError;
use crate::limiter::MAX_PARTS;

/// Bytes of one function; the evaluation loop of an interpreter has some 430 000.
const MAX_FUNCTION_BYTES: usize = 2 << 20;
/// Local variables of one function; compilers that optimize make a few hundred.
const MAX_LOCALS: usize = 10_000;

/// Counts of all modules and nested components together.
#[derive(Debug, Default)]
pub(super) struct Census {
    modules: Count,
    components: Count,
    functions: Count,
    core_types: Count,
    core_imports: Count,
    core_exports: Count,
    globals: Count,
    tables: Count,
    memories: Count,
    tags: Count,
    elements: Count,
    element_bytes: Count,
    data: Count,
    core_instances: Count,
    instances: Count,
    types: Count,
    type_bytes: Count,
    aliases: Count,
    canonicals: Count,
    imports: Count,
    exports: Count,
    custom: Count,
}

impl Census {
    /// Counts what a payload brings, without looking into it any further than that takes.
    pub(super) fn count(&mut self, payload: &Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::ModuleSection { .. } => self.modules.add(1, "core modules", MAX_PARTS),
            Payload::ComponentSection { .. } => self.components.add(1, "nested components", 128),
            Payload::CodeSectionStart { count, .. } => self.functions.add(widen(*count), "functions", 100_000),
            Payload::CodeSectionEntry(body) => {
                bound("bytes in one function", body.range().len(), MAX_FUNCTION_BYTES)?;
                let mut locals = 0_usize;
                for group in body.get_locals_reader().map_err(malformed)? {
                    locals = locals.saturating_add(widen(group.map_err(malformed)?.0));
                }
                bound("local variables in one function", locals, MAX_LOCALS)
            }
            Payload::TypeSection(section) => self.core_types.section(section, "core types", 20_000),
            Payload::ImportSection(section) => self.core_imports.section(section, "core imports", 20_000),
            Payload::ExportSection(section) => self.core_exports.section(section, "core exports", 40_000),
            Payload::GlobalSection(section) => self.globals.section(section, "globals", 20_000),
            Payload::TableSection(section) => self.tables.section(section, "tables", MAX_PARTS),
            Payload::MemorySection(section) => self.memories.section(section, "memories", MAX_PARTS),
            Payload::TagSection(section) => self.tags.section(section, "tags", 1_000),
            Payload::ElementSection(section) => {
                self.elements.section(section, "element segments", 20_000)?;
                self.element_bytes.add(section.range().len(), "bytes in element segments", 4 << 20)
            }
            Payload::DataSection(section) => self.data.section(section, "data segments", 100_000),
            Payload::InstanceSection(section) => self.core_instances.section(section, "core instances", 1_000),
            Payload::ComponentInstanceSection(section) => self.instances.section(section, "instances", 1_000),
            Payload::CoreTypeSection(section) => {
                self.types.section(section, "types of its own", 10_000)?;
                self.type_bytes.add(section.range().len(), "bytes in types of its own", 256 << 10)
            }
            Payload::ComponentTypeSection(section) => {
                self.types.section(section, "types of its own", 10_000)?;
                self.type_bytes.add(section.range().len(), "bytes in types of its own", 256 << 10)
            }
            Payload::ComponentAliasSection(section) => self.aliases.section(section, "aliases", 20_000),
            Payload::ComponentCanonicalSection(section) => {
                self.canonicals.section(section, "functions that cross its border", 5_000)
            }
            Payload::ComponentImportSection(section) => self.imports.section(section, "imports", 1_000),
            Payload::ComponentExportSection(section) => self.exports.section(section, "exports", 1_000),
            Payload::CustomSection(_) => self.custom.add(1, "custom sections", 1_000),
            _ => Ok(()),
        }
    }
}

/// So many of one thing.
#[derive(Debug, Default)]
struct Count(usize);

impl Count {
    fn add(&mut self, more: usize, what: &'static str, limit: usize) -> Result<(), LoadError> {
        self.0 = self.0.saturating_add(more);
        bound(what, self.0, limit)
    }

    fn section<T>(
        &mut self,
        section: &SectionLimited<'_, T>,
        what: &'static str,
        limit: usize,
    ) -> Result<(), LoadError> {
        self.add(widen(section.count()), what, limit)
    }
}

fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), LoadError> {
    if found > limit { Err(LoadError::TooComplex { what, found, limit }) } else { Ok(()) }
}

fn widen(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::super::inspect;
    use super::*;
    use crate::config::Wasi;

    /// What there is too much of in a component of this text.
    fn too_much(text: &str) -> &'static str {
        match inspect(&wat::parse_str(text).unwrap(), 64 << 20, Wasi::Deterministic) {
            Err(LoadError::TooComplex { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    fn in_module(fields: &str) -> String {
        format!("(component (core module {fields}))")
    }

    #[test]
    fn each_part_is_bounded() {
        let cases = [
            (format!("(component {})", "(core module)".repeat(MAX_PARTS + 1)), "core modules"),
            (format!("(component {})", "(component)".repeat(129)), "nested components"),
            (in_module(&"(func)".repeat(100_001)), "functions"),
            (in_module(&"(type (func))".repeat(20_001)), "core types"),
            (in_module(&"(import \"a\" \"b\" (func))".repeat(20_001)), "core imports"),
            (in_module(&"(global i32 i32.const 0)".repeat(20_001)), "globals"),
            (in_module(&"(table 1 funcref)".repeat(49)), "tables"),
            (in_module(&"(memory 1)".repeat(49)), "memories"),
            (in_module(&format!("(func (local {}))", "i64 ".repeat(10_001))), "local variables in one function"),
            (in_module(&format!("(func {})", "i64.const 0 drop ".repeat(800_000))), "bytes in one function"),
            (format!("(component {})", "(type (list u8))".repeat(10_001)), "types of its own"),
        ];
        for (text, what) in cases {
            assert_eq!(too_much(&text), what);
        }
    }

    #[test]
    fn locals_are_counted_without_being_made() {
        // Two groups of 2³¹ - 1: a few bytes.
        let body: &[u8] = &[0x02, 0xff, 0xff, 0xff, 0xff, 0x07, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x07, 0x7f, 0x0b];
        let mut code = vec![0x01, u8::try_from(body.len()).unwrap()];
        code.extend_from_slice(body);
        let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
        module.push(u8::try_from(code.len()).unwrap());
        module.extend_from_slice(&code);
        let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
        component.push(u8::try_from(module.len()).unwrap());
        component.extend_from_slice(&module);
        let found = inspect(&component, 1 << 20, Wasi::Deterministic);
        assert!(
            matches!(found, Err(LoadError::TooComplex { what: "local variables in one function", .. })),
            "{found:?}"
        );
    }
}
