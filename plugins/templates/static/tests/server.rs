//! The server that the template ships, as browsers see it. Its tests are in JavaScript, beside it.

use std::path::Path;
use std::process::Command;

#[test]
fn it_serves_what_it_should_and_nothing_else() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("server/serve.test.mjs");
    let output =
        Command::new("node").arg("--test").arg(tests).output().expect("`node`, version 18 or later, is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
