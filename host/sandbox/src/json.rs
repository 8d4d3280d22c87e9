//! A call of a component's main function in JSON: `plan` of a template, `evaluate` of a policy, `rate` of a
//! billing policy.
//!
//! What goes in and comes out is read from the component's own types, so it is written as `record example` of
//! `wit/plugin/plugin.wit` says whatever the kind: a new kind is a line in its `MAIN`. It is how cases are run; the
//! server's own calls are typed. Limits are those of every other call, but for the answer: see
//! [`Question::HOST_COST`].

mod lift;
mod lower;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{ComponentExportIndex, InstancePre, Val};

use crate::call::{CallState, Question, Reported};
use crate::component::Component;
use crate::error::CallError;
use crate::wasi::LOAD_TIME;

/// The function that a kind of plugin is for.
pub(crate) struct Main {
    /// The exported interface, with its version.
    pub(crate) interface: &'static str,
    /// The function in it. It takes one record and gives a result.
    pub(crate) function: &'static str,
    /// What the contract forbids beyond types: sees the input and the answer, and says what is wrong.
    pub(crate) check: fn(&Value, &Value) -> Result<(), String>,
}

/// What a plugin answered.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonAnswer {
    /// The answer.
    Ok(Value),
    /// A failure that the plugin foresaw: a case of `plugin-error`, as `{"invalid-input":[…]}`.
    Err(Value),
}

impl JsonAnswer {
    /// As one document: the answer, or `{"error":…}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Ok(answer) => answer.clone(),
            Self::Err(error) => json!({ "error": error }),
        }
    }
}

/// The input is not what the function takes. Nothing was called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct JsonInputError {
    /// What is wrong, each with its place: `source.files[0].path: expected text, found 7`. At least one.
    pub problems: Vec<String>,
}

impl Component {
    /// Calls the main function. `input` is its argument without `config`, which is filled in; a policy's answer that
    /// widens limits is a [`CallError::InvalidAnswer`], as in every other call.
    pub async fn call_json(&self, config: &str, input: &Value) -> Result<Reported<JsonAnswer>, JsonInputError> {
        let (pre, main) = self.main();
        let function = match Function::find(pre, main) {
            Ok(function) => function,
            Err(error) => return Ok(Reported { result: Err(error), report: None }),
        };
        let argument =
            lower::argument(&function.parameter, config, input).map_err(|problems| JsonInputError { problems })?;
        let text = input.to_string();
        let question = Call {
            pre: pre.clone(),
            index: function.index,
            name: main.function,
            argument,
            config: config.to_owned(),
            // A period that is rated brings its time along.
            at: input.pointer("/period/end").and_then(|end| end.as_str()?.parse().ok()).unwrap_or(LOAD_TIME),
            text,
        };
        let reported = self.ask(question).await;
        Ok(reported.and_then(|answer| {
            let answer = lift::answer(&answer, &function.answer)?;
            if let JsonAnswer::Ok(answer) = &answer {
                (main.check)(input, answer).map_err(CallError::InvalidAnswer)?;
            }
            Ok(answer)
        }))
    }
}

/// The main function as this component has it.
struct Function {
    index: ComponentExportIndex,
    parameter: Type,
    answer: Type,
}

impl Function {
    /// Finds it in a component that was linked, so it is there.
    fn find(pre: &InstancePre<CallState>, main: &Main) -> Result<Self, CallError> {
        let absent = || CallError::Host(format!("it exports no `{}` in `{}`", main.function, main.interface));
        let component = pre.component();
        let interface = component.get_export_index(None, main.interface).ok_or_else(absent)?;
        let (item, index) = component.get_export(Some(&interface), main.function).ok_or_else(absent)?;
        let ComponentItem::ComponentFunc(function) = item else { return Err(absent()) };
        let (parameter, answer) = signature(&function).ok_or_else(absent)?;
        Ok(Self { index, parameter, answer })
    }
}

/// The one parameter and the one result.
fn signature(function: &ComponentFunc) -> Option<(Type, Type)> {
    let (mut parameters, mut results) = (function.params(), function.results());
    let found = (parameters.next()?.1, results.next()?);
    (parameters.next().is_none() && results.next().is_none()).then_some(found)
}

struct Call {
    pre: InstancePre<CallState>,
    index: ComponentExportIndex,
    name: &'static str,
    argument: Val,
    config: String,
    at: Timestamp,
    text: String,
}

impl Question for Call {
    type Answer = Val;
    const FUNCTION: &'static str = "main";
    // A byte of a file takes a whole `Val` here, some forty bytes: with this a plan may hold one or two megabytes.
    const HOST_COST: usize = 8;
    fn function(&self) -> &'static str {
        self.name
    }
    fn input_bytes(&self) -> usize {
        // The text is about as long as what it stands for, and what it stands for buys fuel.
        self.config.len().saturating_add(self.text.len())
    }
    fn at(&self) -> Timestamp {
        self.at
    }
    fn hash_input(&self, sha: &mut Sha256) {
        sha.update(&self.config);
        sha.update([0]);
        sha.update(&self.text);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.pre.instantiate_async(&mut *store).await?;
        let function = guest
            .get_func(&mut *store, self.index)
            .ok_or_else(|| wasmtime::format_err!("`{}` is not a function", self.name))?;
        let mut answer = [Val::Bool(false)];
        function.call_async(&mut *store, std::slice::from_ref(&self.argument), &mut answer).await?;
        let [answer] = answer;
        Ok(answer)
    }
}

/// A name of the contract as JSON has it: `memory-mb` is `memoryMb`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}
