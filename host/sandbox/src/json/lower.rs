//! From JSON to values of a component, by its types. Everything that is wrong is found at once.

use std::fmt::Write;

use serde_json::{Map, Value};
use wasmtime::component::Val;
use wasmtime::component::types::{Record, Type, Variant};

use super::camel_case;

/// Problems told; a long list of wrong elements has one for each.
const MAX_PROBLEMS: usize = 20;
/// Characters of a wrong value that are shown.
const SHOWN: usize = 60;
/// The field that the operator's configuration goes into.
const CONFIG: &str = "config";

/// The argument of a main function, with its `config` filled in where it has one; or what is wrong.
pub(super) fn argument(ty: &Type, config: &str, input: &Value) -> Result<Val, Vec<String>> {
    let mut lowering = Lowering { path: String::new(), problems: Vec::new() };
    let argument = match (ty, input) {
        (Type::Record(record), Value::Object(fields)) => lowering.record(record, fields, Some(config)),
        _ => lowering.value(ty, input),
    };
    match argument {
        Some(argument) if lowering.problems.is_empty() => Ok(argument),
        _ => Err(lowering.problems),
    }
}

struct Lowering {
    /// Where we are: `source.files[0].path`.
    path: String,
    problems: Vec<String>,
}

impl Lowering {
    /// None where something is wrong, which is then among the problems.
    fn value(&mut self, ty: &Type, json: &Value) -> Option<Val> {
        match (ty, json) {
            (Type::Bool, Value::Bool(value)) => Some(Val::Bool(*value)),
            (Type::S8, _) => self.whole(json, Val::S8),
            (Type::U8, _) => self.whole(json, Val::U8),
            (Type::S16, _) => self.whole(json, Val::S16),
            (Type::U16, _) => self.whole(json, Val::U16),
            (Type::S32, _) => self.whole(json, Val::S32),
            (Type::U32, _) => self.whole(json, Val::U32),
            (Type::S64, _) => self.whole(json, Val::S64),
            (Type::U64, _) => self.whole(json, Val::U64),
            #[expect(clippy::cast_possible_truncation, reason = "a 32-bit float is what the component takes")]
            (Type::Float32, Value::Number(number)) => number.as_f64().map(|float| Val::Float32(float as f32)),
            (Type::Float64, Value::Number(number)) => number.as_f64().map(Val::Float64),
            (Type::Char, Value::String(text)) => {
                let mut letters = text.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => Some(Val::Char(letter)),
                    _ => self.wrong(ty, json),
                }
            }
            (Type::String, Value::String(text)) => Some(Val::String(text.clone())),
            (Type::List(list), _) if list.ty() == Type::U8 => match bytes(json) {
                Some(bytes) => Some(Val::List(bytes.into_iter().map(Val::U8).collect())),
                None => self.wrong(ty, json),
            },
            (Type::List(list), Value::Array(elements)) => {
                let element = list.ty();
                self.elements(elements.iter().map(|json| (&element, json))).map(Val::List)
            }
            (Type::FixedLengthList(list), Value::Array(elements))
                if usize::try_from(list.len()) == Ok(elements.len()) =>
            {
                let element = list.ty();
                self.elements(elements.iter().map(|json| (&element, json))).map(Val::FixedLengthList)
            }
            (Type::Tuple(tuple), Value::Array(elements)) if tuple.types().len() == elements.len() => {
                let types: Vec<Type> = tuple.types().collect();
                self.elements(types.iter().zip(elements)).map(Val::Tuple)
            }
            (Type::Record(record), Value::Object(fields)) => self.record(record, fields, None),
            (Type::Variant(variant), _) => self.variant(ty, variant, json),
            (Type::Enum(cases), Value::String(name)) if cases.names().any(|case| case == name) => {
                Some(Val::Enum(name.clone()))
            }
            (Type::Flags(flags), Value::Array(names)) => {
                let known = |json: &Value| {
                    json.as_str().filter(|name| flags.names().any(|flag| flag == *name)).map(str::to_owned)
                };
                match names.iter().map(known).collect() {
                    Some(names) => Some(Val::Flags(names)),
                    None => self.wrong(ty, json),
                }
            }
            (Type::Option(_), Value::Null) => Some(Val::Option(None)),
            (Type::Option(option), _) => Some(Val::Option(Some(Box::new(self.value(&option.ty(), json)?)))),
            _ => self.wrong(ty, json),
        }
    }

    /// A number without a fraction that fits.
    fn whole<T>(&mut self, json: &Value, value: fn(T) -> Val) -> Option<Val>
    where
        T: TryFrom<i128> + Bounds,
    {
        let number = json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from));
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(value(number)),
            None => {
                self.problem(format!("expected a whole number from {} to {}, found {}", T::LEAST, T::MOST, shown(json)))
            }
        }
    }

    fn elements<'a>(&mut self, elements: impl Iterator<Item = (&'a Type, &'a Value)>) -> Option<Vec<Val>> {
        // Goes on past a wrong one, so that all are told.
        let mut values = Some(Vec::new());
        for (at, (ty, json)) in elements.enumerate() {
            let value = self.within(|path| write!(path, "[{at}]"), |lowering| lowering.value(ty, json));
            match (value, &mut values) {
                (Some(value), Some(values)) => values.push(value),
                _ => values = None,
            }
            if self.problems.len() >= MAX_PROBLEMS {
                return None;
            }
        }
        values
    }

    fn record(&mut self, record: &Record, fields: &Map<String, Value>, config: Option<&str>) -> Option<Val> {
        let mut names = Vec::new();
        let mut values = Vec::new();
        let mut whole = true;
        for field in record.fields() {
            let name = camel_case(field.name);
            let value = match (fields.get(&name), config) {
                (given, Some(config)) if field.name == CONFIG => {
                    if given.is_some() {
                        self.at_field(&name, |lowering| {
                            lowering.problem(
                                "is not part of the input; give it as the configuration of the case".to_owned(),
                            )
                        })
                    } else {
                        Some(Val::String(config.to_owned()))
                    }
                }
                (Some(json), _) => self.at_field(&name, |lowering| lowering.value(&field.ty, json)),
                (None, _) => match &field.ty {
                    Type::Option(_) => Some(Val::Option(None)),
                    Type::List(_) => Some(Val::List(Vec::new())),
                    ty => self
                        .at_field(&name, |lowering| lowering.problem(format!("is missing; expected {}", expected(ty)))),
                },
            };
            match value {
                Some(value) => values.push((field.name.to_owned(), value)),
                None => whole = false,
            }
            names.push(name);
        }
        for unknown in fields.keys().filter(|name| !names.contains(name)) {
            whole = false;
            let known = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            self.at_field(unknown, |lowering| {
                lowering.problem::<()>(format!("there is no such field; there are {known}"))
            });
        }
        whole.then_some(Val::Record(values))
    }

    fn variant(&mut self, ty: &Type, variant: &Variant, json: &Value) -> Option<Val> {
        let (name, payload) = match json {
            Value::String(name) => (name, None),
            Value::Object(fields) if fields.len() == 1 => match fields.iter().next() {
                Some((name, payload)) => (name, Some(payload)),
                None => return self.wrong(ty, json),
            },
            _ => return self.wrong(ty, json),
        };
        let Some(case) = variant.cases().find(|case| case.name == name) else { return self.wrong(ty, json) };
        match (case.ty, payload) {
            (None, None) => Some(Val::Variant(name.clone(), None)),
            (Some(ty), Some(payload)) => {
                let value = self.at_field(name, |lowering| lowering.value(&ty, payload))?;
                Some(Val::Variant(name.clone(), Some(Box::new(value))))
            }
            (Some(ty), None) => {
                self.problem(format!("`{name}` needs a value: expected {{\"{name}\": {}}}", expected(&ty)))
            }
            (None, Some(_)) => self.problem(format!("`{name}` has no value: expected \"{name}\"")),
        }
    }

    fn wrong(&mut self, ty: &Type, json: &Value) -> Option<Val> {
        self.problem(format!("expected {}, found {}", expected(ty), shown(json)))
    }

    fn problem<T>(&mut self, what: String) -> Option<T> {
        if self.problems.len() < MAX_PROBLEMS {
            let place = if self.path.is_empty() { "the input" } else { &self.path };
            self.problems.push(format!("{place}: {what}"));
        }
        None
    }

    fn at_field<T>(&mut self, name: &str, f: impl FnOnce(&mut Self) -> T) -> T {
        self.within(|path| write!(path, "{}{name}", if path.is_empty() { "" } else { "." }), f)
    }

    fn within<T>(&mut self, extend: impl FnOnce(&mut String) -> std::fmt::Result, f: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        // Writing to a string does not fail.
        let _ = extend(&mut self.path);
        let value = f(self);
        self.path.truncate(before);
        value
    }
}

/// Text, or `{"base64":"…"}` for bytes that are not text.
fn bytes(json: &Value) -> Option<Vec<u8>> {
    match json {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(fields) if fields.len() == 1 => {
            data_encoding::BASE64.decode(fields.get("base64")?.as_str()?.as_bytes()).ok()
        }
        _ => None,
    }
}

/// What a type is called in JSON.
fn expected(ty: &Type) -> String {
    match ty {
        Type::Bool => "true or false".to_owned(),
        Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64 => {
            "a whole number".to_owned()
        }
        Type::Float32 | Type::Float64 => "a number".to_owned(),
        Type::Char => "text of one character".to_owned(),
        Type::String => "text".to_owned(),
        Type::List(list) if list.ty() == Type::U8 => "text, or {\"base64\": text}".to_owned(),
        Type::List(_) => "a list".to_owned(),
        Type::FixedLengthList(list) => format!("a list of {}", list.len()),
        Type::Tuple(tuple) => format!("a list of {}", tuple.types().len()),
        Type::Record(_) => "an object".to_owned(),
        Type::Variant(variant) => one_of(variant.cases().map(|case| match case.ty {
            None => format!("\"{}\"", case.name),
            Some(ty) => format!("{{\"{}\": {}}}", case.name, expected(&ty)),
        })),
        Type::Enum(cases) => one_of(cases.names().map(|name| format!("\"{name}\""))),
        Type::Flags(flags) => format!("a list of any of {}", one_of(flags.names().map(|name| format!("\"{name}\"")))),
        Type::Option(option) => expected(&option.ty()),
        Type::Result(_)
        | Type::Map(_)
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::Future(_)
        | Type::Stream(_)
        | Type::ErrorContext => "something that JSON cannot express".to_owned(),
    }
}

fn one_of(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(" or ")
}

/// The start of a value, for a message.
fn shown(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The range of a whole number, for messages.
trait Bounds {
    const LEAST: i128;
    const MOST: i128;
}

macro_rules! bounds {
    ($($number:ty)*) => {
        $(impl Bounds for $number {
            const LEAST: i128 = <$number>::MIN as i128;
            const MOST: i128 = <$number>::MAX as i128;
        })*
    };
}

bounds!(i8 u8 i16 u16 i32 u32 i64 u64);
