//! What `convergence deploy` costs, against a build of the same context by the engine's API and a bare `docker run`.
//!
//! - *unchanged*: the folder is deployed again as it is. The bare side starts a container of the same image and waits until it
//!   answers; what is beyond that is ours.
//! - *one line changed*: the same with a line of the source edited, against building the same Dockerfile over the same context and
//!   running the image in place of the one before. Ours also uploads, plans, stores, and starts the revision once as a candidate.
//! - *upload*: 100 MiB that do not compress, against copying them to the same disk, synced; and what the server's memory grows by.
//!
//! The sides take turns. `CONVERGENCE_BIN` is the server's binary, in release; `DEPLOY_BENCH_N` is how often each has its turn,
//! in uploads three times at most.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and sleeps")]

mod bare;
mod site;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bare::Bare;
use site::Site;
use tempfile::TempDir;

const TURNS: usize = 7;
const UPLOAD: usize = 100 << 20;
const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let turns =
        std::env::var("DEPLOY_BENCH_N").ok().map_or(TURNS, |text| text.parse().expect("DEPLOY_BENCH_N is a number"));
    let site = Site::start();
    let folder = TempDir::new().unwrap();
    let app = folder.path().join("bench-app");
    fs::create_dir(&app).unwrap();
    write_app(&app, 0);
    site.deploy(&app);
    let bare = Bare::of(&site, "bench-app");

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..=turns {
        let mine = site.deploy(&app);
        let start = bare.run(&site.image("bench-app"));
        if turn > 0 {
            ours.push(mine);
            theirs.push(start);
        }
    }
    let (mine, start) = (median(&mut ours), median(&mut theirs));
    println!(
        "deploy, unchanged: ours p50 {} | start of the bare container p50 {} | beyond it {}",
        millis(mine),
        millis(start),
        millis(mine.saturating_sub(start)),
    );

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..=turns {
        write_app(&app, 2 * turn + 1);
        let mine = site.deploy(&app);
        write_app(&app, 2 * turn + 2);
        let begun = Instant::now();
        let image = bare.build(&app);
        bare.run(&image);
        if turn > 0 {
            ours.push(mine);
            theirs.push(begun.elapsed());
        }
    }
    let (mine, bare_one) = (median(&mut ours), median(&mut theirs));
    println!(
        "deploy, one line changed: ours p50 {} | bare build and run p50 {} | ratio {:.2}",
        millis(mine),
        millis(bare_one),
        mine.as_secs_f64() / bare_one.as_secs_f64(),
    );

    upload(&site, folder.path(), turns);
}

/// An application with one dependency whose source has a line that is different each time.
fn write_app(folder: &Path, number: usize) {
    let package = r#"{"name":"bench-app","scripts":{"start":"node server.js"},"dependencies":{"ms":"2.1.3"}}"#;
    fs::write(folder.join("package.json"), package).unwrap();
    let server = format!(
        "// {number}\nrequire('ms');\nrequire('http').createServer((_, r) => r.end('ok')).listen(process.env.PORT);\n"
    );
    fs::write(folder.join("server.js"), server).unwrap();
}

fn upload(site: &Site, folder: &Path, turns: usize) {
    let (mut ours, mut theirs, mut grown) = (Vec::new(), Vec::new(), 0.0_f64);
    let mut seed = 1_u64;
    for turn in 0..=turns.min(3) {
        let archive = folder.join("large.tar");
        // Another one each time: what is known is not written again.
        let contents: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        })
        .take(UPLOAD)
        .collect();
        let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(contents.len() as u64);
        tar.append_data(&mut header, "large.bin", contents.as_slice()).unwrap();
        tar.into_inner().unwrap().sync_all().unwrap();
        drop(contents);

        let before = site.memory();
        let begun = Instant::now();
        site.upload(&archive);
        let mine = begun.elapsed();
        grown = grown.max(site.most_memory() - before);
        let begun = Instant::now();
        let copy = folder.join("copy.tar");
        fs::copy(&archive, &copy).unwrap();
        fs::File::options().append(true).open(&copy).unwrap().sync_all().unwrap();
        fs::File::open(folder).unwrap().sync_all().ok();
        let theirs_one = begun.elapsed();
        if turn > 0 {
            ours.push(mine);
            theirs.push(theirs_one);
        }
    }
    let (mine, copy) = (median(&mut ours), median(&mut theirs));
    println!(
        "upload of 100 MiB: ours p50 {} | bare copy, synced, p50 {} | speed to bare {:.2} | the server's memory grew by {:.1} MiB",
        millis(mine),
        millis(copy),
        copy.as_secs_f64() / mine.as_secs_f64(),
        grown / MIB,
    );
    std::io::stdout().flush().ok();
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}
