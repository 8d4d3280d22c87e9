//! Whatever the guard accepts reads back from the Dockerfile as exactly the plan: nothing more is executed,
//! nothing is expanded, nothing is lost.

use convergence_model::plan::{Base, Health, Service, Step};
use convergence_render::{Bases, DockerfileOptions, FOLDERS_STAGE, GuardedPlan, dockerfile};
use proptest::prelude::*;

use crate::parse_back::{ParsedStage, parse};
use crate::{plans, strategies};

fn read_back(guarded: &GuardedPlan) {
    let text = dockerfile(guarded, &Bases::new(), &DockerfileOptions::default());
    let mut parsed = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let plan = guarded.plan();
    if !plan.service.volumes.is_empty() {
        let folders = parsed.stages.remove(0);
        assert_eq!((folders.from.as_str(), folders.name.as_str()), ("scratch", FOLDERS_STAGE));
        assert_eq!(folders.steps.len(), plan.service.volumes.len());
    }
    assert_eq!(parsed.stages.len(), plan.stages.len(), "{text}");
    let last = parsed.stages.len() - 1;
    for (index, (read, meant)) in parsed.stages.iter().zip(&plan.stages).enumerate() {
        assert_eq!(read.name, meant.name);
        let named_so_far = &parsed.stages[..index];
        let from = match &meant.base {
            Base::Scratch => "scratch",
            Base::Stage(name) => name,
            Base::Image(asked) => {
                assert_eq!(read.users.first(), Some(&(0, "0:0".to_owned())), "steps run as root");
                // Docker looks for a stage of that name first.
                assert!(named_so_far.iter().all(|stage| stage.name != read.from), "{} is a stage", read.from);
                &guarded.images()[asked]
            }
        };
        assert_eq!(read.from, from);
        assert_eq!(read.steps, as_written(&meant.steps), "{text}");
        if index == last {
            check_service(read, &plan.service);
        } else {
            let ParsedStage { owned, expose, stop_signal, healthcheck, entrypoint, command, .. } = read;
            let nothing = expose.is_none() && stop_signal.is_none() && healthcheck.is_none();
            assert!(owned.is_empty() && nothing && entrypoint.is_none() && command.is_none());
        }
    }
}

/// The plan's steps with what the contract says of several paths: their destination is a folder.
fn as_written(steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    for step in &mut steps {
        if let Step::Copy(copy) = step
            && copy.paths.len() > 1
            && !copy.destination.ends_with('/')
        {
            copy.destination.push('/');
        }
    }
    steps
}

fn check_service(read: &ParsedStage, service: &Service) {
    assert_eq!(read.users.last(), Some(&(read.steps.len(), "10001:10001".to_owned())));
    assert_eq!(read.entrypoint.as_deref(), Some(&[] as &[String]));
    assert_eq!(read.command.as_ref(), Some(&service.command));
    assert_eq!(read.expose, Some(service.port.to_string()));
    assert_eq!(read.stop_signal.as_deref(), Some(service.stop_signal.as_deref().unwrap_or("SIGTERM")));
    let Health { interval_seconds, timeout_seconds, retries, start_period_seconds, .. } = service.health;
    let (flags, argv) = read.healthcheck.clone().expect("health is always said");
    match &service.health.in_container {
        None => assert!(flags.is_empty() && argv.is_empty()),
        Some(meant) => {
            assert_eq!(&argv, meant);
            let mut expected = vec![format!("--interval={interval_seconds}s"), format!("--timeout={timeout_seconds}s")];
            if start_period_seconds > 0 {
                expected.push(format!("--start-period={start_period_seconds}s"));
            }
            expected.push(format!("--retries={retries}"));
            assert_eq!(flags, expected);
        }
    }
    let owned: Vec<String> = read
        .owned
        .iter()
        .enumerate()
        .map(|(index, (owner, stage, source, parent))| {
            assert_eq!((owner.as_str(), stage.as_str(), source), ("10001:10001", FOLDERS_STAGE, &format!("/{index}/")));
            parent.clone()
        })
        .collect();
    let parents: Vec<String> =
        service.volumes.iter().map(|v| v.path[..=v.path.rfind('/').unwrap()].to_owned()).collect();
    assert_eq!(owned, parents);
}

#[test]
fn the_samples_read_back() {
    for plan in [plans::node(), plans::python(), plans::go(), plans::nasty()] {
        read_back(&plans::guarded(plan));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_guard_accepts_reads_back_as_the_plan(plan in strategies::plan()) {
        let guarded = plans::guarded(plan.clone());
        prop_assert_eq!(guarded.plan(), &plan);
        read_back(&guarded);
    }
}
