//! Tests in a process of their own: for variables of the environment, outputs, and ends that are not
//! pretty.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::child_folder::{self, ChildFolder};

const NAME: &str = "STANDIN_TEST_CHILD";
/// Longest time a child may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `body` in a child that runs the test `name` alone, under these variables. In the child it
/// returns nothing.
pub(crate) fn in_child(
    module: &str,
    name: &str,
    variables: &[(&str, &str)],
    body: impl FnOnce(),
) -> Option<Output> {
    let (_, module) = module.split_once("::").expect("a module");
    let test = format!("{module}::{name}");
    if std::env::var(NAME).is_ok_and(|child| child == test) {
        body();
        return None;
    }
    let folder = ChildFolder::new();
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(NAME, &test)
        .env(child_folder::VARIABLE, folder.path())
        .envs(variables.iter().copied())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the child starts");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("the child's state").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("the child ends");
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(child.wait_with_output().expect("the child's output"))
}

/// The same for a child that must succeed.
pub(crate) fn passes_in_child(module: &str, name: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    let Some(output) = in_child(module, name, variables, body) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}
