use std::ffi::{CStr, c_int};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rkllmjs_rkllm::library::Abi;

use crate::raw::{Ask, Handle, Raw, Record};

type Findings = Result<Vec<String>, String>;

const PROMPT: &CStr = c"Once upon a time";
/// Token after which a run is interfered with.
const EARLY: usize = 3;
/// How long a run may take to get so far.
const WAIT_MOST: Duration = Duration::from_secs(60);

/// Asks one question of a library.
pub(crate) fn ask(question: &str, library: &Path, model: &Path) -> Findings {
    let raw = Raw::open(library)?;
    if question == "defaults" {
        return defaults(&raw);
    }
    let handle = raw.load(model)?;
    let findings = match question {
        "threads" => threads(&raw, &handle),
        "abort" => abort(&raw, &handle),
        "pause" => pause(&raw, &handle, Ask::default()),
        "pause-with-history" => pause(&raw, &handle, Ask { keep_history: true, ..Ask::default() }),
        "second-run" => second_run(&raw, &handle),
        "idle-abort" => idle_abort(&raw, &handle),
        "is-running" => is_running(&raw, &handle),
        "images" => images(&raw, &handle),
        "limits" => limits(&raw, &handle),
        _ => Err(format!("no question {question}")),
    };
    let destroyed = raw.call("rkllm_destroy", &handle)?;
    let mut findings = findings?;
    if destroyed != 0 {
        findings.push(format!("rkllm_destroy returned {destroyed}"));
    }
    Ok(findings)
}

fn defaults(raw: &Raw) -> Findings {
    let [first, second] = raw.defaults()?;
    let mut written = String::new();
    let mut end = 0;
    for (at, (a, b)) in first.iter().zip(&second).enumerate().filter(|(_, (a, b))| a == b) {
        if at != end || written.is_empty() {
            let _ = write!(written, " {at}:");
        }
        let _ = write!(written, "{a:02x}");
        debug_assert_eq!(a, b);
        end = at + 1;
    }
    Ok(vec![format!("bytes written, by offset:{written}"), format!("the last of them is byte {}", end - 1)])
}

fn threads(raw: &Raw, model: &Handle) -> Findings {
    let record = Record::new(None);
    let status = raw.run(model, PROMPT, Ask { most: Some(8), ..Ask::default() }, &record)?;
    let thread =
        if record.has_other_thread.load(Ordering::SeqCst) { "ANOTHER thread" } else { "the caller's thread" };
    Ok(vec![format!("called back on {thread}; states {}; the run returned {status}", record.states())])
}

fn abort(raw: &Raw, model: &Handle) -> Findings {
    let record = Record::new(None);
    let (status, aborted) = beside(raw, model, &record, || {
        let status = raw.call("rkllm_abort", model);
        (status, Instant::now())
    })?;
    let (abort_status, at) = aborted;
    let took = at.elapsed().as_millis();
    Ok(vec![
        format!("abort returned {}, the run {status}, {took} ms after it", abort_status?),
        format!("states of the aborted run: {}", record.states()),
        next(raw, model)?,
    ])
}

fn pause(raw: &Raw, model: &Handle, ask: Ask) -> Findings {
    let paused = Record::new(Some(EARLY));
    let status = raw.run(model, PROMPT, ask, &paused)?;
    let further = Record::new(Some(8));
    let again = raw.run(model, c" and then", ask, &further)?;
    Ok(vec![
        format!("paused: the run returned {status}; states {}", paused.states()),
        format!("the run after it returned {again}; states {}", further.states()),
    ])
}

fn second_run(raw: &Raw, model: &Handle) -> Findings {
    let record = Record::new(None);
    let (status, second) = beside(raw, model, &record, || {
        let (other, started) = (Record::new(Some(EARLY)), Instant::now());
        let status = raw.run(model, c"Count from 1 to 5.", Ask::default(), &other);
        (status, other.states(), started.elapsed().as_millis(), record.count())
    })?;
    let (second_status, states, took, before) = second;
    Ok(vec![
        format!("the second run returned {} after {took} ms; states {states}", second_status?),
        format!("the first, at token {before} by then, returned {status}; states {}", record.states()),
        next(raw, model)?,
    ])
}

fn idle_abort(raw: &Raw, model: &Handle) -> Findings {
    let status = raw.call("rkllm_abort", model)?;
    Ok(vec![format!("an abort without a run returned {status}"), next(raw, model)?])
}

fn is_running(raw: &Raw, model: &Handle) -> Findings {
    let before = raw.call("rkllm_is_running", model)?;
    let record = Record::new(None);
    let (_, during) = beside(raw, model, &record, || raw.call("rkllm_is_running", model))?;
    let after = raw.call("rkllm_is_running", model)?;
    Ok(vec![format!("is_running: {before} before a run, {} during it, {after} after it", during?)])
}

fn images(raw: &Raw, model: &Handle) -> Findings {
    let ask = |what, number| {
        let record = Record::new(None);
        let ask = Ask { most: Some(8), image: Some(number), ..Ask::default() };
        let status = raw.run(model, c"<image> What is this?", ask, &record)?;
        let (computed, states) = (record.prefilled.load(Ordering::SeqCst), record.states());
        Ok(format!("{what}: returned {status}; {computed} tokens computed; states {states}"))
    };
    vec![
        ask("an image", 0.01),
        ask("the same again", 0.01),
        ask("another behind the same text, which must compute more than that", -0.02),
        next(raw, model),
    ]
    .into_iter()
    .collect()
}

fn limits(raw: &Raw, model: &Handle) -> Findings {
    if raw.abi == Abi::V12 {
        return Ok(vec!["a run cannot be told the most tokens or how to sample before 1.3".to_owned()]);
    }
    let cases = [
        ("max_new_tokens 5", Ask { most: Some(5), ..Ask::default() }),
        ("max_new_tokens 0", Ask { most: Some(0), ..Ask::default() }),
        ("max_new_tokens -1", Ask { most: Some(-1), ..Ask::default() }),
        ("sampling all zero", Ask { most: Some(8), zero_sampling: true, ..Ask::default() }),
    ];
    let lines = cases.map(|(what, ask)| {
        let record = Record::new(None);
        let status = raw.run(model, PROMPT, ask, &record)?;
        Ok(format!("{what}: returned {status}; states {}; stopped by us at 64", record.states()))
    });
    lines.into_iter().collect()
}

/// Runs a prompt, and `interfere` beside it once a few tokens are there.
fn beside<T: Send>(
    raw: &Raw,
    model: &Handle,
    record: &Record,
    interfere: impl FnOnce() -> T + Send,
) -> Result<(c_int, T), String> {
    std::thread::scope(|scope| {
        let interfering = scope.spawn(|| {
            let until = Instant::now() + WAIT_MOST;
            while record.count() < EARLY && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            interfere()
        });
        let status = raw.run(model, PROMPT, Ask::default(), record)?;
        let interfered = interfering.join().map_err(|_| "the other thread panicked".to_owned())?;
        Ok((status, interfered))
    })
}

/// Whether the model still answers.
fn next(raw: &Raw, model: &Handle) -> Result<String, String> {
    let record = Record::new(Some(8));
    let status = raw.run(model, PROMPT, Ask::default(), &record)?;
    Ok(format!("the next run returned {status}; states {}", record.states()))
}
