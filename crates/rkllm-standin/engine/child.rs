//! One test of this binary in a process of its own, under a trap.

use std::process::{Command, ExitStatus};

use super::child_folder::{self, ChildFolder};

/// Set in the child.
const VARIABLE: &str = "RKLLMJS_STANDIN_TRAP";

/// Whether this process is a child under a trap.
pub(crate) fn is_trapped() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Runs the test `name` with `trap` on.
pub(crate) fn run(name: &str, trap: &str) -> (ExitStatus, String) {
    let folder = ChildFolder::new();
    let test = std::env::current_exe().expect("the test's own file");
    let output = Command::new(test)
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(VARIABLE, trap)
        .env(child_folder::VARIABLE, folder.path())
        .output()
        .expect("a process");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status, text)
}

/// The same, where the test must pass.
pub(crate) fn passes(name: &str, trap: &str) {
    let (status, text) = run(name, trap);
    assert!(status.success(), "{name} under {trap}: {status}\n{text}");
}
