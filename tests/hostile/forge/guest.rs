//! Whole plugins that answer what they are told, made from a few lines of core WebAssembly.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Function, Resolve, WorldId, WorldItem};

use super::abi::Memory;
use crate::harness::workspace;

/// Where answers begin in memory.
const ANSWERS: usize = 1024;
const METADATA: &str = "convergence:plugin/metadata@0.1.0";

/// What is forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Template,
    Policy,
}

/// A plugin that behaves, until something in it is changed.
pub(crate) struct Guest {
    world: World,
    answers: BTreeMap<&'static str, Value>,
    bodies: BTreeMap<&'static str, String>,
    afterwards: BTreeMap<&'static str, String>,
    pokes: Vec<(&'static str, String, usize, Vec<u8>)>,
    realloc: String,
    fields: String,
    pages: usize,
}

impl Guest {
    /// A template for the language `forged`.
    pub(crate) fn template() -> Self {
        let languages = json!([{ "name": "forged", "images": ["debian:bookworm-slim"] }]);
        Self::of(World::Template, "template")
            .answer("languages", languages)
            .answer("wants", json!([]))
            .answer("detect", Value::Null)
            .answer("plan", plan())
    }

    /// A policy that objects to nothing.
    pub(crate) fn policy() -> Self {
        Self::of(World::Policy, "policy").answer("evaluate", json!({}))
    }

    fn of(world: World, kind: &str) -> Self {
        let description = json!({
            "id": "forged", "kind": kind, "name": "Forged", "version": "1.0.0", "summary": "For tests.",
            "config-schema": "{}",
            "examples": [{ "name": "behaves", "config": "{}", "input": "{}" }],
        });
        Self {
            world,
            answers: BTreeMap::from([("describe", description)]),
            bodies: BTreeMap::new(),
            afterwards: BTreeMap::new(),
            pokes: Vec::new(),
            realloc: "(call $grab (local.get 2) (local.get 3))".to_owned(),
            fields: String::new(),
            pages: 1,
        }
    }

    /// Answers this, a value named as in WIT.
    pub(crate) fn answer(mut self, function: &'static str, value: Value) -> Self {
        self.answers.insert(function, value);
        self
    }

    /// Changes one field of an answer, by its JSON pointer.
    pub(crate) fn with(mut self, function: &'static str, pointer: &str, value: Value) -> Self {
        let answer = self.answers.get_mut(function).unwrap();
        if let Some(field) = answer.pointer_mut(pointer) {
            *field = value;
        } else {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            answer.pointer_mut(parent).unwrap()[name] = value;
        }
        self
    }

    /// Runs this before it answers. `$answer` is where the answer is.
    pub(crate) fn doing(mut self, function: &'static str, code: &str) -> Self {
        self.bodies.insert(function, code.to_owned());
        self
    }

    /// Runs this after its answer was read.
    pub(crate) fn afterwards(mut self, function: &'static str, code: &str) -> Self {
        self.afterwards.insert(function, code.to_owned());
        self
    }

    /// Overwrites what stands for a field of an answer, so many bytes after its pointer.
    pub(crate) fn poke(mut self, function: &'static str, field: &str, offset: usize, bytes: &[u8]) -> Self {
        self.pokes.push((function, field.to_owned(), offset, bytes.to_vec()));
        self
    }

    /// Allocates like this for the host: parameters are old pointer, old size, alignment and new size.
    pub(crate) fn realloc(mut self, code: &str) -> Self {
        self.realloc = code.to_owned();
        self
    }

    /// Fields of the module besides.
    pub(crate) fn fields(mut self, fields: &str) -> Self {
        self.fields.push_str(fields);
        self
    }

    /// So many pages of memory at the start.
    pub(crate) fn pages(mut self, pages: usize) -> Self {
        self.pages = pages;
        self
    }

    /// The component.
    pub(crate) fn build(self) -> Vec<u8> {
        let (resolve, world) = self.resolve();
        let mut memory = Memory::new(&resolve, ANSWERS);
        let mut functions = String::new();
        for (interface, function) in exported(&resolve, world) {
            let name = function.name.as_str();
            let address = match (&function.result, self.answers.get(name)) {
                (Some(ty), Some(value)) => memory.put(ty, value),
                _ => panic!("no answer for {name}"),
            };
            for (_, field, offset, bytes) in self.pokes.iter().filter(|(function, ..)| *function == name) {
                let at = match field.as_str() {
                    "" => address,
                    field => memory.places[field],
                };
                memory.poke(at + offset, bytes);
            }
            memory.places.clear();
            let parameters = if function.params.is_empty() { "" } else { "(param i32)" };
            let doing = self.bodies.get(name).map_or("", String::as_str).replace("$answer", &address.to_string());
            functions.push_str(&format!(
                "(func (export \"{interface}#{name}\") {parameters} (result i32) (local $i i32) {doing} (i32.const {address}))\n"
            ));
            if let Some(code) = self.afterwards.get(name) {
                functions.push_str(&format!("(func (export \"cabi_post_{interface}#{name}\") (param i32) {code})\n"));
            }
        }
        let data: String = memory.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let pages = self.pages.max(memory.end() / 65_536 + 2);
        let text = format!(
            r#"(module
              (import "convergence:host/log@0.1.0" "write" (func $log (param i32 i32 i32)))
              (memory (export "memory") {pages})
              (global $free (mut i32) (i32.const {end}))
              (global $turn (mut i32) (i32.const 0))
              (data (i32.const {ANSWERS}) "{data}")
              (func $grab (param $align i32) (param $size i32) (result i32) (local $at i32)
                (local.set $at (i32.and
                  (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
                  (i32.sub (i32.const 0) (local.get $align))))
                (global.set $free (i32.add (local.get $at) (local.get $size)))
                (local.get $at))
              (func $deeper (param i64) (result i64)
                (i64.add (local.get 0) (call $deeper (i64.add (local.get 0) (i64.const 1)))))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              {functions}
              {fields})"#,
            end = memory.end(),
            realloc = self.realloc,
            fields = self.fields,
        );
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        // Not validated: some of them are meant to be wrong.
        ComponentEncoder::default().validate(false).module(&module).unwrap().encode().unwrap()
    }

    fn resolve(&self) -> (Resolve, WorldId) {
        let wit = workspace().join("wit");
        let mut resolve = Resolve::default();
        for package in ["host", "plugin"] {
            resolve.push_dir(wit.join(package)).unwrap();
        }
        let (folder, world) = match self.world {
            World::Template => ("template", "language-template"),
            World::Policy => ("policy", "validation-policy"),
        };
        let (package, _) = resolve.push_dir(wit.join(folder)).unwrap();
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        (resolve, world)
    }
}

/// A plan that the guard accepts.
pub(crate) fn plan() -> Value {
    json!({
        "files": [{ "path": "app.txt", "contents": "hello" }],
        "stages": [{
            "name": "run",
            "base": { "image": "debian:bookworm-slim" },
            "steps": [
                { "workdir": "/app" },
                { "copy": { "origin": "plan", "paths": ["."], "destination": "/app/" } },
                { "env": { "key": "MODE", "value": "test" } },
                { "run": { "argv": ["true"] } },
            ],
        }],
        "service": {
            "command": ["sleep", "infinity"],
            "port": 8080,
            "health": {
                "probe": "tcp", "interval-seconds": 10, "timeout-seconds": 2, "retries": 3, "start-period-seconds": 5,
            },
            "env": [{ "key": "GREETING", "value": "hello" }],
            "stop-grace-seconds": 10,
        },
        "notes": ["forged"],
    })
}

fn exported(resolve: &Resolve, world: WorldId) -> Vec<(String, Function)> {
    let mut functions = Vec::new();
    for item in resolve.worlds[world].exports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let name = resolve.id_of(*id).unwrap();
        for function in resolve.interfaces[*id].functions.values() {
            functions.push((name.clone(), function.clone()));
        }
    }
    assert!(functions.iter().any(|(interface, _)| interface == METADATA));
    functions
}
