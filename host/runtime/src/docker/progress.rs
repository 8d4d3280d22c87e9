//! The progress of a build: BuildKit's own protobuf, wrapped in lines of JSON.

use std::collections::{HashMap, VecDeque};

use convergence_model::build::BuildLine;
use prost::Message;
use serde::Deserialize;

use super::connect::bounded;
use crate::builder::Progress;
use crate::error::RuntimeError;

/// Lines of a failed instruction that are kept.
const KEPT_LINES: usize = 30;
/// Bytes of one line of output; the rest of it is dropped.
const LONGEST_LINE: usize = 4096;

/// `moby.buildkit.v1.StatusResponse`, as far as it is of use here.
#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, repeated, tag = "1")]
    vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    logs: Vec<VertexLog>,
}

/// One instruction.
#[derive(Clone, PartialEq, Message)]
struct Vertex {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(bool, tag = "4")]
    cached: bool,
    #[prost(message, optional, tag = "5")]
    started: Option<Moment>,
    #[prost(message, optional, tag = "6")]
    completed: Option<Moment>,
    #[prost(string, tag = "7")]
    error: String,
}

/// `google.protobuf.Timestamp`; only whether there is one matters.
#[derive(Clone, PartialEq, Message)]
struct Moment {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// Bytes an instruction printed; lines may be cut anywhere.
#[derive(Clone, PartialEq, Message)]
struct VertexLog {
    #[prost(string, tag = "1")]
    vertex: String,
    #[prost(bytes = "vec", tag = "4")]
    msg: Vec<u8>,
}

#[derive(Deserialize)]
struct Frame {
    id: Option<String>,
    aux: Option<serde_json::Value>,
    #[serde(rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ErrorDetail {
    message: Option<String>,
}

/// What is known of a build that is under way.
#[derive(Default)]
pub(super) struct BuildProgress {
    steps: HashMap<String, Step>,
    /// The newest lines of the whole build, for failures that no instruction owns.
    newest: VecDeque<String>,
    failed: Option<String>,
    image: Option<String>,
    error: Option<String>,
    printed: u64,
}

#[derive(Default)]
struct Step {
    name: String,
    started: bool,
    done: bool,
    partial: Vec<u8>,
    last: VecDeque<String>,
}

impl BuildProgress {
    /// Takes one line of the engine's answer. Lines that are not understood are left out: a newer engine may
    /// have more to say.
    pub(super) fn take(&mut self, line: &[u8], progress: Progress<'_>) {
        let Ok(frame) = serde_json::from_slice::<Frame>(line) else { return };
        if let Some(message) = frame.error_detail.and_then(|detail| detail.message).or(frame.error) {
            self.error = Some(message);
        }
        let Some(aux) = frame.aux else { return };
        match frame.id.as_deref() {
            Some("moby.image.id") => {
                self.image = aux.get("ID").and_then(|id| id.as_str()).map(str::to_owned);
            }
            Some("moby.buildkit.trace") => {
                let bytes = aux.as_str().and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
                if let Some(status) = bytes.and_then(|bytes| StatusResponse::decode(bytes.as_slice()).ok()) {
                    self.take_status(status, progress);
                }
            }
            _ => {}
        }
    }

    fn take_status(&mut self, status: StatusResponse, progress: Progress<'_>) {
        // Instructions first: output may come with the announcement of what printed it. Their ends come last.
        for vertex in &status.vertexes {
            let step = self.steps.entry(vertex.digest.clone()).or_default();
            if step.name.is_empty() {
                step.name = one_line(&vertex.name);
            }
            if vertex.started.is_some() && !vertex.cached && !step.started {
                step.started = true;
                step.tell("started", progress);
            }
        }
        for log in status.logs {
            self.printed = self.printed.saturating_add(log.msg.len() as u64);
            let step = self.steps.entry(log.vertex).or_default();
            for line in step.lines(&log.msg) {
                keep(&mut self.newest, &line);
                progress(BuildLine { step: step.name.clone(), text: line });
            }
        }
        for vertex in status.vertexes {
            let Some(step) = self.steps.get_mut(&vertex.digest) else { continue };
            if vertex.completed.is_none() || step.done {
                continue;
            }
            step.done = true;
            if let Some(line) = step.rest() {
                keep(&mut self.newest, &line);
                progress(BuildLine { step: step.name.clone(), text: line });
            }
            if !vertex.error.is_empty() {
                // Those that waited for the one that failed are reported as cancelled.
                if !vertex.error.contains("context canceled") || self.failed.is_none() {
                    self.failed = Some(vertex.digest);
                }
                step.tell("failed", progress);
            } else {
                step.tell(if vertex.cached { "cached" } else { "done" }, progress);
            }
        }
    }

    /// Bytes the build printed so far.
    pub(super) fn printed(&self) -> u64 {
        self.printed
    }

    /// How the build ended, once the engine has no more to say; the image's id where it succeeded.
    pub(super) fn finish(mut self) -> Result<String, RuntimeError> {
        if self.error.is_none() && self.failed.is_none() {
            if let Some(image) = self.image.take() {
                return Ok(image);
            }
            self.error = Some("the engine ended the build without an image and without a reason".to_owned());
        }
        let message = self.error.take().unwrap_or_else(|| "the engine gave no reason".to_owned());
        Err(self.failure(&message))
    }

    /// The failure of a build for a reason of ours or the engine's.
    pub(super) fn failure(&mut self, message: &str) -> RuntimeError {
        let step = self.failed.as_ref().and_then(|digest| self.steps.get(digest));
        let (instruction, last) = match step {
            Some(step) if !step.last.is_empty() => (step.name.clone(), step.last.clone()),
            Some(step) => (step.name.clone(), VecDeque::new()),
            None => ("the Dockerfile".to_owned(), self.newest.clone()),
        };
        let exit_code = exit_code(message);
        // The engine repeats the whole instruction, which is told beside it.
        let message = exit_code.map_or_else(|| bounded(message), |code| format!("exit code {code}"));
        RuntimeError::BuildFailed { instruction, exit_code, message, log: last.into() }
    }
}

impl Step {
    fn tell(&self, what: &str, progress: Progress<'_>) {
        // BuildKit's own preparations say nothing to a person.
        if !self.name.starts_with("[internal]") {
            progress(BuildLine { step: self.name.clone(), text: what.to_owned() });
        }
    }

    /// The lines that are whole now.
    fn lines(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.partial.len());
            self.partial.extend(piece.iter().take(room));
            if piece.ends_with(b"\n") {
                lines.extend(self.rest());
            }
        }
        lines
    }

    /// What is left without a line break.
    fn rest(&mut self) -> Option<String> {
        let partial = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&partial);
        // Of a progress bar that overwrites itself, the last state.
        let text = text.trim_end_matches(['\n', '\r']).rsplit('\r').next().unwrap_or_default();
        if text.trim().is_empty() {
            return None;
        }
        keep(&mut self.last, text);
        Some(text.to_owned())
    }
}

fn keep(lines: &mut VecDeque<String>, line: &str) {
    if lines.len() == KEPT_LINES {
        lines.pop_front();
    }
    lines.push_back(line.to_owned());
}

/// The name of an instruction on one line, without the caches that are mounted for it.
fn one_line(name: &str) -> String {
    let words = name.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.starts_with("--mount="));
    let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    name.chars().take(300).collect()
}

/// The exit code, which BuildKit has only in its text: `… exit code: 3`.
fn exit_code(message: &str) -> Option<i32> {
    let (_, code) = message.rsplit_once("exit code: ")?;
    let end = code.find(|c: char| !c.is_ascii_digit()).unwrap_or(code.len());
    code.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    //! Answers as an engine gives them.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn trace(status: StatusResponse) -> Vec<u8> {
        let aux = data_encoding::BASE64.encode(&status.encode_to_vec());
        serde_json::to_vec(&serde_json::json!({ "id": "moby.buildkit.trace", "aux": aux })).unwrap()
    }

    fn vertex(completed: bool, error: &str) -> Vertex {
        Vertex {
            digest: "d".to_owned(),
            name: "[2/2] RUN false".to_owned(),
            cached: false,
            started: Some(Moment { seconds: 1 }),
            completed: completed.then_some(Moment { seconds: 2 }),
            error: error.to_owned(),
        }
    }

    fn log(text: &str) -> VertexLog {
        VertexLog { vertex: "d".to_owned(), msg: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_failure_names_its_instruction_and_its_last_lines() {
        let mut build = BuildProgress::default();
        let mut told = Vec::new();
        let mut progress = |line: BuildLine| told.push(line.text);
        build.take(
            &trace(StatusResponse { vertexes: vec![vertex(false, "")], logs: vec![log("one\ntw")] }),
            &mut progress,
        );
        let numbers: String = (0..30).map(|n| format!("line {n}\n")).collect();
        build.take(&trace(StatusResponse { vertexes: vec![], logs: vec![log("o\n"), log(&numbers)] }), &mut progress);
        build.take(b"not json, from a newer engine", &mut progress);
        build.take(&trace(StatusResponse { vertexes: vec![vertex(true, "boom")], logs: vec![] }), &mut progress);
        build.take(
            br#"{"errorDetail":{"message":"process did not complete: exit code: 3"},"error":"x"}"#,
            &mut progress,
        );
        let error = build.finish().unwrap_err();
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), ["started", "one", "two"]);
        assert_eq!(told.last().unwrap(), "failed");
        let RuntimeError::BuildFailed { instruction, exit_code, log, .. } = error else { panic!("{error}") };
        assert_eq!((instruction.as_str(), exit_code, log.len()), ("[2/2] RUN false", Some(3), 30));
        assert_eq!(log.last().unwrap(), "line 29");
    }

    #[test]
    fn an_answer_that_stops_short_is_a_failure() {
        assert!(BuildProgress::default().finish().is_err());
        let mut build = BuildProgress::default();
        build.take(br#"{"id":"moby.image.id","aux":{"ID":"sha256:1"}}"#, &mut |_| {});
        assert_eq!(build.finish().unwrap(), "sha256:1");
    }

    #[test]
    fn exit_codes_are_read_from_text() {
        assert_eq!(exit_code("executor failed running [sh]: exit code: 137: killed"), Some(137));
        assert_eq!(exit_code("no such thing"), None);
    }
}
