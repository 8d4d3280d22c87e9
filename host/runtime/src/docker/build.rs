//! Builds an image with BuildKit.
//!
//! The request is made here and not by bollard: bollard's BuildKit needs a session, which leaks a socket in this
//! process and one in the engine with every build (measured), and is slower. Without a session the engine takes
//! the context from the body, and everything a build of ours needs works. Dropping the future of a build hangs up, and the
//! engine cancels the step.

use std::collections::BTreeMap;

use bollard::models::SystemInfoCgroupDriverEnum;
use convergence_model::build::{BuildLine, DOCKERFILE_PATH, ImageBuild};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode, header};

use super::bounds::BuildBounds;
use super::connect::{Docker, Fault, bounded};
use super::context::context;
use super::progress::BuildProgress;
use super::raw::escape;
use crate::builder::Progress;
use crate::error::RuntimeError;

/// Bytes of one line of the engine's answer. One carries at most a few kilobytes of output.
const LONGEST_FRAME: usize = 4 * 1024 * 1024;
/// Bytes of a refusal.
const LONGEST_REFUSAL: usize = 64 * 1024;

impl Docker {
    pub(super) async fn build_image(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError> {
        let _turn = match self.builds.try_acquire() {
            Ok(turn) => Ok(turn),
            Err(_) => {
                let text = format!("waiting: {} builds are under way", self.config.builds_at_once);
                progress(BuildLine { step: String::new(), text });
                self.builds.acquire().await
            }
        };
        let limit = self.config.build_limit;
        self.bound_builds().await?;
        let answer = match tokio::time::timeout(limit, self.try_build(build, progress)).await {
            Ok(answer) => answer,
            Err(_) => {
                return Err(RuntimeError::Timeout { what: format!("build the image {}", build.tag), after: limit });
            }
        };
        match answer {
            Err(Fault::Lost(cause)) => {
                // The image may be there all the same. Its tag is the hash of everything that went in.
                if let Some(found) = self.find_image(&build.tag).await?
                    && has_labels(&found, &build.labels)
                {
                    return Ok(found.id.unwrap_or_default());
                }
                Err(Fault::Lost(cause).into_error(self))
            }
            answer => answer.map_err(|fault| fault.into_error(self)),
        }
    }

    /// Bounds what builds may use, or says why they are not bounded.
    async fn bound_builds(&self) -> Result<(), RuntimeError> {
        let bounds = self.config.build_bounds;
        if bounds == BuildBounds::default() {
            return Ok(());
        }
        let info = self.call("say how it is configured", |client| async move { client.info().await }).await;
        let driver = info.map_err(|fault| fault.into_error(self))?.cgroup_driver;
        if driver != Some(SystemInfoCgroupDriverEnum::CGROUPFS) {
            // Elsewhere the group of builds has another name, and a bound would be set on a group without anything in it.
            let cause = "the engine's cgroup driver is not `cgroupfs` (`docker info`)".to_owned();
            return Err(RuntimeError::Unbounded { cause });
        }
        bounds.set().map_err(|error| RuntimeError::Unbounded { cause: error.to_string() })
    }

    async fn try_build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, Fault> {
        let context = context(build).await.map_err(|error| {
            Fault::Failed(RuntimeError::BuildFailed {
                instruction: "the build context".to_owned(),
                exit_code: None,
                message: error.to_string(),
                log: Vec::new(),
            })
        })?;
        let request = self.post(&format!("/build?{}", self.query(build))).await?;
        let request = request
            .header(header::CONTENT_TYPE, "application/x-tar")
            .header(header::CONTENT_LENGTH, context.length)
            .body(context.body)
            .map_err(|error| Fault::Refused { status: 0, message: format!("build {}: {error}", build.tag) })?;
        self.exchange(request, |response| self.follow(response, progress)).await
    }

    fn query(&self, build: &ImageBuild) -> String {
        let mut arguments: BTreeMap<&str, &str> =
            build.args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        arguments.insert("BUILDKIT_CACHE_MOUNT_NS", &build.cache_namespace);
        // Maps of text always serialize.
        let json = |map: &BTreeMap<&str, &str>| serde_json::to_string(map).unwrap_or_default();
        let labels = build.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        [
            ("version", "2"),
            ("t", &build.tag),
            ("dockerfile", DOCKERFILE_PATH),
            ("networkmode", &self.config.build_network),
            ("buildargs", &json(&arguments)),
            ("labels", &json(&labels)),
            ("rm", "1"),
            ("forcerm", "1"),
        ]
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .join("&")
    }

    async fn follow(&self, response: Response<Incoming>, progress: Progress<'_>) -> Result<String, Fault> {
        let status = response.status();
        let mut body = response.into_body();
        let mut build = BuildProgress::default();
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Fault::Lost(error.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            pending.extend_from_slice(data);
            if status != StatusCode::OK {
                if pending.len() > LONGEST_REFUSAL {
                    break;
                }
                continue;
            }
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                build.take(&line, progress);
            }
            if build.printed() > self.config.build_output_limit || pending.len() > LONGEST_FRAME {
                let message = format!("it printed more than {} bytes and was stopped", self.config.build_output_limit);
                return Err(Fault::Failed(build.failure(&message)));
            }
        }
        if status != StatusCode::OK {
            let message = refusal(&pending);
            return Err(match status.as_u16() {
                // The Dockerfile or its base is wrong, and the engine says so before it begins.
                400 => Fault::Failed(build.failure(&message)),
                status => Fault::Refused { status, message },
            });
        }
        build.take(&pending, progress);
        build.finish().map_err(Fault::Failed)
    }
}

/// The engine's words in an answer that is not 200.
pub(super) fn refusal(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    bounded(message.unwrap_or(&String::from_utf8_lossy(body)))
}

fn has_labels(image: &bollard::models::ImageInspect, wanted: &BTreeMap<String, String>) -> bool {
    let labels = image.config.as_ref().and_then(|config| config.labels.as_ref());
    wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}
