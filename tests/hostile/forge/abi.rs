//! Writes values into a guest's memory as the canonical ABI has them, so that a forged guest can answer anything.

use std::collections::BTreeMap;

use serde_json::Value;
use wit_parser::{Resolve, SizeAlign, Type, TypeDefKind};

/// A piece of linear memory that is filled from its start.
pub(crate) struct Memory<'a> {
    resolve: &'a Resolve,
    sizes: SizeAlign,
    start: usize,
    pub(crate) bytes: Vec<u8>,
    /// Where each string and list is written down: its path → the address of its pointer and length.
    pub(crate) places: BTreeMap<String, usize>,
}

impl<'a> Memory<'a> {
    /// Memory from this address on.
    pub(crate) fn new(resolve: &'a Resolve, start: usize) -> Self {
        let mut sizes = SizeAlign::default();
        sizes.fill(resolve);
        Self { resolve, sizes, start, bytes: Vec::new(), places: BTreeMap::new() }
    }

    /// The first address after what is written, for the guest's own use.
    pub(crate) fn end(&self) -> usize {
        (self.start + self.bytes.len()).next_multiple_of(16)
    }

    /// Writes a value of this type, and says where. Fields are named as in WIT; what is absent is empty, none or zero.
    pub(crate) fn put(&mut self, ty: &Type, value: &Value) -> usize {
        let at = self.take(self.size(ty), 8);
        self.store(ty, value, at, String::new());
        at
    }

    /// Overwrites one byte or a number of 32 bits at an address.
    pub(crate) fn poke(&mut self, at: usize, bytes: &[u8]) {
        let at = at - self.start;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn size(&self, ty: &Type) -> usize {
        self.sizes.size(ty).size_wasm32()
    }

    fn take(&mut self, size: usize, align: usize) -> usize {
        let at = (self.start + self.bytes.len()).next_multiple_of(align);
        self.bytes.resize(at + size - self.start, 0);
        at
    }

    fn number(&mut self, value: u64, at: usize, size: usize) {
        self.poke(at, &value.to_le_bytes()[..size]);
    }

    fn text(&mut self, text: &str, at: usize, path: String) {
        let start = self.take(text.len(), 1);
        self.poke(start, text.as_bytes());
        self.slice(start, text.len(), at, path);
    }

    fn slice(&mut self, start: usize, length: usize, at: usize, path: String) {
        self.number(start as u64, at, 4);
        self.number(length as u64, at + 4, 4);
        self.places.insert(path, at);
    }

    fn store(&mut self, ty: &Type, value: &Value, at: usize, path: String) {
        match ty {
            Type::Bool => self.number(u64::from(value.as_bool().unwrap_or_default()), at, 1),
            Type::U8 | Type::U16 | Type::U32 => {
                let size = self.size(ty);
                self.number(value.as_u64().unwrap_or_default(), at, size);
            }
            Type::String => self.text(value.as_str().unwrap_or_default(), at, path),
            Type::Id(id) => {
                let kind = self.resolve.types[*id].kind.clone();
                self.store_kind(&kind, value, at, path);
            }
            other => panic!("no contract has {other:?}"),
        }
    }

    fn store_kind(&mut self, kind: &TypeDefKind, value: &Value, at: usize, path: String) {
        match kind {
            TypeDefKind::Type(ty) => self.store(ty, value, at, path),
            TypeDefKind::Record(record) => {
                let types: Vec<Type> = record.fields.iter().map(|field| field.ty).collect();
                let offsets = self.sizes.field_offsets(&types);
                let offsets: Vec<usize> = offsets.iter().map(|(offset, _)| offset.size_wasm32()).collect();
                for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    assert!(record.fields.iter().any(|field| field.name == *name), "{path} has no `{name}`");
                }
                for (field, offset) in record.fields.iter().zip(offsets) {
                    let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
                    self.store(&field.ty, &value[&field.name], at + offset, path);
                }
            }
            TypeDefKind::List(ty) => {
                let text = value.as_str().map(|text| text.bytes().map(Value::from).collect::<Vec<_>>());
                let elements = text.or_else(|| value.as_array().cloned()).unwrap_or_default();
                let size = self.size(ty);
                let start = self.take(size * elements.len(), 8);
                for (index, element) in elements.iter().enumerate() {
                    self.store(ty, element, start + index * size, format!("{path}[{index}]"));
                }
                self.slice(start, elements.len(), at, path);
            }
            TypeDefKind::Option(ty) => {
                self.number(u64::from(!value.is_null()), at, 1);
                self.places.insert(format!("{path}?"), at);
                if !value.is_null() {
                    let payload = self.sizes.payload_offset(wit_parser::Int::U8, [Some(ty)]).size_wasm32();
                    self.store(ty, value, at + payload, path);
                }
            }
            TypeDefKind::Result(result) => {
                let cases = [result.ok.as_ref(), result.err.as_ref()];
                let payload = self.sizes.payload_offset(wit_parser::Int::U8, cases).size_wasm32();
                let error = value.get("error");
                self.number(u64::from(error.is_some()), at, 1);
                match (error, result.ok, result.err) {
                    (Some(error), _, Some(ty)) => self.store(&ty, error, at + payload, path),
                    (None, Some(ty), _) => self.store(&ty, value, at + payload, path),
                    _ => {}
                }
            }
            TypeDefKind::Enum(cases) => {
                let wanted = value.as_str().unwrap_or(&cases.cases[0].name);
                let found = cases.cases.iter().position(|case| case.name == wanted);
                self.number(found.unwrap_or_else(|| panic!("{path} has no case `{wanted}`")) as u64, at, 1);
                self.places.insert(format!("{path}#"), at);
            }
            TypeDefKind::Variant(variant) => {
                let (name, payload) = match value.as_object().and_then(|object| object.iter().next()) {
                    Some((name, payload)) => (name.as_str(), payload),
                    None => (value.as_str().unwrap_or(&variant.cases[0].name), &Value::Null),
                };
                let found = variant.cases.iter().position(|case| case.name == name);
                let found = found.unwrap_or_else(|| panic!("{path} has no case `{name}`"));
                let types = variant.cases.iter().map(|case| case.ty.as_ref());
                let offset = self.sizes.payload_offset(variant.tag(), types).size_wasm32();
                self.number(found as u64, at, 1);
                self.places.insert(format!("{path}#"), at);
                if let Some(ty) = variant.cases[found].ty {
                    self.store(&ty, payload, at + offset, path);
                }
            }
            other => panic!("no contract has {}", other.as_str()),
        }
    }
}
