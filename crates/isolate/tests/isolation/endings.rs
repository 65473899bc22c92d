use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rkllmjs_core::ErrorCode;
use rkllmjs_isolate::{IsolatedEngine, Launch, Watch};

use super::child::{LASTS, handle, launch, request, start};

fn exists(process: &str) -> bool {
    std::path::Path::new("/proc").join(process).exists()
}

#[test]
fn a_loader_that_fails_fails_with_its_own_error() {
    let error = start("fails").expect_err("no such model");
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::ModelInvalid, "no such model"));
}

#[test]
fn a_process_that_dies_while_it_loads_is_a_typed_error() {
    let error = start("aborts").expect_err("it aborts");
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("SIGABRT") && error.message.contains("loaded the model"), "{error}");
}

#[test]
fn a_program_that_does_not_exist_is_a_typed_error() {
    let launch = Launch { program: "/nonexistent/program".into(), ..launch() };
    let error = IsolatedEngine::start(launch, &"plain", Watch::default()).expect_err("no program");
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("/nonexistent/program"), "{error}");
}

#[test]
fn a_program_that_speaks_otherwise_is_a_typed_error() {
    let launch = Launch { program: "/bin/echo".into(), arguments: vec!["hello".into()], ..launch() };
    let error = IsolatedEngine::start(launch, &"plain", Watch::default()).expect_err("no child of ours");
    assert_eq!(error.code, ErrorCode::EngineFailed);
    assert!(error.message.contains("hello"), "{error}");
}

#[test]
fn a_load_can_be_cancelled() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        flag.store(true, Ordering::SeqCst);
    });
    let began = Instant::now();
    let watch = Watch { cancelled, ..Watch::default() };
    let error = IsolatedEngine::start(launch(), &"lasts", watch).expect_err("it was cancelled");
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(2));
    canceller.join().expect("the canceller");
}

#[test]
fn the_process_is_gone_with_its_engine() {
    let (engine, facts, _) = start("plain").expect("an engine");
    let process = facts.split(' ').next_back().expect("its number").to_owned();
    assert!(exists(&process));
    drop(engine);
    assert!(!exists(&process));
}

#[test]
fn closing_ends_a_step_under_way() {
    let model = handle();
    let generation = model.submit(request(&model, &[LASTS], 3)).expect("a place");
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    model.close();
    assert!(model.wait_closed(Duration::from_secs(10)));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(generation.wait().error, None);
}
