//! The world of a project, from its `wit/`: what its component must export, and where tools find it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use wit_bindgen_core::wit_parser::{Resolve, Type, TypeDefKind, WorldId, WorldItem};

use super::{BuildError, read, write};
use crate::project::Project;

/// A world, read.
pub(super) struct Contract {
    pub(super) resolve: Resolve,
    pub(super) world: WorldId,
}

/// An interface that the component exports. Names are as in the contract (`plugin-types`).
pub(super) struct Exported {
    pub(super) interface: String,
    pub(super) functions: Vec<Function>,
}

/// A function that the component exports.
pub(super) struct Function {
    pub(super) name: String,
    /// What its arguments look like, in order.
    pub(super) parameters: Vec<Value>,
    /// What a value must look like to be its result: see [`Contract::shape`].
    pub(super) result: Value,
}

impl Contract {
    /// Reads the contract in the project's folder.
    ///
    /// # Errors
    ///
    /// It is missing, or is not what `plugin new` wrote.
    pub(super) fn read(project: &Project) -> Result<Self, BuildError> {
        Self::parse(&super::contract(project)?, project.kind().as_str()).map_err(|error| {
            BuildError::Project(format!(
                "the contract in wit/ cannot be read: {error:#}; leave that folder as it was made"
            ))
        })
    }

    fn parse(wit: &Path, kind: &str) -> anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        resolve.push_path(wit.join("host"))?;
        resolve.push_path(wit.join("plugin"))?;
        let (package, _) = resolve.push_path(wit.join(kind))?;
        let world = resolve.select_world(&[package], None)?;
        Ok(Self { resolve, world })
    }

    /// The world's name.
    pub(super) fn world(&self) -> &str {
        self.resolve.worlds.get(self.world).map(|world| world.name.as_str()).unwrap_or_default()
    }

    /// The full name of the log (`convergence:host/log@0.1.0`).
    pub(super) fn log(&self) -> Option<String> {
        let named_log = |(_, item): (_, &WorldItem)| match item {
            WorldItem::Interface { id, .. } => self.resolve.id_of(*id).filter(|name| name.contains("/log@")),
            _ => None,
        };
        self.resolve.worlds.get(self.world)?.imports.iter().find_map(named_log)
    }

    /// What the component exports.
    pub(super) fn exports(&self) -> Vec<Exported> {
        let Some(world) = self.resolve.worlds.get(self.world) else { return Vec::new() };
        let interfaces = world.exports.values().filter_map(|item| match item {
            WorldItem::Interface { id, .. } => self.resolve.interfaces.get(*id),
            _ => None,
        });
        interfaces
            .map(|interface| Exported {
                interface: interface.name.clone().unwrap_or_default(),
                functions: interface
                    .functions
                    .iter()
                    .map(|(name, function)| Function {
                        name: name.clone(),
                        parameters: function.params.iter().map(|parameter| self.shape(&parameter.ty)).collect(),
                        result: function.result.as_ref().map_or(Value::Null, |result| self.shape(result)),
                    })
                    .collect(),
            })
            .collect()
    }

    /// What a value of a type looks like, as data that the guard of a scripting language can check against: the name of
    /// a primitive type, or an object with one key that says what else it is. Names are as in the contract.
    fn shape(&self, type_: &Type) -> Value {
        let Type::Id(id) = type_ else { return json!(primitive(type_)) };
        let Some(definition) = self.resolve.types.get(*id) else { return Value::Null };
        match &definition.kind {
            TypeDefKind::Type(alias) => self.shape(alias),
            TypeDefKind::List(Type::U8) => json!("bytes"),
            TypeDefKind::List(element) => json!({ "list": self.shape(element) }),
            TypeDefKind::Option(some) => json!({ "option": self.shape(some) }),
            TypeDefKind::Result(result) => {
                let part = |part: &Option<Type>| part.as_ref().map_or(Value::Null, |part| self.shape(part));
                json!({ "result": [part(&result.ok), part(&result.err)] })
            }
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| (field.name.clone(), self.shape(&field.ty)));
                json!({ "record": fields.collect::<Map<_, _>>() })
            }
            TypeDefKind::Enum(cases) => {
                json!({ "enum": cases.cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>() })
            }
            TypeDefKind::Variant(variant) => {
                let payload =
                    |payload: &Option<Type>| payload.as_ref().map_or(Value::Null, |payload| self.shape(payload));
                let cases = variant.cases.iter().map(|case| (case.name.clone(), payload(&case.ty)));
                json!({ "variant": cases.collect::<Map<_, _>>() })
            }
            // The contract has no others.
            _ => Value::Null,
        }
    }
}

fn primitive(type_: &Type) -> &'static str {
    match type_ {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::String => "string",
        _ => "other",
    }
}

/// `plugin-types` as a variable: `pluginTypes`.
pub(super) fn camel(name: &str) -> String {
    let (first, rest) = name.split_once('-').unwrap_or((name, ""));
    format!("{first}{}", pascal(rest))
}

/// `plugin-types` as a type or a class: `PluginTypes`.
pub(super) fn pascal(name: &str) -> String {
    let mut text = String::new();
    for word in name.split('-') {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

/// Lays the contract out as the tools want it, in one folder: the package with the world, and below `deps` those that it
/// uses.
///
/// # Errors
///
/// A package is missing, or the disk would not have it.
pub(super) fn lay_out(project: &Project) -> Result<PathBuf, BuildError> {
    let wit = super::contract(project)?;
    let place = project.build_folder().join("world");
    let kind = project.kind().as_str();
    for package in [kind, "host", "plugin"] {
        let from = wit.join(package);
        let to = if package == kind { place.clone() } else { place.join("deps").join(package) };
        let unreadable = |source| BuildError::Files { verb: "read", path: from.clone(), source };
        for entry in fs::read_dir(&from).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?;
            write(&to.join(file.file_name()), &read(&file.path())?)?;
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_languages() {
        assert_eq!([camel("plugin-types"), camel("rater"), camel("a-b-c")], ["pluginTypes", "rater", "aBC"]);
        assert_eq!([pascal("plugin-types"), pascal("rater")], ["PluginTypes", "Rater"]);
    }
}
