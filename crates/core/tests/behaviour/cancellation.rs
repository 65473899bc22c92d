//! Losing interest, at any moment, and closing.

use std::time::Duration;

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{ErrorCode, FinishReason, Limits, Request};

use crate::rig::{Rig, counting, request, short, until};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn before_the_first_step_nothing_is_computed() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(request(1, 8));
    answer.generation.cancel();
    drop(hold);
    answer.cancelled();
    assert_eq!(answer.text(), "");
    assert!(rig.record().opened.is_empty());
    assert!(rig.steps().is_empty());
}

#[test]
fn a_long_prompt_is_stopped_in_the_middle_of_its_step_and_the_others_lose_nothing() {
    let rig = Rig::gated();
    let decoding = rig.submit(short(501, 4, 20));
    rig.at_gate(1);
    rig.step(3);
    let long = rig.submit(request(1, 100));
    rig.step(1);
    long.generation.cancel();
    long.cancelled();
    assert_eq!(rig.record().aborted, 1, "the gate never opened for that step");
    rig.run_freely();
    assert_eq!(decoding.finished().0, counting(505, 20));
    let starts: Vec<u32> = rig.trace().iter().flatten().filter(|run| run.0 == 0).map(|run| run.1).collect();
    assert_eq!(starts, [vec![0], (4..23).collect()].concat(), "every token was computed once");
}

#[test]
fn an_engine_that_cannot_roll_back_finishes_its_step_first() {
    let limits = Limits { rolls_back: false, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 4, Gate::default(), |engine| engine);
    let long = rig.submit(request(1, 100));
    rig.at_gate(1);
    long.generation.cancel();
    assert!(!long.has_ended());
    rig.gate.let_through(1);
    long.cancelled();
    assert_eq!(rig.record().aborted, 0);
    assert_eq!(rig.steps().len(), 1);
}

#[test]
fn a_short_step_is_not_worth_stopping() {
    let rig = Rig::gated();
    let answer = rig.submit(request(1, 4));
    let other = rig.submit(short(1, 4, 9));
    rig.at_gate(1);
    rig.step(3);
    answer.generation.cancel();
    rig.gate.let_through(1);
    answer.cancelled();
    assert_eq!(rig.record().aborted, 0);
    let text = answer.text();
    assert!(counting(5, 4).starts_with(&text) && !text.is_empty(), "{text}");
    rig.run_freely();
    assert_eq!(other.finished().0, counting(5, 9));
}

#[test]
fn dropping_the_generation_frees_its_place() {
    let limits = Limits { sequences: 1, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 0, Gate::default(), |engine| engine);
    let answer = rig.submit(request(1, 4));
    rig.at_gate(1);
    rig.step(2);
    drop(answer);
    rig.gate.let_through(1);
    until("the place", || rig.try_submit(short(1, 4, 1)).is_ok());
    rig.run_freely();
    until("the release", || rig.record().released.contains(&0));
}

#[test]
fn a_paused_answer_can_be_cancelled() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(request(1, 8));
    answer.generation.stream();
    drop(hold);
    until("the pause", || rig.model.stats().paused == 1);
    answer.generation.cancel();
    answer.cancelled();
    assert_eq!(answer.take().concat(), counting(9, 64), "what was made can still be read");
}

#[test]
fn a_waiting_answer_can_be_cancelled() {
    let limits = Limits { sequences: 1, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 4, Gate::default(), |engine| engine);
    let running = rig.submit(short(1, 4, 5));
    rig.at_gate(1);
    let waiting = rig.submit(request(1, 4));
    rig.step(1);
    waiting.generation.cancel();
    rig.step(1);
    waiting.cancelled();
    rig.run_freely();
    assert_eq!(running.finished().0, counting(5, 5));
    assert_eq!(rig.record().opened.len(), 1);
}

#[test]
fn an_answer_that_gave_its_place_up_can_be_cancelled() {
    let rig = Rig::limited(Limits { sequences: 1, ..ScriptedEngine::small() });
    let hold = rig.hold();
    let parked = rig.submit(request(1, 8));
    parked.generation.stream();
    drop(hold);
    until("the pause", || rig.model.stats().paused == 1);
    rig.submit(short(1, 4, 2)).finished();
    assert_eq!(rig.record().parked, [0]);
    parked.generation.cancel();
    parked.cancelled();
    assert!(rig.record().released.contains(&0));
}

#[test]
fn all_choices_of_a_request_are_cancelled_and_no_others() {
    let rig = Rig::gated();
    let group = rig.submit(Request { choices: 3, ..request(1, 4) });
    let other = rig.submit(short(101, 4, 10));
    rig.at_gate(1);
    rig.step(3);
    group.generation.cancel();
    rig.run_freely();
    assert_eq!(group.outcome().error, None);
    for index in 0..3 {
        assert_eq!(group.generation.finish_reason(index), Some(FinishReason::Cancelled));
        assert!(group.generation.text(index).starts_with("5 6 "));
    }
    assert_eq!(other.finished().0, counting(105, 10));
}

#[test]
fn a_choice_that_had_finished_stays_finished() {
    let limits = Limits { sequences: 1, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 4, Gate::default(), |engine| engine);
    let answer = rig.submit(Request { choices: 2, ..request(1, 88) });
    rig.at_gate(1);
    // Three steps of prompt, whose last makes a token, and 39 more; then some of the second choice.
    rig.step(42 + 5);
    answer.generation.cancel();
    rig.gate.let_through(1);
    let outcome = answer.outcome();
    assert_eq!(outcome.error, None);
    assert_eq!(answer.generation.finish_reason(0), Some(FinishReason::Length));
    assert_eq!(answer.generation.text(0), counting(89, 40));
    assert_eq!(answer.generation.finish_reason(1), Some(FinishReason::Cancelled));
    assert!(answer.generation.text(1).starts_with("89 90 91 "));
    let made = answer.generation.tokens(0).len() + answer.generation.tokens(1).len();
    assert_eq!(outcome.usage.completion_tokens, made as u64);
}

#[test]
fn after_the_end_cancelling_changes_nothing() {
    let rig = Rig::free();
    let answer = rig.submit(short(1, 4, 5));
    let before = answer.finished();
    answer.generation.cancel();
    rig.settle();
    assert_eq!(answer.finished(), before);
}

#[test]
fn the_held_back_text_of_a_cancelled_answer_is_given_out() {
    let rig = Rig::build(ScriptedEngine::small(), 4, Gate::default(), |engine| {
        engine.with_piece(6, b"EN").with_piece(7, b"D, or n")
    });
    let mut ask = request(1, 4);
    ask.stop.strings = vec!["END?".to_owned()];
    let answer = rig.submit(ask);
    rig.at_gate(1);
    rig.step(2);
    assert_eq!(answer.text(), "5 ");
    answer.generation.cancel();
    rig.gate.let_through(1);
    answer.cancelled();
    let text = answer.text();
    assert!(text == "5 EN" || text == "5 END, or n", "{text}");
}

#[test]
fn closing_ends_everything_as_cancelled_with_its_text_so_far() {
    let limits = Limits { sequences: 2, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 8, Gate::default(), |engine| engine);
    let running = rig.submit(request(1, 4));
    rig.at_gate(1);
    rig.step(3);
    let waiting: Vec<_> = (0..3).map(|_| rig.submit(request(1, 4))).collect();
    rig.model.close();
    running.cancelled();
    assert_eq!(running.text(), counting(5, 3));
    waiting.iter().for_each(crate::rig::Answer::cancelled);
    assert!(rig.model.wait_closed(PATIENCE));
    assert_eq!(rig.record().released, [0]);
    assert_eq!(rig.try_submit(request(1, 4)).err(), Some(ErrorCode::Closed));
}

#[test]
fn closing_stops_the_step_under_way_even_where_it_cannot_be_undone() {
    for rolls_back in [true, false] {
        let limits = Limits { rolls_back, ..ScriptedEngine::small() };
        let rig = Rig::build(limits, 4, Gate::default(), |engine| engine);
        let answer = rig.submit(request(1, 4));
        rig.at_gate(1);
        rig.model.close();
        assert!(rig.model.wait_closed(PATIENCE), "the gate never opened");
        answer.cancelled();
        assert_eq!(rig.record().aborted, 1);
    }
}

#[test]
fn an_idle_model_closes_and_an_open_one_does_not() {
    let rig = Rig::free();
    assert!(!rig.model.wait_closed(Duration::ZERO));
    rig.model.close();
    assert!(rig.model.wait_closed(PATIENCE));
    assert!(rig.model.wait_closed(PATIENCE));
}

#[test]
fn a_model_lives_until_its_last_handle_and_its_last_generation_are_gone() {
    let gate = Gate::default();
    let engine = ScriptedEngine::new(ScriptedEngine::small(), gate.clone());
    let record = engine.record();
    let model = rkllmjs_core::ModelHandle::start(Box::new(engine), rkllmjs_core::ModelSettings::default());
    let model = model.expect("a thread");
    let generation = model.submit(short(1, 4, 5)).expect("a place");
    drop(model.clone());
    drop(model);
    gate.let_through(100);
    generation.wait();
    assert_eq!(generation.finish_reason(0), Some(FinishReason::Length));
    drop(generation);
    until("the end of the thread", || std::sync::Arc::strong_count(&record) == 1);
}
