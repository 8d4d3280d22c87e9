//! Arbitrary plans that the guard accepts, with as much in them as it lets through.

use convergence_model::plan::{
    Attribute, Base, BuildPlan, Cache, Contents, Copy, File, Health, Origin, Probe, Run, Service, Stage, Step, Volume,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Text without control characters, rich in what other parsers act on.
fn nasty_line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(vec![
            "$", "$HOME", "${HOME}", "${X:-y}", "$$", "\\", "\\\\", "\\n", "\\\"", "\"", "'", "''", "`id`", "#", " ", "  ", "*",
            "?", "[", "]", "[a]", "[[]", "{", "}", "{a,b}", "~", "!", "!x", "<<EOF", "<", ">", "&", "|", ";", ",", ":", "=", "%s",
            "--from=x", "AS", "ADD", "RUN", "\u{feff}", "\u{2028}", "\u{a0}", "é", "\u{1F600}", "\\u0041",
        ]).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9._/-]{1,6}",
        1 => any::<char>().prop_filter("no control characters", |c| !c.is_control()).prop_map(String::from),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The same with line breaks and tabs.
fn nasty_text() -> impl Strategy<Value = String> {
    vec(prop_oneof![3 => nasty_line(), 1 => select(vec!["\n", "\t", "\nADD http://127.0.0.1/ /\n"]).prop_map(str::to_owned)], 0..4)
        .prop_map(|pieces| pieces.concat())
}

fn argv() -> impl Strategy<Value = Vec<String>> {
    (nasty_text().prop_filter("a program has a name", |name| !name.is_empty()), vec(nasty_text(), 0..5)).prop_map(
        |(program, mut arguments)| {
            arguments.insert(0, program);
            arguments
        },
    )
}

/// A folder that is not the system's.
fn folder() -> impl Strategy<Value = String> {
    vec("[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,6}", 1..4).prop_map(|parts| format!("/x{}", parts.join("/")))
}

fn source_path() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just(".".to_owned()),
        8 => vec(nasty_line().prop_map(|text| text.replace(['/', '\\'], "_")), 1..3)
            .prop_map(|parts| parts.join("/"))
            .prop_filter("a path within bounds", |path| {
                path.len() <= 255 && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
            }),
    ]
}

fn variable() -> impl Strategy<Value = Attribute> {
    ("V[A-Za-z0-9_]{0,8}", nasty_line()).prop_map(|(key, value)| Attribute { key, value })
}

fn step(earlier: usize, files: usize) -> BoxedStrategy<Step> {
    let origin = if earlier == 0 {
        Just(Origin::Source).boxed()
    } else {
        prop_oneof![Just(Origin::Source), (0..earlier).prop_map(|n| Origin::Stage(stage_name(n)))].boxed()
    };
    let copy = origin.prop_flat_map(|origin| {
        let paths = match origin {
            Origin::Stage(_) => vec(folder(), 1..3).boxed(),
            _ => vec(source_path(), 1..4).boxed(),
        };
        (Just(origin), paths, folder(), any::<bool>()).prop_map(|(origin, paths, folder, slash)| {
            let destination = if slash { format!("{folder}/") } else { folder };
            Step::Copy(Copy { origin, paths, destination })
        })
    });
    let plan_copy = (vec(0..files.max(1), 1..3), folder()).prop_map(move |(picked, destination)| {
        let path = |n: usize| if files == 0 { ".".to_owned() } else { file_path(n) };
        let origin = if files == 0 { Origin::Source } else { Origin::Plan };
        Step::Copy(Copy { origin, paths: picked.into_iter().map(path).collect(), destination })
    });
    let run = (argv(), vec(("[a-z0-9][a-z0-9-]{0,8}", any::<bool>()), 0..3)).prop_map(|(argv, caches)| {
        let caches = caches
            .into_iter()
            .enumerate()
            .map(|(n, (id, exclusive))| Cache { id, path: format!("/cache/{n}"), exclusive })
            .collect();
        Step::Run(Run { argv, caches, secrets: vec![] })
    });
    prop_oneof![
        folder().prop_map(Step::Workdir),
        variable().prop_map(Step::Env),
        folder().prop_map(Step::PrependPath),
        copy,
        plan_copy,
        run,
    ]
    .boxed()
}

fn stage_name(n: usize) -> String {
    // Names of images and of keywords, so that a mix-up would show.
    ["node", "as", "run", "s-3"].get(n).map_or_else(|| format!("s{n}"), |name| (*name).to_owned())
}

fn file_path(n: usize) -> String {
    format!("dir/f@{n}+_.txt")
}

fn stage(n: usize, files: usize) -> impl Strategy<Value = Stage> {
    let base = if n == 0 {
        prop_oneof![Just(Base::Scratch), image()].boxed()
    } else {
        prop_oneof![Just(Base::Scratch), image(), (0..n).prop_map(|n| Base::Stage(stage_name(n)))].boxed()
    };
    (base, vec(step(n, files), 0..6)).prop_map(move |(base, steps)| Stage { name: stage_name(n), base, steps })
}

fn image() -> impl Strategy<Value = Base> {
    select(vec!["node", "node:22-bookworm-slim", "docker.io/library/golang:1", "python"])
        .prop_map(|name| Base::Image(name.to_owned()))
}

fn service() -> impl Strategy<Value = Service> {
    let health = (option::of(argv()), 1..3600_u32, 1..60_u32, 1..20_u8, 0..600_u32).prop_map(
        |(in_container, interval_seconds, timeout_seconds, retries, start_period_seconds)| Health {
            probe: Probe::Tcp,
            in_container: in_container.filter(|argv| argv[0] != "NONE"),
            interval_seconds,
            timeout_seconds,
            retries,
            start_period_seconds,
        },
    );
    let env = btree_map("[A-MO-Z_][A-Z0-9_]{0,5}", nasty_text(), 0..6).prop_map(|variables| {
        let allowed = variables.into_iter().filter(|(key, _)| key != "PATH" && !key.starts_with("TENANT_"));
        allowed.map(|(key, value)| Attribute { key, value }).collect::<Vec<_>>()
    });
    let volumes = vec("[A-Za-z0-9._@+-]{0,5}", 0..4).prop_map(|leaves| {
        let volume = |(n, leaf)| Volume { name: format!("v{n}"), path: format!("/vol{n}/v{leaf}") };
        leaves.into_iter().enumerate().map(volume).collect::<Vec<_>>()
    });
    let signal = option::of(select(vec!["SIGTERM", "SIGINT", "SIGUSR2"]).prop_map(str::to_owned));
    (argv(), 1024..=u16::MAX, health, env, volumes, signal).prop_map(
        |(command, port, health, env, volumes, stop_signal)| Service {
            command,
            release_command: None,
            port,
            health,
            env,
            writable: vec![],
            volumes,
            stop_signal,
            stop_grace_seconds: 10,
            min_memory_mb: 0,
            extra: vec![],
        },
    )
}

/// A plan the guard accepts.
pub(crate) fn plan() -> impl Strategy<Value = BuildPlan> {
    (1..4_usize, 0..3_usize).prop_flat_map(|(stages, files)| {
        let stages: Vec<_> = (0..stages).map(|n| stage(n, files)).collect();
        (vec(any::<u8>(), 0..8), stages, service()).prop_map(move |(bytes, stages, service)| BuildPlan {
            files: (0..files)
                .map(|n| File { path: file_path(n), contents: Contents(bytes.clone()), executable: n == 1 })
                .collect(),
            stages,
            service,
            notes: vec![],
            extra: vec![],
        })
    })
}
