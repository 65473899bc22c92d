use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rkllmjs_core::{ErrorCode, FinishReason};

use super::child;
use super::model::{ModelFile, answer, request};

/// Runs the part of a test that stands for its child, or the test in a child under `trap`.
fn under(trap: &str, name: &str, test: impl FnOnce()) {
    if child::is_trapped() {
        test();
    } else {
        child::passes(&format!("engine::faults::{name}"), trap);
    }
}

#[test]
fn an_error_in_the_middle_of_an_answer_fails_it_and_keeps_the_text() {
    under("error-mid-stream=5", "an_error_in_the_middle_of_an_answer_fails_it_and_keeps_the_text", || {
        let file = ModelFile::tiny();
        let model = file.handle();
        for _ in 0..2 {
            let (text, outcome) = answer(&model, 40);
            assert_eq!(outcome.error.expect("an error").code, ErrorCode::EngineFailed);
            assert_eq!(outcome.usage.completion_tokens, 5);
            assert!(!text.is_empty());
        }
    });
}

#[test]
fn a_run_that_is_refused_fails_with_its_status() {
    under("run-fails", "a_run_that_is_refused_fails_with_its_status", || {
        let file = ModelFile::tiny();
        let error = answer(&file.handle(), 40).1.error.expect("an error");
        assert_eq!(error.code, ErrorCode::EngineFailed);
        assert!(error.message.contains("status -1"), "{error}");
    });
}

#[test]
fn a_runtime_that_hangs_fails_what_waits_for_it_once_somebody_gives_up() {
    under("hang=3", "a_runtime_that_hangs_fails_what_waits_for_it_once_somebody_gives_up", || {
        let file = ModelFile::tiny();
        let model = file.handle();
        let generation = model.submit(request(&model, 40)).expect("a place");
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        generation.cancel();
        let outcome = generation.wait();
        assert!(began.elapsed() < Duration::from_secs(40));
        assert!(outcome.error.is_none_or(|error| error.code == ErrorCode::EngineFailed));
        let error = answer(&model, 4).1.error.expect("nothing can be asked any more");
        assert_eq!(error.code, ErrorCode::EngineFailed);
        assert!(error.message.contains("load it again"), "{error}");
        // The stuck thread is left behind; the process ends all the same.
        std::process::exit(0);
    });
}

#[test]
fn a_runtime_that_aborts_ends_the_process() {
    if child::is_trapped() {
        let file = ModelFile::tiny();
        answer(&file.handle(), 40);
        return;
    }
    let (status, _) = child::run("engine::faults::a_runtime_that_aborts_ends_the_process", "abort=3");
    assert_eq!(status.signal(), Some(6), "which is what `isolate` is for");
}

#[test]
fn a_cancelled_prompt_stops_though_the_runtime_is_slow_to_notice() {
    under(
        "slow-abort=500,slow-token=50",
        "a_cancelled_prompt_stops_though_the_runtime_is_slow_to_notice",
        || {
            let file = ModelFile::tiny();
            let model = file.handle();
            for _ in 0..3 {
                let generation = model.submit(request(&model, 40)).expect("a place");
                std::thread::sleep(Duration::from_millis(20));
                generation.cancel();
                let outcome = generation.wait();
                assert_eq!(outcome.error, None);
                assert_eq!(generation.finish_reason(0), Some(FinishReason::Cancelled));
            }
            let (text, outcome) = answer(&model, 8);
            assert_eq!((outcome.error, outcome.usage.completion_tokens), (None, 8));
            assert!(!text.is_empty());
        },
    );
}
