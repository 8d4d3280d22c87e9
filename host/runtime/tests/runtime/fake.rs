//! The fake fails as it is told to, and tells what it was asked.

use std::time::Duration;

use convergence_model::secret::Secret;
use convergence_model::workload::{EnvValue, label};
use convergence_runtime::fake::{FakeRuntime, Fault, Readiness};
use convergence_runtime::{Ensured, Runtime, RuntimeError, State, fingerprint};
use futures_util::FutureExt;

use crate::fixture::on;

fn gone() -> RuntimeError {
    RuntimeError::Timeout { what: "test".to_owned(), after: Duration::ZERO }
}

#[tokio::test]
async fn fake_loses_replies_before_and_after_the_effect() {
    on(&FakeRuntime::new(), "faults", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        fake.next("ensure_container", Fault::Before(gone()));
        fake.next("ensure_container", Fault::After(gone()));
        assert_eq!(fake.ensure_container(&workload).await, Err(gone()));
        assert_eq!(fake.inspect(&workload.name).await.unwrap(), None);
        assert_eq!(fake.ensure_container(&workload).await, Err(gone()));
        assert_eq!(fake.inspect(&workload.name).await.unwrap().unwrap().state, State::Created);
        assert_eq!(fake.ensure_container(&workload).await, Ok(Ensured::Adopted));

        fake.next("start", Fault::HangAfter);
        assert!(fake.start(&workload.name).now_or_never().is_none());
        fake.called("start").await;
        assert_eq!(fake.inspect(&workload.name).await.unwrap().unwrap().state, State::Running);
        let calls = fake.journal();
        assert_eq!(calls.iter().filter(|call| call.method == "ensure_container").count(), 3);

        fake.down(Some(gone()));
        assert_eq!(fake.engine().await, Err(gone()));
        fake.down(None);
        fake.engine().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn fake_containers_crash_and_are_tampered_with() {
    on(&FakeRuntime::new(), "crash", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        let name = &workload.name;
        fake.ensure_container(&workload).await.unwrap();
        fake.take_port(workload.published.port);
        assert_eq!(fake.start(name).await, Err(RuntimeError::PortTaken { port: workload.published.port }));
        fake.free_port(workload.published.port);
        fake.start(name).await.unwrap();
        fake.print(name, "last words");
        fake.readiness(Readiness::Exits { code: 137, oom: true });
        let error = fake.wait_ready(&workload, Duration::ZERO).await.unwrap_err();
        assert_eq!(error, RuntimeError::Exited { code: Some(137), oom: true, log: vec!["last words".to_owned()] });
        fake.tamper(name, "HostConfig.Privileged");
        assert_eq!(fake.verify(&workload).await.unwrap().len(), 1);
        assert_eq!(fake.ensure_container(&workload).await, Ok(Ensured::Replaced));
        fake.lose(name);
        assert_eq!(fake.inspect(name).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn fingerprints_change_with_secrets_and_not_with_operations() {
    on(&FakeRuntime::new(), "prints", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        let print = fingerprint(&workload);
        assert_eq!(print.len(), 64);
        let mut other = workload.clone();
        other.labels.insert(label::OPERATION.to_owned(), "another".to_owned());
        assert_eq!(fingerprint(&other), print);
        other.env.insert("KEY".to_owned(), EnvValue::Secret(Secret::new("rotated")));
        assert_ne!(fingerprint(&other), print);
        let mut split = workload.clone();
        split.command = vec!["python3 /app/server.py".to_owned()];
        assert_ne!(fingerprint(&split), print);
    })
    .await;
}
