//! The contract as TypeScript declares it: for editors and for `tsc --checkJs`. Nothing is built from it.

use wit_bindgen_core::wit_parser::{Function, Interface, InterfaceId, Resolve, Type, TypeDefKind, WorldItem, WorldKey};

use super::contract::{Contract, camel, pascal};

/// What `javascript/world.js` adds to the language.
const WORLD: &str = "\
/** Writes lines for the operator. */
declare const console: Record<'trace' | 'debug' | 'log' | 'info' | 'warn' | 'error', (...values: unknown[]) => void>;

/** UTF-8 only. A lone surrogate becomes U+FFFD. */
declare class TextEncoder {
  encode(text?: string): Uint8Array;
}

/** UTF-8 only, and strict: what is not UTF-8 is a TypeError. A byte order mark is dropped. */
declare class TextDecoder {
  decode(bytes?: Uint8Array): string;
}

";

impl Contract {
    /// Two files: a module with every type and every exported interface (`Evaluator`); and declarations, which must not be
    /// in a module, of what can be imported and of what is there without that.
    pub(super) fn typescript(&self) -> [String; 2] {
        let mut text = "// Made by `convergence plugin build` from wit/: the contract, for editors.\n\n".to_owned();
        let mut imported = format!("{text}{WORLD}");
        let Some(world) = self.resolve.worlds.get(self.world) else { return [text, imported] };
        for (_, item) in &world.imports {
            let Some((id, interface)) = interface(&self.resolve, item) else { continue };
            text.push_str(&types(&self.resolve, interface));
            if !interface.functions.is_empty() {
                imported.push_str(&module(&self.resolve, id, interface));
            }
        }
        for (key, item) in &world.exports {
            let Some((_, interface)) = interface(&self.resolve, item) else { continue };
            text.push_str(&types(&self.resolve, interface));
            let name = match key {
                WorldKey::Name(name) => name.as_str(),
                WorldKey::Interface(_) => interface.name.as_deref().unwrap_or_default(),
            };
            text.push_str(&comment(interface.docs.contents.as_deref(), ""));
            text.push_str(&format!("export interface {} {{\n", pascal(name)));
            for function in interface.functions.values() {
                text.push_str(&comment(function.docs.contents.as_deref(), "  "));
                text.push_str(&format!("  {};\n", signature(&self.resolve, function, "")));
            }
            text.push_str("}\n\n");
        }
        [text, imported]
    }
}

fn interface<'a>(resolve: &'a Resolve, item: &WorldItem) -> Option<(InterfaceId, &'a Interface)> {
    match item {
        WorldItem::Interface { id, .. } => Some((*id, resolve.interfaces.get(*id)?)),
        _ => None,
    }
}

/// The types that an interface defines, and not those that it takes from another.
fn types(resolve: &Resolve, interface: &Interface) -> String {
    let mut text = String::new();
    for (name, id) in &interface.types {
        let Some(definition) = resolve.types.get(*id) else { continue };
        let name = pascal(name);
        let docs = comment(definition.docs.contents.as_deref(), "");
        match &definition.kind {
            TypeDefKind::Type(Type::Id(_)) => {}
            TypeDefKind::Record(record) => {
                text.push_str(&format!("{docs}export interface {name} {{\n"));
                for field in &record.fields {
                    text.push_str(&comment(field.docs.contents.as_deref(), "  "));
                    let mark = if is_option(resolve, &field.ty) { "?" } else { "" };
                    text.push_str(&format!("  {}{mark}: {};\n", camel(&field.name), named(resolve, &field.ty, "")));
                }
                text.push_str("}\n\n");
            }
            TypeDefKind::Enum(cases) => {
                let cases: Vec<_> = cases.cases.iter().map(|case| format!("'{}'", case.name)).collect();
                text.push_str(&format!("{docs}export type {name} = {};\n\n", cases.join(" | ")));
            }
            TypeDefKind::Variant(variant) => {
                text.push_str(&format!("{docs}export type {name} =\n"));
                for case in &variant.cases {
                    text.push_str(&comment(case.docs.contents.as_deref(), "  "));
                    let payload = case.ty.as_ref().map(|payload| format!(", val: {}", named(resolve, payload, "")));
                    text.push_str(&format!("  | {{ tag: '{}'{} }}\n", case.name, payload.unwrap_or_default()));
                }
                text.push_str("  ;\n\n");
            }
            _ => {
                text.push_str(&format!(
                    "{docs}export type {name} = {};\n\n",
                    expression(resolve, &definition.kind, "")
                ));
            }
        }
    }
    text
}

fn module(resolve: &Resolve, id: InterfaceId, interface: &Interface) -> String {
    let mut text = format!("declare module '{}' {{\n", resolve.id_of(id).unwrap_or_default());
    for function in interface.functions.values() {
        text.push_str(&comment(function.docs.contents.as_deref(), "  "));
        text.push_str(&format!("  export function {};\n", signature(resolve, function, "import('./plugin').")));
    }
    text.push_str("}\n\n");
    text
}

/// `evaluate(review: Review): Verdict`. A failure is thrown, for which TypeScript has no word.
fn signature(resolve: &Resolve, function: &Function, from: &str) -> String {
    let parameters: Vec<_> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", camel(&param.name), named(resolve, &param.ty, from)))
        .collect();
    let result = function.result.as_ref().map_or_else(|| "void".to_owned(), |result| named(resolve, result, from));
    format!("{}({}): {result}", camel(&function.name), parameters.join(", "))
}

/// A type where it is used; named types are looked for in `from`.
fn named(resolve: &Resolve, type_: &Type, from: &str) -> String {
    let Type::Id(id) = type_ else {
        return match type_ {
            Type::Bool => "boolean",
            Type::String | Type::Char => "string",
            _ => "number",
        }
        .to_owned();
    };
    match resolve.types.get(*id) {
        Some(definition) => match &definition.name {
            Some(name) => format!("{from}{}", pascal(name)),
            None => expression(resolve, &definition.kind, from),
        },
        None => "unknown".to_owned(),
    }
}

fn expression(resolve: &Resolve, kind: &TypeDefKind, from: &str) -> String {
    match kind {
        TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
        TypeDefKind::List(element) => format!("Array<{}>", named(resolve, element, from)),
        TypeDefKind::Option(some) => format!("{} | null | undefined", named(resolve, some, from)),
        TypeDefKind::Result(result) => {
            result.ok.as_ref().map_or_else(|| "void".to_owned(), |ok| named(resolve, ok, from))
        }
        TypeDefKind::Type(alias) => named(resolve, alias, from),
        _ => "unknown".to_owned(),
    }
}

fn is_option(resolve: &Resolve, type_: &Type) -> bool {
    let Type::Id(id) = type_ else { return false };
    matches!(resolve.types.get(*id).map(|definition| &definition.kind), Some(TypeDefKind::Option(_)))
}

fn comment(docs: Option<&str>, indent: &str) -> String {
    let Some(docs) = docs else { return String::new() };
    let lines: Vec<_> = docs.trim().lines().map(|line| line.replace("*/", "* /")).collect();
    format!("{indent}/** {} */\n", lines.join(&format!("\n{indent} * ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use convergence_sandbox::Kind;

    use super::*;
    use crate::project::Language;

    #[test]
    fn the_contract_is_declared_as_javascript_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let project = crate::new(Kind::Policy, Language::JavaScript, "x", folder.path()).unwrap();
        let [text, imported] = Contract::read(&project).unwrap().typescript();
        for part in [
            "export interface Review {\n",
            "  memoryMb: number;\n",
            "  framework?: string | null | undefined;\n",
            "export type Severity = 'deny' | 'warn';\n",
            "  | { tag: 'invalid-input', val: Array<FieldError> }\n",
            "export interface Evaluator {\n",
            "  evaluate(review: Review): Verdict;\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(imported.contains("declare module 'convergence:host/log@0.1.0' {\n"), "{imported}");
        assert!(imported.contains("write(level: import('./plugin').Level, message: string): void;"), "{imported}");
    }
}
