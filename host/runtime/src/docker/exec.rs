//! Running a command in a running container.

use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models;
use futures_util::StreamExt;

use super::connect::{Docker, Fault};
use crate::error::RuntimeError;

impl Docker {
    pub(super) async fn run_inside(
        &self,
        name: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<i64, RuntimeError> {
        let what = format!("run {command:?} in {name}");
        let config = &models::ExecConfig {
            attach_stdin: Some(false),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            privileged: Some(false),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        let code = self
            .call_within(&what, limit, |client| async move {
                let id = client.create_exec(name, config.clone()).await?.id;
                let started =
                    client.start_exec(&id, Some(StartExecOptions { detach: false, ..Default::default() })).await?;
                if let StartExecResults::Attached { mut output, .. } = started {
                    // The end of the output is the end of the command; nothing of it is kept.
                    while let Some(chunk) = output.next().await {
                        chunk?;
                    }
                }
                Ok(client.inspect_exec(&id).await?.exit_code)
            })
            .await;
        match code {
            // 126 is what a shell answers for a command that could not be run at all.
            Ok(code) => Ok(code.unwrap_or(126)),
            Err(Fault::Refused { status: 404, .. }) => {
                Err(RuntimeError::NotFound { what: format!("container {name}") })
            }
            Err(Fault::Refused { status: 409, message }) => {
                Err(RuntimeError::Conflict { what: format!("container {name}"), message })
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }
}
