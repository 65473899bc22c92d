//! Runs answers on a stand-in in every way they can end, again and again: for memory checkers.
//!
//! `soak <library> <runs> <seed> <manner>` prints how often each way came, and ends with 1 where a text was wrong.
//! The manner is `any`, `hasty` or `leaky`.

#![expect(clippy::expect_used, reason = "a program of the tests: what cannot go on has failed")]

mod model;
mod random;
mod ways;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rkllmjs_core::ModelHandle;

use model::Scripted;
use random::Random;
use ways::{Manner, Way};

/// Runs between two opens, on average.
const RUNS_OF_A_MODEL: u64 = 25;
/// How long a model may take to end.
const END_MOST: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, runs, seed, manner] = arguments.as_slice() else {
        return say("usage: soak <library> <runs> <seed> any|hasty|leaky", ExitCode::from(2));
    };
    let (Ok(runs), Ok(seed), Some(manner)) = (runs.parse(), seed.parse(), Manner::named(manner)) else {
        return say("runs and seed must be whole numbers, the manner any, hasty or leaky", ExitCode::from(2));
    };
    let folder = Folder::new();
    let scripted = Scripted::new(Path::new(library), &folder.0);
    match soak(&scripted, runs, manner, &mut Random::new(seed)) {
        Ok(report) => say(&report, ExitCode::SUCCESS),
        Err(problem) => say(&format!("seed {seed}: {problem}"), ExitCode::from(1)),
    }
}

/// How often each way came, as a line of JSON.
fn soak(scripted: &Scripted, runs: u64, manner: Manner, random: &mut Random) -> Result<String, String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut model = scripted.open();
    for number in 0..runs {
        let way = Way::choose(number, manner, random);
        *counts.entry(way.name()).or_default() += 1;
        way.run(&model, scripted, random).map_err(|why| format!("run {number}, {}: {why}", way.name()))?;
        if way.closes() || random.below(RUNS_OF_A_MODEL) == 0 {
            end(&model)?;
            drop(model);
            model = scripted.open();
            *counts.entry("opens").or_default() += 1;
        }
    }
    end(&model)?;
    let mut report = format!("{{\"runs\":{runs}");
    for (name, count) in counts {
        write!(report, ",\"{name}\":{count}").map_err(|e| e.to_string())?;
    }
    report.push('}');
    Ok(report)
}

fn end(model: &ModelHandle) -> Result<(), String> {
    model.close();
    if model.wait_closed(END_MOST) { Ok(()) } else { Err("the model does not end".to_owned()) }
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    // The stand-in may have left a line unfinished.
    let _ = writeln!(std::io::stdout(), "\n{text}");
    code
}

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rkllmjs-soak-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the model");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
