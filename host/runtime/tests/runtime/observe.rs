//! Logs, ends and absences, on a real engine.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use convergence_model::workload::EnvValue;
use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{Change, Desired, LogQuery, LogSource, Placement, Reach, Runtime, RuntimeError, State};
use futures_util::StreamExt;

use crate::fixture::on_docker;

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn docker_logs_are_lines_of_both_voices() {
    on_docker("logs", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let name = &workload.name;
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
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
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        let error = docker.wait_ready(&workload, WAIT).await.unwrap_err();
        let RuntimeError::Exited { code: Some(3) | None, oom: false, log } = &error else { panic!("{error:?}") };
        assert!(log.iter().any(|line| line == "hello from the test"), "{log:?}");

        workload.env.remove("END");
        workload.env.insert("EAT".to_owned(), EnvValue::Literal("1".to_owned()));
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        let error = docker.wait_ready(&workload, WAIT).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Exited { oom: true, .. }), "{error:?}");
        let seen = docker.observe(&workload.name).await.unwrap().unwrap();
        assert!(seen.instances[0].last_end.is_some_and(|end| end.oom), "{seen:?}");

        workload.env.remove("EAT");
        workload.health.probe = convergence_model::plan::Probe::Http("/absent".to_owned());
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        let error = docker.wait_ready(&workload, Duration::from_secs(3)).await.unwrap_err();
        let RuntimeError::NotReady { last, .. } = &error else { panic!("{error:?}") };
        assert_eq!(last, "GET /absent answered 404");
    })
    .await;
}

#[tokio::test]
async fn docker_endpoints_lead_to_the_app() {
    on_docker("endpoints", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        docker.wait_ready(&workload, WAIT).await.unwrap();
        let seen = docker.observe(&workload.name).await.unwrap().unwrap();
        let mut reaches: Vec<_> = seen.endpoints.iter().map(|endpoint| endpoint.reach).collect();
        reaches.sort_by_key(|reach| *reach == Reach::Published);
        assert_eq!(reaches, [Reach::Instance, Reach::Published]);
        for endpoint in &seen.endpoints {
            let mut stream = TcpStream::connect(endpoint.address).unwrap();
            stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.0 200"), "{endpoint:?}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn docker_tells_how_much_an_app_wrote_into_its_volume() {
    on_docker("sizes", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        docker.wait_ready(&workload, WAIT).await.unwrap();
        let command = ["sh", "-c", "head -c 1048576 /dev/zero > /data/file"].map(str::to_owned);
        let code = docker.exec(&workload.name, &command, WAIT, &mut |_, _| {}).await.unwrap();
        assert_eq!(code, 0);
        let sizes = docker.volume_sizes(&fixture.instance).await.unwrap();
        assert_eq!(sizes, BTreeMap::from([(fixture.volume(), Some(1 << 20))]));
    })
    .await;
}

/// The app is asked to stop before another one takes its place, and is given its time.
#[tokio::test]
async fn docker_replaces_an_app_by_its_signal_and_not_by_a_kill() {
    on_docker("graceful", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        docker.wait_ready(&workload, WAIT).await.unwrap();
        let mut changes = docker.changes(&fixture.instance).await.unwrap();
        let mut changed = workload.clone();
        changed.env.insert("CHANGED".to_owned(), EnvValue::Literal("1".to_owned()));
        assert_eq!(docker.ensure(&changed, Desired::ONE).await, Ok(Placement::Replaced));
        let code = loop {
            if let Change::Ended { code } = changes.next().await.unwrap().unwrap().change {
                break code;
            }
        };
        assert_eq!(code, Some(0), "the app ends by itself on SIGTERM; 137 would be a kill");
        let seen = docker.observe(&workload.name).await.unwrap().unwrap();
        assert_eq!(seen.instances[0].state, State::Running);
    })
    .await;
}

#[tokio::test]
async fn docker_port_of_another_program_is_reported() {
    on_docker("port", async |docker, fixture| {
        let mut workload = fixture.prepare(docker).await;
        let rival = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = rival.local_addr().unwrap().port();
        workload.published.as_mut().unwrap().port = port;
        assert_eq!(docker.ensure(&workload, Desired::ONE).await, Ok(Placement::PortTaken { port }));
        drop(rival);
        assert_eq!(docker.ensure(&workload, Desired::ONE).await, Ok(Placement::Adopted));
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
