//! Running a command in a running container.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models;
use futures_util::StreamExt;

use super::connect::{Docker, Fault};
use crate::error::RuntimeError;
use crate::runtime::{LogSource, Output};

impl Docker {
    pub(super) async fn run_inside(
        &self,
        name: &str,
        command: &[String],
        limit: Duration,
        output: Output<'_>,
    ) -> Result<i64, RuntimeError> {
        let what = format!("run {command:?} in {name}");
        match tokio::time::timeout(limit, self.run_and_read(name, command, &what, output)).await {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(Fault::Refused { status: 404, .. })) => {
                Err(RuntimeError::NotFound { what: format!("container {name}") })
            }
            Ok(Err(Fault::Refused { status: 409, message })) => {
                Err(RuntimeError::Conflict { what: format!("container {name}"), message })
            }
            Ok(Err(fault)) => Err(fault.into_error(self)),
            Err(_) => Err(RuntimeError::Timeout { what, after: limit }),
        }
    }

    async fn run_and_read(&self, name: &str, command: &[String], what: &str, output: Output<'_>) -> Result<i64, Fault> {
        let config = &models::ExecConfig {
            attach_stdin: Some(false),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            privileged: Some(false),
            cmd: Some(command.to_vec()),
            ..Default::default()
        };
        // Nothing runs yet, so a lost reply is asked for again.
        let id = self.call(what, |client| async move { client.create_exec(name, config.clone()).await }).await?.id;
        // From here on something does, and may not run twice.
        let client = self.client().await?;
        let options = StartExecOptions { detach: false, ..Default::default() };
        let started = client.start_exec(&id, Some(options)).await.map_err(|error| self.fault(error, what))?;
        if let StartExecResults::Attached { output: mut chunks, .. } = started {
            // The end of the output is the end of the command.
            while let Some(chunk) = chunks.next().await {
                match chunk.map_err(|error| self.fault(error, what))? {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        output(LogSource::Stdout, &message);
                    }
                    LogOutput::StdErr { message } => output(LogSource::Stderr, &message),
                    LogOutput::StdIn { .. } => {}
                }
            }
        }
        let id = &id;
        let ended = self.call(what, |client| async move { client.inspect_exec(id).await }).await?;
        // 126 is what a shell answers for a command that could not be run at all.
        Ok(ended.exit_code.unwrap_or(126))
    }
}
