//! Logs, ends and absences, on a real engine.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use convergence_model::workload::EnvValue;
use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{LogQuery, LogSource, Runtime, RuntimeError};
use futures_util::StreamExt;

use crate::fixture::on_docker;

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn docker_logs_are_lines_of_both_voices() {
    on_docker("logs", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let name = &workload.name;
        docker.ensure_container(&workload).await.unwrap();
        docker.start(name).await.unwrap();
        docker.wait_ready(&workload, WAIT).await.unwrap();

        let all = docker.logs(name, &LogQuery { timestamps: true, ..LogQuery::default() }).await.unwrap();
        let mut shown: Vec<_> = all.iter().map(|line| (line.source, line.text.as_str())).collect();
        shown.sort_by_key(|(source, _)| *source == LogSource::Stderr);
        assert_eq!(
            shown,
            [(LogSource::Stdout, "hello from the test"), (LogSource::Stderr, "and from its other voice")]
        );
        assert!(all.iter().all(|line| line.at.is_some()), "{all:?}");

        let tail = LogQuery { tail: Some(1), ..LogQuery::default() };
        let newest = docker.logs(name, &tail).await.unwrap();
        assert_eq!(newest.len(), 1);
        assert_eq!(newest[0].at, None);
        let last = all.iter().filter_map(|line| line.at).max();
        let since = LogQuery { since: last, ..LogQuery::default() };
        assert_eq!(docker.logs(name, &since).await.unwrap().len(), 1);

        let mut stream = docker.follow_logs(name, &LogQuery::default()).await.unwrap();
        let mut followed = Vec::new();
        for _ in 0..2 {
            followed.push(stream.next().await.unwrap().unwrap().text);
        }
        assert!(followed.contains(&"hello from the test".to_owned()), "{followed:?}");
        docker.stop(name, fixture.owner(), Duration::from_secs(5)).await.unwrap();
        assert!(stream.next().await.is_none(), "it ends with the container");
    })
    .await;
}

#[tokio::test]
async fn docker_container_that_ends_is_reported_with_its_last_lines() {
    on_docker("ends", async |docker, fixture| {
        let mut workload = fixture.prepare(docker).await;
        workload.env.insert("END".to_owned(), EnvValue::Literal("3".to_owned()));
        docker.ensure_container(&workload).await.unwrap();
        docker.start(&workload.name).await.unwrap();
        let error = docker.wait_ready(&workload, WAIT).await.unwrap_err();
        let RuntimeError::Exited { code: Some(3) | None, oom: false, log } = &error else { panic!("{error:?}") };
        assert!(log.iter().any(|line| line == "hello from the test"), "{log:?}");

        workload.env.remove("END");
        workload.env.insert("EAT".to_owned(), EnvValue::Literal("1".to_owned()));
        docker.ensure_container(&workload).await.unwrap();
        docker.start(&workload.name).await.unwrap();
        let error = docker.wait_ready(&workload, WAIT).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Exited { oom: true, .. }), "{error:?}");

        workload.env.remove("EAT");
        workload.health.probe = convergence_model::plan::Probe::Http("/absent".to_owned());
        docker.ensure_container(&workload).await.unwrap();
        docker.start(&workload.name).await.unwrap();
        let error = docker.wait_ready(&workload, Duration::from_secs(3)).await.unwrap_err();
        let RuntimeError::NotReady { last, .. } = &error else { panic!("{error:?}") };
        assert_eq!(last, "GET /absent answered 404");
    })
    .await;
}

#[tokio::test]
async fn docker_port_of_another_program_is_reported() {
    on_docker("port", async |docker, fixture| {
        let mut workload = fixture.prepare(docker).await;
        let rival = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = rival.local_addr().unwrap().port();
        workload.published.port = port;
        docker.ensure_container(&workload).await.unwrap();
        assert_eq!(docker.start(&workload.name).await, Err(RuntimeError::PortTaken { port }));
        drop(rival);
        docker.start(&workload.name).await.unwrap();
        docker.wait_ready(&workload, WAIT).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn missing_engine_is_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("no.sock").display().to_string();
    let docker = Docker::connect(DockerConfig { socket: Some(socket.clone()), ..DockerConfig::default() });
    let error = docker.engine().await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&socket) && text.contains("start Docker"), "{text}");

    // A socket file that nobody listens on, as a killed engine leaves it.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(docker.engine().await.unwrap_err().is_unreachable());

    let odd = Docker::connect(DockerConfig { socket: Some("ssh://there".to_owned()), ..DockerConfig::default() });
    assert!(odd.engine().await.unwrap_err().is_unreachable());
}
