//! Many plugins: what each holds in memory, and how long a server takes to start with them.
//!
//! Every figure is of a process of its own, which is this program again, so that nothing an earlier one left behind is
//! counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use convergence_plugin::Shelf;
use convergence_store::Store;
use serde_json::{Value, json};

use crate::bare::Bare;
use crate::guest::{self, Guest};
use crate::load::native_code;
use crate::measure::{median, memory, mib, open_files, ratio, shown, timed};
use crate::product;

const CROWD: &str = "1,10,100,300,1000";
/// Starts of each side.
const STARTS: usize = 3;

/// How a site starts: what the first start installs is known to those after it.
struct Starts {
    first: Held,
    ours: Held,
    bare: Held,
}

/// A server's folders. `code` holds what the bare thing loads: the native code of the same components.
struct Site {
    folder: tempfile::TempDir,
}

/// What a process held, once everything was loaded.
struct Held {
    time: Duration,
    resident: f64,
    peak: f64,
    files: u64,
    loaded: u64,
    problem: Option<String>,
}

/// A guest of each language, alone.
pub(crate) fn memory_of_each(guests: &[Guest], cache: &Path) {
    let Starts { ours: none, bare: bare_none, .. } = Site::new(&[], cache).starts(cache);
    println!("memory none: ours {} | bare {}", mib(none.resident), mib(bare_none.resident));
    for guest in guests {
        fill(cache, std::slice::from_ref(&guest.bytes));
        let Starts { ours, bare, .. } = Site::new(std::slice::from_ref(&guest.bytes), cache).starts(cache);
        assert_eq!(ours.loaded, 1, "{:?}", ours.problem);
        println!(
            "memory {}: ours +{} (peak while loading +{}) | bare +{} | ratio {:.2}",
            guest.language,
            mib(ours.resident - none.resident),
            mib(ours.peak - none.resident),
            mib(bare.resident - bare_none.resident),
            (ours.resident - none.resident) / (bare.resident - bare_none.resident),
        );
    }
}

/// More and more of one small guest under different names.
pub(crate) fn curve(cache: &Path) {
    let sizes = std::env::var("PLUGINS_BENCH_CROWD").unwrap_or_else(|_| CROWD.to_owned());
    let sizes: Vec<usize> =
        sizes.split(',').map(|size| size.trim().parse().expect("PLUGINS_BENCH_CROWD is numbers and commas")).collect();
    let limits = guest::rust().bytes;
    let most = sizes.iter().copied().max().unwrap_or(0);
    let crowd: Vec<Vec<u8>> = (0..most).map(|number| guest::member_of_crowd(&limits, number)).collect();
    let ((), took) = timed(|| fill(cache, &crowd));
    println!("crowd: {most} components of {} compiled one by one in {}", mib(limits.len() as f64), shown(took));

    let Starts { ours: none, bare: bare_none, .. } = Site::new(&[], cache).starts(cache);
    println!(
        "crowd 0: start {} rss {} | bare {} {}",
        shown(none.time),
        mib(none.resident),
        shown(bare_none.time),
        mib(bare_none.resident)
    );
    for size in sizes {
        let Starts { first, ours, bare } = Site::new(&crowd[..size], cache).starts(cache);
        let each = |held: &Held, none: &Held| (held.resident - none.resident) / size as f64;
        println!(
            "crowd {size}: start {} (first start {}) | bare {} | ratio {:.2} | rss {}, each {} | bare {}, each {} | files {} | bare {}",
            shown(ours.time),
            shown(first.time),
            shown(bare.time),
            ratio(ours.time, bare.time),
            mib(ours.resident),
            mib(each(&ours, &none)),
            mib(bare.resident),
            mib(each(&bare, &bare_none)),
            ours.files,
            bare.files,
        );
        if ours.loaded != size as u64 {
            println!("crowd {size}: only {} are in use: {}", ours.loaded, ours.problem.unwrap_or_default());
        }
    }
}

/// Compiles what the cache does not hold yet.
fn fill(cache: &Path, components: &[Vec<u8>]) {
    let sandbox = product::sandbox(cache);
    for component in components {
        sandbox.load(component).unwrap();
    }
}

impl Site {
    /// The cache must hold the components' native code.
    fn new(components: &[Vec<u8>], cache: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (plugins, code) = (folder.path().join("plugins"), folder.path().join("code"));
        std::fs::create_dir(&plugins).unwrap();
        std::fs::create_dir(&code).unwrap();
        let cached = native_code(cache);
        for (number, component) in components.iter().enumerate() {
            std::fs::write(plugins.join(format!("{number:05}.wasm")), component).unwrap();
            let digest = convergence_plugin::trust::digest(component);
            let digest = digest.strip_prefix("sha256:").unwrap_or(&digest);
            let is_its =
                |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(digest));
            let file = cached.iter().find(is_its).expect("it was compiled");
            std::fs::hard_link(file, code.join(format!("{number:05}.aot"))).unwrap();
        }
        Self { folder }
    }

    /// Both sides in turns; each with the median of its times and the memory of its last start.
    fn starts(&self, cache: &Path) -> Starts {
        let first = self.hold("ours", cache);
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            ours.push(self.hold("ours", cache));
            bare.push(self.hold("bare", cache));
        }
        Starts { first, ours: middle(ours), bare: middle(bare) }
    }

    fn hold(&self, who: &str, cache: &Path) -> Held {
        let answer = Command::new(std::env::current_exe().unwrap())
            .args([crate::HOLD, who])
            .args([self.folder.path(), cache])
            .output()
            .unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let number = |name: &str| answer[name].as_u64().unwrap();
        Held {
            time: Duration::from_micros(number("micros")),
            resident: number("resident") as f64,
            peak: number("peak") as f64,
            files: number("files"),
            loaded: number("loaded"),
            problem: answer["problem"].as_str().map(str::to_owned),
        }
    }
}

fn middle(mut all: Vec<Held>) -> Held {
    let time = median(all.iter().map(|held| held.time).collect());
    let last = all.pop().expect("there is at least one");
    Held { time, ..last }
}

/// What the process does that is measured: loads everything, says what that took, and ends.
pub(crate) fn hold(who: &str, site: &Path, cache: &Path) {
    let begun = Instant::now();
    let answer = if who == "bare" { hold_bare(begun, site) } else { hold_ours(begun, site, cache) };
    println!("{answer}");
}

fn hold_bare(begun: Instant, site: &Path) -> Value {
    let bare = Bare::new();
    let policies: Vec<_> = native_code(&site.join("code")).iter().map(|file| bare.load_file(file)).collect();
    told(begun.elapsed(), policies.len(), &[])
}

fn hold_ours(begun: Instant, site: &Path, cache: &Path) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&site.join("data.db").to_string_lossy()).await.unwrap();
        let (shelf, sandbox) = (Shelf::Database(store), product::sandbox(cache));
        let catalogue = product::catalogue(shelf, sandbox, &site.join("plugins"), BTreeMap::new()).await;
        told(begun.elapsed(), catalogue.snapshot().policies().len(), &catalogue.problems())
    })
}

fn told(time: Duration, loaded: usize, problems: &[String]) -> Value {
    let (resident, peak) = memory();
    // A database without a template says so; that is not what is looked for here.
    let problem = problems.iter().find(|problem| !problem.starts_with("no language template"));
    json!({
        "micros": u64::try_from(time.as_micros()).unwrap(),
        "resident": resident,
        "peak": peak,
        "files": open_files(),
        "loaded": loaded,
        "problem": problem,
    })
}
