//! What a plan never does, whatever is wanted and whatever is there; and what it does about each thing that happens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use convergence_model::operation::LeftoverKind;
use proptest::prelude::*;

use super::super::proof::Held;
use super::*;

const SETTINGS: ReconcileSettings = ReconcileSettings {
    interval: Duration::from_secs(30),
    grace: Duration::from_secs(600),
    remove: true,
    remove_volumes: false,
    sweep_max: 4,
    sweep_running: false,
    crashes_max: 3,
    stable: Duration::from_secs(60),
    unhealthy: Duration::from_secs(30),
    pause: Duration::from_secs(1),
    keep: Duration::from_secs(1),
};
const ONE: EnvId = EnvId(1);

fn wanted() -> impl Strategy<Value = Wanted> {
    let status = prop::sample::select(vec![
        TenantStatus::Provisioning,
        TenantStatus::Running,
        TenantStatus::Stopped,
        TenantStatus::Destroying,
        TenantStatus::Failed,
    ]);
    (status, any::<bool>(), 0..6_u32, any::<bool>()).prop_map(|(status, busy, crashes, resting)| Wanted {
        status,
        busy,
        crashes,
        resting,
    })
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        Just(Found::Missing),
        (0..256_i64, any::<bool>()).prop_map(|(code, oom)| Found::Ended { end: end(code, oom) }),
        Just(Found::Unusable("frozen")),
        (proptest::option::of(0..200_u64), 0..10_u64, proptest::option::of(0..60_u64), any::<bool>()).prop_map(
            |(up, restarts, unhealthy, other)| Found::Alive {
                up: up.map(Duration::from_secs),
                restarts,
                last_end: (restarts > 0).then_some(end(1, false)),
                unhealthy: unhealthy.map(Duration::from_secs),
                deviations: if other { vec!["Config.User".to_owned()] } else { Vec::new() },
            }
        ),
    ]
}

fn end(code: i64, oom: bool) -> End {
    End { code: Some(code), oom, at: None }
}

fn up(seconds: u64) -> Found {
    Found::Alive {
        up: Some(Duration::from_secs(seconds)),
        restarts: 0,
        last_end: None,
        unhealthy: None,
        deviations: Vec::new(),
    }
}

fn thing() -> impl Strategy<Value = Thing> {
    let kind = prop::sample::select(vec![
        LeftoverKind::Container,
        LeftoverKind::Network,
        LeftoverKind::Volume,
        LeftoverKind::Image,
    ]);
    (kind, 0..8_i64, proptest::option::of(0..1200_u64), any::<bool>(), any::<bool>()).prop_map(
        |(kind, number, seen, let_go, runs)| Thing {
            what: Leftover { kind, name: format!("thing-{number}") },
            tenant: (kind != LeftoverKind::Image).then_some(EnvId(number)),
            seen_for: seen.map(Duration::from_secs),
            let_go,
            runs: runs && kind == LeftoverKind::Container,
        },
    )
}

prop_compose! {
    fn world()(
        tenants in prop::collection::btree_map((0..8_i64).prop_map(EnvId), wanted(), 0..8),
        containers in prop::collection::btree_map((0..8_i64).prop_map(EnvId), found(), 0..8),
        things in prop::collection::vec(thing(), 0..12),
        images in prop::collection::btree_set((0..8_i64).prop_map(|n| format!("thing-{n}")), 0..4),
        remove in any::<bool>(),
        remove_volumes in any::<bool>(),
        sweep_max in 0..12_u32,
        sweep_running in any::<bool>(),
    ) -> (Desired, Observed, ReconcileSettings) {
        (
            Desired { tenants, images },
            Observed { containers, things },
            ReconcileSettings { remove, remove_volumes, sweep_max, sweep_running, ..SETTINGS },
        )
    }
}

proptest! {
    #[test]
    fn nothing_is_done_to_a_tenant_that_is_busy_or_need_not_run((desired, observed, settings) in world()) {
        for action in plan(&desired, &observed, &settings) {
            let (tenant, status) = match action {
                Action::Repair { tenant, .. } | Action::Halt { tenant, .. } | Action::Forgive { tenant } => {
                    (tenant, TenantStatus::Running)
                }
                Action::Stop { tenant } => (tenant, TenantStatus::Stopped),
                Action::Sweep { .. } => continue,
            };
            let wanted = desired.tenants[&tenant];
            prop_assert_eq!(wanted.status, status);
            prop_assert!(!wanted.busy);
            prop_assert!(observed.containers.contains_key(&tenant), "it was looked at");
        }
    }

    #[test]
    fn at_most_one_thing_is_done_to_a_tenant((desired, observed, settings) in world()) {
        let mut seen = BTreeSet::new();
        for action in plan(&desired, &observed, &settings) {
            let key = match action {
                Action::Repair { tenant, .. }
                | Action::Halt { tenant, .. }
                | Action::Stop { tenant }
                | Action::Forgive { tenant } => (0, tenant),
                Action::Sweep { tenant, .. } => (1, tenant),
            };
            prop_assert!(seen.insert(key));
        }
    }

    #[test]
    fn nothing_is_swept_that_somebody_has_or_that_is_new_or_that_the_operator_keeps(
        (desired, observed, settings) in world()
    ) {
        for action in plan(&desired, &observed, &settings) {
            let Action::Sweep { tenant, leftovers } = action else { continue };
            prop_assert!(settings.remove);
            for leftover in leftovers {
                if leftover.kind == LeftoverKind::Image {
                    prop_assert!(!desired.images.contains(&leftover.name));
                } else {
                    prop_assert!(!desired.tenants.contains_key(&tenant));
                }
                prop_assert!(leftover.kind != LeftoverKind::Volume || settings.remove_volumes);
                let of_this = |thing: &&Thing| thing.what == leftover && thing.tenant.unwrap_or(EnvId(0)) == tenant;
                let old = |thing: &&Thing| thing.seen_for.is_some_and(|seen_for| seen_for >= settings.grace);
                prop_assert!(observed.things.iter().filter(old).any(|thing| of_this(&thing)));
                prop_assert!(observed.things.iter().filter(of_this).any(|thing| thing.let_go), "it is proven");
                // Images are no tenant's, whatever number they are swept under.
                let of_tenant = |thing: &Thing| thing.runs && thing.tenant == Some(tenant);
                let runs = leftover.kind != LeftoverKind::Image && observed.things.iter().any(of_tenant);
                prop_assert!(!runs || settings.sweep_running, "nothing that runs is swept");
            }
        }
    }

    #[test]
    fn a_sweep_is_small_or_waits((desired, observed, settings) in world()) {
        let swept: usize = plan(&desired, &observed, &settings).iter().map(|action| match action {
            Action::Sweep { leftovers, .. } => leftovers.len(),
            _ => 0,
        }).sum();
        prop_assert!(swept <= settings.sweep_max as usize, "{swept}");
    }

    /// Whatever an app does, it is started only so often.
    #[test]
    fn an_app_that_never_stays_up_is_stopped_in_the_end(ends in prop::collection::vec(found(), 40)) {
        let mut wanted = Wanted { status: TenantStatus::Running, busy: false, crashes: 0, resting: false };
        let mut repairs = 0;
        for found in ends {
            // It never comes to run for long.
            let found = match found {
                Found::Alive { restarts, last_end, .. } => {
                    Found::Alive { up: None, restarts, last_end, unhealthy: None, deviations: Vec::new() }
                }
                Found::Unusable(_) => Found::Missing,
                other => other,
            };
            let desired = Desired { tenants: BTreeMap::from([(ONE, wanted)]), images: BTreeSet::new() };
            let observed = Observed { containers: BTreeMap::from([(ONE, found)]), things: Vec::new() };
            match plan(&desired, &observed, &SETTINGS).pop() {
                Some(Action::Repair { crash: Some(pause), .. }) => {
                    repairs += 1;
                    wanted.crashes += 1;
                    prop_assert!(pause <= LONGEST_PAUSE);
                }
                Some(Action::Halt { .. }) => return Ok(()),
                other => prop_assert!(other.is_none(), "{:?}", other),
            }
        }
        prop_assert!(repairs <= SETTINGS.crashes_max);
    }
}

fn about_one(wanted: Wanted, found: Found) -> Option<Action> {
    let desired = Desired { tenants: BTreeMap::from([(ONE, wanted)]), images: BTreeSet::new() };
    let observed = Observed { containers: BTreeMap::from([(ONE, found)]), things: Vec::new() };
    plan(&desired, &observed, &SETTINGS).pop()
}

#[test]
fn each_thing_that_happens_to_a_container_has_its_answer() {
    let runs = Wanted { status: TenantStatus::Running, busy: false, crashes: 0, resting: false };
    let repaired = |action| matches!(action, Some(Action::Repair { .. }));
    assert!(repaired(about_one(runs, Found::Missing)));
    assert!(repaired(about_one(runs, Found::Ended { end: end(0, false) })));
    assert!(repaired(about_one(runs, Found::Unusable("frozen"))));
    let changed = Found::Alive {
        up: None,
        restarts: 0,
        last_end: None,
        unhealthy: None,
        deviations: vec!["HostConfig.Privileged".to_owned()],
    };
    let Some(Action::Repair { reason, .. }) = about_one(runs, changed) else { unreachable!() };
    assert!(reason.contains("HostConfig.Privileged"), "{reason}");
    assert_eq!(about_one(runs, up(5)), None);

    let crashed = Wanted { crashes: 2, ..runs };
    assert_eq!(about_one(crashed, up(5)), None, "not long enough to forgive");
    assert_eq!(about_one(crashed, up(60)), Some(Action::Forgive { tenant: ONE }));
    assert_eq!(about_one(Wanted { resting: true, ..crashed }, Found::Missing), None, "it rests");
    let Some(Action::Repair { crash, .. }) = about_one(crashed, Found::Missing) else { unreachable!() };
    assert_eq!(crash, Some(Duration::from_secs(4)), "twice as long each time");
    let given_up = Wanted { crashes: SETTINGS.crashes_max, ..runs };
    assert!(matches!(about_one(given_up, Found::Missing), Some(Action::Halt { .. })));
    let frozen = about_one(given_up, Found::Unusable("frozen"));
    assert!(repaired(frozen), "nobody stops an app for what others do to it");
    let looping =
        Found::Alive { up: None, restarts: 4, last_end: Some(end(137, true)), unhealthy: None, deviations: Vec::new() };
    let Some(Action::Halt { reason, code, .. }) = about_one(runs, looping) else { unreachable!() };
    assert!(reason.contains("the engine started it 4 times") && reason.contains("more memory"), "{reason}");
    assert_eq!(code, Code::AppExited);
}

#[test]
fn an_app_that_hangs_is_restarted_after_its_bound_and_halted_when_that_does_not_help() {
    let runs = Wanted { status: TenantStatus::Running, busy: false, crashes: 1, resting: false };
    let hung = |seconds| match up(600) {
        Found::Alive { up, restarts, last_end, deviations, .. } => {
            let unhealthy = Some(Duration::from_secs(seconds));
            Found::Alive { up, restarts, last_end, unhealthy, deviations }
        }
        other => other,
    };
    assert_eq!(about_one(runs, hung(29)), None, "neither restarted yet nor forgiven");
    let Some(Action::Repair { reason, restart, crash, .. }) = about_one(runs, hung(30)) else { unreachable!() };
    assert!(restart && reason.contains("30 s"), "{reason}");
    assert_eq!(crash, Some(Duration::from_secs(2)), "it counts as an end of the app");
    assert_eq!(about_one(Wanted { resting: true, ..runs }, hung(30)), None, "it rests");
    let in_vain = about_one(Wanted { crashes: SETTINGS.crashes_max, ..runs }, hung(30));
    assert!(matches!(in_vain, Some(Action::Halt { code: Code::AppNotReady, .. })), "{in_vain:?}");
}

#[test]
fn each_reason_for_which_something_waits_is_told() {
    let thing = |kind, tenant: i64| Thing {
        what: Leftover { kind, name: format!("thing-{tenant}") },
        tenant: (kind != LeftoverKind::Image).then_some(EnvId(tenant)),
        seen_for: Some(SETTINGS.grace),
        let_go: true,
        runs: false,
    };
    let held = |things: &[Thing], settings: &ReconcileSettings| -> Vec<Option<Held>> {
        judge(&Desired::default(), things, settings).into_iter().map(|(_, held)| held).collect()
    };
    let container = thing(LeftoverKind::Container, 1);
    let network = thing(LeftoverKind::Network, 1);
    let (volume, image) = (thing(LeftoverKind::Volume, 1), thing(LeftoverKind::Image, 0));
    let all = [container.clone(), network.clone(), volume.clone(), image.clone()];
    assert_eq!(held(&all, &SETTINGS), [None, None, Some(Held::Configuration), None]);
    let report = ReconcileSettings { remove: false, ..SETTINGS };
    assert_eq!(held(&all, &report), [Some(Held::Configuration); 4]);
    let unproven = Thing { let_go: false, ..container.clone() };
    assert_eq!(held(&[unproven, image.clone()], &SETTINGS), [Some(Held::Unproven), None]);

    // A network in which something runs stays with it; what is another tenant's does not.
    let running = [Thing { runs: true, ..container }, network, thing(LeftoverKind::Network, 2), image];
    assert_eq!(held(&running, &SETTINGS), [Some(Held::Running), Some(Held::Running), None, None]);
    let bold = ReconcileSettings { sweep_running: true, ..SETTINGS };
    assert_eq!(held(&running, &bold), [None; 4]);

    let many: Vec<Thing> = (1..=5).map(|tenant| thing(LeftoverKind::Container, tenant)).collect();
    assert_eq!(held(&many, &SETTINGS), [Some(Held::TooMany { found: 5, most: 4 }); 5]);
    assert_eq!(held(&many[1..], &SETTINGS), [None; 4]);
}
