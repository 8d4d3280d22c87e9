//! The fake fails as it is told to, and tells what it was asked.

use std::time::Duration;

use convergence_model::secret::Secret;
use convergence_model::workload::{EnvValue, label};
use convergence_runtime::fake::{FakeRuntime, Fault, Readiness};
use convergence_runtime::{Desired, Placement, Runtime, RuntimeError, State, fingerprint};
use futures_util::FutureExt;

use crate::fixture::on;

fn gone() -> RuntimeError {
    RuntimeError::Timeout { what: "test".to_owned(), after: Duration::ZERO }
}

async fn state(fake: &FakeRuntime, name: &str) -> Option<State> {
    fake.observe(name).await.unwrap().map(|seen| seen.instances[0].state)
}

#[tokio::test]
async fn fake_loses_replies_before_and_after_the_effect() {
    on(&FakeRuntime::new(), "faults", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        let name = &workload.name;
        fake.next("create", Fault::Before(gone()));
        fake.next("create", Fault::After(gone()));
        assert_eq!(fake.ensure(&workload, Desired::ONE).await, Err(gone()));
        assert_eq!(state(fake, name).await, None);
        assert_eq!(fake.ensure(&workload, Desired::ONE).await, Err(gone()));
        assert_eq!(state(fake, name).await, Some(State::Created));
        assert_eq!(fake.ensure(&workload, Desired::Stopped).await, Ok(Placement::Adopted));

        fake.next("start", Fault::HangAfter);
        assert!(fake.ensure(&workload, Desired::ONE).now_or_never().is_none());
        fake.called("start").await;
        assert_eq!(state(fake, name).await, Some(State::Running));
        let calls = fake.journal();
        assert_eq!(calls.iter().filter(|call| call.method == "create").count(), 2);

        fake.down(Some(gone()));
        assert_eq!(fake.engine().await, Err(gone()));
        fake.down(None);
        fake.engine().await.unwrap();
    })
    .await;
}

/// Every effect of `ensure` may be the last one; the next call finds what is there.
#[tokio::test]
async fn fake_replacements_are_finished_wherever_they_were_cut_off() {
    for effect in ["find", "halt", "discard", "create", "check", "start"] {
        for fault in [Fault::Before(gone()), Fault::After(gone())] {
            on(&FakeRuntime::new(), "cut", async |fake, fixture| {
                let workload = fixture.prepare(fake).await;
                assert_eq!(fake.ensure(&workload, Desired::ONE).await, Ok(Placement::Created));
                let mut changed = workload.clone();
                changed.env.insert("CHANGED".to_owned(), EnvValue::Literal("1".to_owned()));
                fake.next(effect, fault.clone());
                let told = format!("{effect} {fault:?}");
                assert_eq!(fake.ensure(&changed, Desired::ONE).await, Err(gone()), "{told}");
                let placed = fake.ensure(&changed, Desired::ONE).await.unwrap();
                assert!(!matches!(placed, Placement::PortTaken { .. }), "{told}: {placed:?}");
                assert_eq!(state(fake, &workload.name).await, Some(State::Running), "{told}");
                assert_eq!(fake.verify(&changed).await.unwrap(), [], "{told}");
            })
            .await;
        }
    }
}

/// An engine that makes something else than it is asked for never gets to run it.
#[tokio::test]
async fn fake_engine_that_alters_what_it_is_asked_for_runs_nothing() {
    on(&FakeRuntime::new(), "distorts", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        fake.distort(Some("HostConfig.Privileged"));
        let error = fake.ensure(&workload, Desired::ONE).await.unwrap_err();
        let RuntimeError::Deviates { deviations } = &error else { panic!("{error:?}") };
        assert_eq!(deviations[0].field, "HostConfig.Privileged");
        assert!(fake.journal().iter().all(|call| call.method != "start"));
        assert_eq!(state(fake, &workload.name).await, None);
        fake.distort(None);
        assert_eq!(fake.ensure(&workload, Desired::ONE).await, Ok(Placement::Created));
    })
    .await;
}

#[tokio::test]
async fn fake_containers_crash_and_are_tampered_with() {
    on(&FakeRuntime::new(), "crash", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        let (name, port) = (&workload.name, workload.published.unwrap().port);
        fake.take_port(port);
        assert_eq!(fake.ensure(&workload, Desired::ONE).await, Ok(Placement::PortTaken { port }));
        fake.free_port(port);
        assert_eq!(fake.ensure(&workload, Desired::ONE).await, Ok(Placement::Adopted));
        fake.print(name, "last words");
        fake.readiness(Readiness::Exits { code: 137, oom: true });
        let error = fake.wait_ready(&workload, Duration::ZERO).await.unwrap_err();
        assert_eq!(error, RuntimeError::Exited { code: Some(137), oom: true, log: vec!["last words".to_owned()] });
        fake.tamper(name, "HostConfig.Privileged");
        assert_eq!(fake.verify(&workload).await.unwrap().len(), 1);
        assert_eq!(fake.ensure(&workload, Desired::Stopped).await, Ok(Placement::Replaced));
        fake.lose(name);
        assert_eq!(state(fake, name).await, None);
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
