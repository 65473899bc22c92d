//! Pausing, aborting, and what is not allowed during a run.

use std::ffi::{CString, c_int};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rkllmjs_rkllm_sys::*;

use super::child::passes_in_child;
use super::driver::{Carried, Model, prompt_input, scripted_model, token_input, with_history};
use super::reference::{self, question};
use crate::family::{self, InferParam};

const COUNT: &str = "Count from 9 to 21.";

fn carried(model: &Model) -> Carried {
    Carried(model.handle.addr())
}

#[test]
fn a_paused_run_returns_without_finish_and_goes_on_where_it_was() {
    let model = Model::tiny();
    let whole = reference::answer(&question(COUNT), 64);
    let mut tokens = reference::tokens(&question(COUNT));
    let mut calls = 0;
    let paused = model.run_with(&mut [token_input(&mut tokens)], &mut InferParam::default(), |_| {
        calls += 1;
        c_int::from(calls == 4)
    });
    assert_eq!((paused.status, paused.states()), (0, vec![RKLLM_RUN_NORMAL; 4]));
    assert_eq!(usize::try_from(model.cache_sizes()[0]), Ok(tokens.len() + 3));
    let next = whole.tokens[4];
    let rest = model.go_on(&[next]);
    assert_eq!(rest.tokens(), whole.tokens[5..]);
    assert_eq!(rest.perf().prefill_tokens, 2, "the last token before the pause, and the new one");
}

#[test]
fn a_range_of_the_cache_is_cleared_only_while_paused_without_history() {
    let model = Model::tiny();
    let mut tokens = reference::tokens(&question(COUNT));
    assert_eq!(model.clear(0, Some((0, 1))), -1, "nothing has run");
    model.run_with(&mut [token_input(&mut tokens)], &mut with_history(), |_| 1);
    assert_eq!(model.clear(0, Some((0, 1))), -1, "it keeps a history");
    model.clear(0, None);
    model.run_with(&mut [token_input(&mut tokens)], &mut InferParam::default(), |_| 1);
    let size = model.cache_sizes()[0];
    assert_eq!(model.clear(0, Some((0, size + 1))), -1);
    assert_eq!(model.clear(0, Some((2, 2))), -1);
    assert_eq!(model.clear(0, Some((2, 5))), 0);
    assert_eq!(model.cache_sizes(), [size - 3]);
    assert_eq!(model.go_on(&[tokens[0]]).status, 0);
    assert_eq!(model.clear(0, Some((0, 1))), -1, "it has finished");
}

#[test]
fn an_abort_from_another_thread_ends_with_finish() {
    let model = Model::scripted(&"word ".repeat(500));
    let handle = carried(&model);
    let prompt = CString::new("hi").expect("a prompt");
    let mut aborted = false;
    let record = model.run_with(&mut [prompt_input(&prompt)], &mut InferParam::default(), |event| {
        if event.state == RKLLM_RUN_NORMAL && !aborted {
            aborted = true;
            let status = std::thread::spawn(move || handle.call("rkllm_abort")).join();
            assert_eq!(status.ok(), Some(0));
        }
        0
    });
    assert_eq!((record.status, record.states()), (0, vec![RKLLM_RUN_NORMAL, RKLLM_RUN_FINISH]));
    assert_eq!(record.perf().generate_tokens, 1);
}

#[test]
fn an_abort_without_a_run_does_not_end_the_next_one() {
    let model = Model::scripted("said in full");
    assert_eq!(model.call("rkllm_abort"), 0);
    assert_eq!(model.ask("hi").text(), "said in full");
}

#[test]
fn a_second_run_and_other_calls_fail_while_one_is_under_way() {
    let model = Model::scripted("abc");
    let prompt = CString::new("hi").expect("a prompt");
    let mut seen = Vec::new();
    let record = model.run_with(&mut [prompt_input(&prompt)], &mut InferParam::default(), |event| {
        if seen.is_empty() && event.state == RKLLM_RUN_NORMAL {
            seen = vec![model.ask("again").status, model.clear(0, None), model.call("rkllm_is_running")];
        }
        0
    });
    assert_eq!(seen, [-1, -1, family::RUNNING]);
    assert_eq!((record.status, model.call("rkllm_is_running")), (0, family::IDLE));
}

#[test]
fn an_abort_takes_the_time_it_is_told_to() {
    let variables = [("RKLLMJS_STANDIN_TRAP", "slow-abort=300,slow-token=5")];
    passes_in_child(module_path!(), "an_abort_takes_the_time_it_is_told_to", &variables, || {
        let model = Model::scripted(&"word ".repeat(100));
        let handle = carried(&model);
        let prompt = CString::new("hi").expect("a prompt");
        let begun = Instant::now();
        let record = model.run_with(&mut [prompt_input(&prompt)], &mut InferParam::default(), |_| {
            handle.call("rkllm_abort");
            0
        });
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert_eq!(record.states(), [RKLLM_RUN_NORMAL, RKLLM_RUN_FINISH]);
    });
}

static USERDATA: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());

unsafe extern "C" fn note_userdata(_: *mut rkllm12_result, userdata: *mut std::ffi::c_void, _: u32) -> c_int {
    USERDATA.lock().expect("the list").push(userdata.addr());
    1
}

#[test]
fn a_runs_own_data_goes_before_that_of_the_model() {
    let file = scripted_model("abc");
    let path = file.c_path();
    let mut settings = super::driver::param(&path);
    let mut handle: rkllm_handle = std::ptr::null_mut();
    let library = super::driver::library();
    assert_eq!(family::init(library, &raw mut handle, &mut settings, Some(note_userdata)), 0);
    let run: family::Run = super::driver::function("rkllm_run");
    let run = run.expect("a function");
    let prompt = CString::new("hi").expect("a prompt");
    let mut inputs = [prompt_input(&prompt)];
    let mut param = InferParam::default();
    for data in [0, 128] {
        let userdata = std::ptr::without_provenance_mut(data);
        // SAFETY: all pointers that are followed live through the call.
        assert_eq!(unsafe { run(handle, inputs.as_mut_ptr(), &raw mut param, userdata) }, 0);
    }
    assert_eq!(*USERDATA.lock().expect("the list"), [family::INIT_USERDATA, 128]);
    assert_eq!(Carried(handle.addr()).call("rkllm_destroy"), 0);
}

static ASYNC_STATE: AtomicI32 = AtomicI32::new(-1);
static ASYNC_DONE: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn note(_: *mut rkllm12_result, _: *mut std::ffi::c_void, state: u32) -> c_int {
    ASYNC_STATE.store(state.cast_signed(), Ordering::SeqCst);
    ASYNC_DONE.store(state == RKLLM_RUN_FINISH, Ordering::SeqCst);
    0
}

#[test]
fn a_run_in_the_background_needs_to_be_asked_for_at_init() {
    let run: family::Run = super::driver::function("rkllm_run_async");
    let run = run.expect("a function");
    let prompt = CString::new("hi").expect("a prompt");
    let mut inputs = [prompt_input(&prompt)];
    let mut param = InferParam::default();
    let blocking = Model::scripted("abc");
    let null = std::ptr::null_mut();
    // SAFETY: all pointers live through the call.
    let status = unsafe { run(blocking.handle, inputs.as_mut_ptr(), &raw mut param, null) };
    assert_eq!(status, -1);

    let file = scripted_model("abc");
    let path = file.c_path();
    let mut settings = super::driver::param(&path);
    settings.is_async = 1;
    let mut handle: rkllm_handle = null;
    let library = super::driver::library();
    assert_eq!(family::init(library, &raw mut handle, &mut settings, Some(note)), 0);
    // SAFETY: the library copies what it is given.
    assert_eq!(unsafe { run(handle, inputs.as_mut_ptr(), &raw mut param, null) }, 0);
    let deadline = Instant::now() + Duration::from_secs(10);
    let handle = Carried(handle.addr());
    while !ASYNC_DONE.load(Ordering::SeqCst) || handle.call("rkllm_is_running") == family::RUNNING {
        assert!(Instant::now() < deadline, "state {}", ASYNC_STATE.load(Ordering::SeqCst));
        std::thread::yield_now();
    }
    assert_eq!(handle.call("rkllm_destroy"), 0);
}
