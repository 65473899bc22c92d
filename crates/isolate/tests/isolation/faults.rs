use std::time::{Duration, Instant};

use rkllmjs_core::{Engine as _, ErrorCode, FinishReason, ModelHandle, NativeCall, NativeReply};

use super::child::{ABORTS, LASTS, LOSES, STOPS, handle, handle_and_child, request, start};

fn answer(model: &ModelHandle, prompt: &[u32]) -> Result<String, rkllmjs_core::Error> {
    let generation = model.submit(request(model, prompt, 3)).expect("a place");
    match generation.wait().error {
        None => Ok(generation.text(0)),
        Some(error) => Err(error),
    }
}

#[test]
fn an_engine_that_aborts_fails_its_request_and_the_next_one_is_answered() {
    let model = handle();
    for _ in 0..3 {
        assert_eq!(answer(&model, &[1, 2]).as_deref(), Ok("3 4 5 "));
        let error = answer(&model, &[ABORTS]).expect_err("the process aborted");
        assert_eq!(error.code, ErrorCode::EngineFailed);
        assert!(error.message.contains("SIGABRT"), "{error}");
        assert!(error.message.contains("assertion failed: told to"), "its last words: {error}");
    }
    assert_eq!(answer(&model, &[1, 2]).as_deref(), Ok("3 4 5 "));
}

#[test]
fn an_engine_that_is_lost_is_started_again() {
    let model = handle();
    let error = answer(&model, &[LOSES]).expect_err("it is lost");
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::EngineFailed, "lost for good"));
    assert_eq!(answer(&model, &[5]).as_deref(), Ok("6 7 8 "));
}

#[test]
fn a_process_that_hangs_is_ended_and_started_again() {
    let model = handle();
    let began = Instant::now();
    let error = answer(&model, &[STOPS]).expect_err("it hangs");
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("hung"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(40));
    assert_eq!(answer(&model, &[5]).as_deref(), Ok("6 7 8 "));
}

#[test]
fn a_cancelled_step_ends_at_once() {
    let model = handle();
    for _ in 0..20 {
        let prompt: Vec<u32> = std::iter::repeat_n(LASTS, 20).collect();
        let generation = model.submit(request(&model, &prompt, 3)).expect("a place");
        std::thread::sleep(Duration::from_millis(10));
        let began = Instant::now();
        generation.cancel();
        assert_eq!(generation.wait().error, None);
        assert_eq!(generation.finish_reason(0), Some(FinishReason::Cancelled));
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }
    assert_eq!(answer(&model, &[5]).as_deref(), Ok("6 7 8 "));
}

#[test]
fn only_running_requests_are_lost() {
    let (model, child) = handle_and_child();
    // As many as run at once, and more that wait.
    let lasting: Vec<_> =
        (0..4).map(|_| model.submit(request(&model, &[LASTS], 3)).expect("a place")).collect();
    std::thread::sleep(Duration::from_millis(50));
    let waiting: Vec<_> =
        (0..8).map(|i| model.submit(request(&model, &[10 * i + 1], 3)).expect("a place")).collect();
    let killed = std::process::Command::new("kill").args(["-KILL", &child]).status();
    assert!(killed.expect("kill").success());
    for generation in lasting {
        assert_eq!(generation.wait().error.expect("it was running").code, ErrorCode::EngineFailed);
    }
    for (i, generation) in waiting.into_iter().enumerate() {
        assert_eq!(generation.wait().error, None, "number {i} had not begun");
        assert_eq!(generation.text(0), format!("{} {} {} ", 10 * i + 2, 10 * i + 3, 10 * i + 4));
    }
}

#[test]
fn what_was_set_up_is_set_up_again() {
    let (mut engine, ..) = start("plain").expect("an engine");
    engine.load_adapter("a", "a.gguf".as_ref(), 1.0).expect("loaded");
    engine.load_adapter("b", "b.gguf".as_ref(), 1.0).expect("loaded");
    assert_eq!(engine.unload_adapter("a"), Ok(true));
    let error = engine.embed(&[vec![ABORTS]]).expect_err("the process aborted");
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert_eq!(engine.native(NativeCall::CacheSize), Ok(NativeReply::Count(1)), "one adapter is left");
}
