//! Every trap does what `README.md` says of it.

use std::ffi::CString;
use std::process::Output;
use std::time::{Duration, Instant};

use rkllmjs_rkllm_sys::*;

use super::child::{in_child, passes_in_child};
use super::driver::{Carried, Model, Record, init, param, prompt_input, scripted_model, token_input};
use crate::family::{self, InferParam};

const TRAP: &str = "RKLLMJS_STANDIN_TRAP";

fn say(text: &str) -> Record {
    Model::scripted(text).ask("hi")
}

fn trapped(name: &str, trap: &str, body: impl FnOnce()) {
    passes_in_child(module_path!(), name, &[(TRAP, trap)], body);
}

fn ended(name: &str, trap: &str, body: impl FnOnce()) -> Option<(Output, String)> {
    let output = in_child(module_path!(), name, &[(TRAP, trap)], body)?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output, complaint))
}

#[test]
fn without_traps_a_script_is_said_byte_by_byte_and_waits_inside_characters() {
    let record = say("aé");
    assert_eq!(record.text(), "aé");
    let states = [RKLLM_RUN_NORMAL, RKLLM_RUN_WAITING, RKLLM_RUN_NORMAL, RKLLM_RUN_FINISH];
    assert_eq!(record.states(), states);
    assert!(record.events[1].text.is_none());
}

#[test]
fn a_script_may_name_its_input() {
    assert_eq!(say("heard {input}").text(), "heard <|user|>hi<|assistant|>");
    assert_eq!(say("").text(), "This is the stand-in speaking.");
}

#[test]
fn the_environment_may_replace_the_script() {
    let variables = [("RKLLMJS_STANDIN_SCRIPT", "from outside")];
    passes_in_child(module_path!(), "the_environment_may_replace_the_script", &variables, || {
        assert_eq!(say("from the file").text(), "from outside");
    });
}

#[test]
fn noise_is_heard_on_both_outputs_at_init_and_at_each_run() {
    let name = "noise_is_heard_on_both_outputs_at_init_and_at_each_run";
    let Some((output, complaint)) = ended(name, "noise", || assert_eq!(say("abc").text(), "abc")) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for outputs in [said, complaint] {
        assert!(outputs.matches(" rkllm: ").count() >= 2, "{outputs}");
    }
    assert!(output.status.success());
}

#[test]
fn freed_results_are_overwritten_after_the_callback() {
    trapped("freed_results_are_overwritten_after_the_callback", "freed-results", || {
        let model = Model::scripted("long enough to see");
        let prompt = CString::new("hi").expect("a prompt");
        let mut results = 0;
        let record = model.run_with(&mut [prompt_input(&prompt)], &mut InferParam::default(), |event| {
            results += usize::from(event.text_address != 0);
            0
        });
        assert_eq!(record.text(), "long enough to see");
        assert_eq!(results, 18);
    });
}

#[test]
fn waiting_comes_where_plain_text_would_not_need_it() {
    trapped("waiting_comes_where_plain_text_would_not_need_it", "waiting", || {
        for text in ["plain words only", "schön und größer", "日本語", "a"] {
            let record = say(text);
            assert_eq!(record.text(), text);
            let waits = record.states().iter().filter(|state| **state == RKLLM_RUN_WAITING).count();
            assert!(waits > 0 || text.len() < 3, "{text}");
            assert_eq!(record.tokens().len(), record.events.len() - 1);
        }
    });
}

#[test]
fn finish_comes_without_a_result() {
    trapped("finish_comes_without_a_result", "null-finish", || {
        let record = say("abc");
        assert!(record.events.last().is_some_and(|event| event.is_null));
        assert_eq!((record.status, record.text()), (0, "abc".to_owned()));
    });
}

#[test]
fn garbage_in_reserved_bytes_is_refused_when_it_comes_back() {
    trapped("garbage_in_reserved_bytes_is_refused_when_it_comes_back", "reserved-garbage", || {
        let file = scripted_model("");
        let path = file.c_path();
        let create: family::CreateDefaultParam = super::driver::function("rkllm_createDefaultParam");
        // SAFETY: the type is that of the family.
        let mut defaults = unsafe { create.expect("a function")() };
        defaults.model_path = path.as_ptr();
        assert_eq!(init(&mut defaults), Err(-1));
        defaults.extend_param.enabled_cpus_mask = 0x0F;
        defaults.extend_param.n_batch = 1;
        assert_eq!(init(&mut defaults), Err(-1), "the reserved bytes are still garbage");
        assert!(init(&mut param(&path)).is_ok());
    });
}

#[test]
fn an_error_comes_after_so_many_tokens() {
    trapped("an_error_comes_after_so_many_tokens", "error-mid-stream=2", || {
        let record = say("abcdef");
        assert_eq!(record.states(), [RKLLM_RUN_NORMAL, RKLLM_RUN_NORMAL, RKLLM_RUN_ERROR]);
        assert_eq!(record.status, -1);
    });
}

#[test]
fn a_run_fails_without_a_call() {
    trapped("a_run_fails_without_a_call", "run-fails", || {
        let record = say("abc");
        assert_eq!((record.status, record.events.len()), (-1, 0));
    });
}

#[test]
fn a_run_hangs_and_does_not_hear_an_abort() {
    let name = "a_run_hangs_and_does_not_hear_an_abort";
    let ended = ended(name, "hang=2", || {
        let model = Model::scripted("abcdef");
        let handle = Carried(model.handle.addr());
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            handle.call("rkllm_abort");
            std::thread::sleep(Duration::from_millis(300));
            std::process::exit(if handle.call("rkllm_is_running") == family::RUNNING { 42 } else { 1 });
        });
        model.ask("hi");
    });
    if let Some((output, complaint)) = ended {
        assert_eq!(output.status.code(), Some(42), "{complaint}");
    }
}

#[test]
fn the_process_ends_by_an_assertion() {
    let ended = ended("the_process_ends_by_an_assertion", "abort=2", || {
        say("abcdef");
    });
    if let Some((output, complaint)) = ended {
        assert!(!output.status.success());
        assert!(complaint.contains("GGML_ASSERT"), "{complaint}");
    }
}

#[test]
fn destroying_a_model_that_runs_ends_the_process() {
    let ended = ended("destroying_a_model_that_runs_ends_the_process", "", || {
        let model = Model::scripted("abcdef");
        let handle = Carried(model.handle.addr());
        let prompt = CString::new("hi").expect("a prompt");
        model.run_with(&mut [prompt_input(&prompt)], &mut InferParam::default(), |_| {
            handle.call("rkllm_destroy")
        });
    });
    if let Some((output, complaint)) = ended {
        assert!(!output.status.success());
        assert!(complaint.contains("rkllm_destroy was called during a run"), "{complaint}");
    }
}

#[test]
fn a_handle_that_was_destroyed_ends_the_process() {
    let ended = ended("a_handle_that_was_destroyed_ends_the_process", "", || {
        let model = Model::scripted("abc");
        let handle = Carried(model.handle.addr());
        drop(model);
        handle.call("rkllm_abort");
    });
    if let Some((output, complaint)) = ended {
        assert!(!output.status.success());
        assert!(complaint.contains("destroyed before"), "{complaint}");
    }
}

#[test]
fn init_and_tokens_take_the_time_they_are_told_to() {
    trapped("init_and_tokens_take_the_time_they_are_told_to", "slow-init=200,slow-token=50", || {
        let begun = Instant::now();
        let model = Model::scripted("abc");
        assert!(begun.elapsed() >= Duration::from_millis(200));
        let begun = Instant::now();
        model.ask("hi");
        assert!(begun.elapsed() >= Duration::from_millis(150));
    });
}

#[test]
fn a_pause_may_be_forgotten() {
    trapped("a_pause_may_be_forgotten", "pause-forgets", || {
        let model = Model::scripted("{input}!");
        let mut tokens = [i32::from(b'a'), i32::from(b'b')];
        model.run_with(&mut [token_input(&mut tokens)], &mut InferParam::default(), |_| 1);
        let record = model.go_on(&[i32::from(b'a'), i32::from(b'b'), i32::from(b'c')]);
        assert_eq!((record.text(), record.perf().prefill_tokens), ("abc!".to_owned(), 1));
    });
}

#[test]
fn a_run_after_a_pause_adds_to_what_was_said() {
    let model = Model::scripted("{input}!");
    let mut tokens = [i32::from(b'a'), i32::from(b'b')];
    model.run_with(&mut [token_input(&mut tokens)], &mut InferParam::default(), |_| 1);
    assert_eq!(model.go_on(&[i32::from(b'c')]).text(), "abac!", "the token of the pause is said already");
}
