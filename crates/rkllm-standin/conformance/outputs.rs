//! Hidden states and logits.

use rkllmjs_rkllm_sys::*;

use super::child::{in_child, passes_in_child};
use super::driver::{Model, Record, token_input};
use super::reference::{self, question};
use crate::family::{self, InferParam};

fn show(model: &Model, mode: rkllm_infer_mode, tokens: &mut [i32], keep_history: i32) -> Record {
    let mut param = InferParam { mode, keep_history, ..InferParam::default() };
    model.run(&mut [token_input(tokens)], &mut param)
}

fn best(row: &[f32]) -> Option<usize> {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]))
}

#[test]
fn logits_have_a_row_for_each_token_and_the_last_says_what_comes_next() {
    let model = Model::tiny();
    let text = question("What is the capital of France?");
    let mut tokens = reference::tokens(&text);
    let record = show(&model, RKLLM_INFER_GET_LOGITS, &mut tokens, 0);
    assert_eq!((record.status, record.states()), (0, vec![RKLLM_RUN_NORMAL, RKLLM_RUN_FINISH]));
    let (values, columns, rows) = record.events[0].logits.clone().expect("logits");
    assert_eq!(usize::try_from(rows), Ok(tokens.len()));
    let columns = usize::try_from(columns).expect("columns");
    let next = best(&values[values.len() - columns..]).and_then(|token| i32::try_from(token).ok());
    assert_eq!(next, reference::answer(&text, 1).tokens.first().copied());
}

#[test]
fn hidden_states_come_after_a_call_without_and_have_a_row_for_each_token() {
    let model = Model::tiny();
    let mut tokens = reference::tokens("a few words");
    let record = show(&model, RKLLM_INFER_GET_LAST_HIDDEN_LAYER, &mut tokens, 0);
    assert_eq!(record.states(), [RKLLM_RUN_NORMAL, RKLLM_RUN_NORMAL, RKLLM_RUN_FINISH]);
    assert!(record.events[0].hidden.is_none());
    let (values, columns, rows) = record.events[1].hidden.clone().expect("hidden states");
    assert_eq!(usize::try_from(rows), Ok(tokens.len()));
    assert_eq!(usize::try_from(columns), Ok(reference::model().embedding_size()));
    assert!(values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != 0.0));
    // The same again although all of it is in the cache.
    let again = show(&model, RKLLM_INFER_GET_LAST_HIDDEN_LAYER, &mut tokens, 0);
    assert_eq!(again.events[1].hidden.as_ref().map(|hidden| hidden.2), Some(rows));
}

#[test]
fn a_callback_may_release_what_it_was_shown() {
    let model = Model::tiny();
    let mut tokens = reference::tokens("a few words");
    let mut param = InferParam { mode: RKLLM_INFER_GET_LOGITS, ..InferParam::default() };
    let record = model.run_with(&mut [token_input(&mut tokens)], &mut param, |_| 2);
    assert_eq!((record.status, record.states()), (0, vec![RKLLM_RUN_NORMAL, RKLLM_RUN_FINISH]));
}

#[test]
fn answers_are_the_same_after_hidden_states() {
    let model = Model::tiny();
    let mut tokens = reference::tokens(&question("What is the capital of France?"));
    show(&model, RKLLM_INFER_GET_LAST_HIDDEN_LAYER, &mut tokens, 0);
    assert_eq!(model.go_on(&tokens).text(), "The capital of France is Paris.");
}

#[test]
fn logits_of_tokens_with_a_history_end_the_process_in_1_2() {
    let name = "logits_of_tokens_with_a_history_end_the_process_in_1_2";
    let run = || {
        let model = Model::scripted("");
        show(&model, RKLLM_INFER_GET_LOGITS, &mut [1, 2], 1);
    };
    if family::LOGITS_WITH_HISTORY_ABORT {
        let Some(output) = in_child(module_path!(), name, &[], run) else { return };
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("GGML_ASSERT"));
    } else {
        passes_in_child(module_path!(), name, &[], run);
    }
}
