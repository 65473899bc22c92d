//! What is refused, and what ends when its time is over.

use std::time::Duration;

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{Detail, ErrorCode, FinishReason, Limits, Request};

use crate::rig::{Rig, counting, request, short, until};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_queue_takes_what_it_was_made_for_and_no_more() {
    let rig = Rig::gated();
    let mut answers: Vec<_> = (0..20).map(|_| rig.submit(short(1, 4, 3))).collect();
    assert_eq!(rig.try_submit(short(1, 4, 3)).err(), Some(ErrorCode::Overloaded));
    rig.run_freely();
    for answer in answers.drain(..) {
        assert_eq!(answer.finished().0, counting(5, 3));
    }
    let again: Vec<_> = (0..20).map(|_| rig.submit(short(1, 4, 3))).collect();
    again.iter().for_each(|answer| drop(answer.finished()));
}

#[test]
fn a_place_is_free_the_moment_its_answer_has_ended() {
    let limits = Limits { sequences: 1, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 0, Gate::open(), |engine| engine);
    for _ in 0..3_000 {
        let generation = rig.model.submit(short(1, 4, 1)).expect("the place of the one before");
        generation.wait();
    }
}

#[test]
fn every_choice_takes_a_place() {
    let rig = Rig::gated();
    let many = rig.submit(Request { choices: 18, ..short(1, 4, 1) });
    let three = Request { choices: 3, ..short(1, 4, 1) };
    assert_eq!(rig.try_submit(three.clone()).err(), Some(ErrorCode::Overloaded));
    let two = rig.submit(Request { choices: 2, ..short(1, 4, 1) });
    rig.run_freely();
    many.finished();
    two.finished();
    rig.submit(three).finished();
}

#[test]
fn a_request_that_is_dropped_before_it_began_gives_its_place_back() {
    let limits = Limits { sequences: 1, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 0, Gate::open(), |engine| engine);
    for _ in 0..3 {
        let (generation, submission) = rig.model.begin(1, Box::new(|| {})).expect("a place");
        assert!(rig.model.begin(1, Box::new(|| {})).is_err_and(|e| e.code == ErrorCode::Overloaded));
        drop(submission);
        assert_eq!(generation.wait().error.map(|e| e.code), Some(ErrorCode::Internal));
    }
    for _ in 0..3 {
        let (generation, submission) = rig.model.begin(1, Box::new(|| {})).expect("a place");
        drop(generation);
        assert!(submission.is_cancelled());
        submission.cancel();
    }
    rig.submit(short(1, 4, 1)).finished();
}

#[test]
fn a_closed_model_refuses_with_closed() {
    let rig = Rig::free();
    let (generation, submission) = rig.model.begin(1, Box::new(|| {})).expect("a place");
    rig.model.close();
    rig.model.close();
    assert_eq!(rig.try_submit(short(1, 4, 1)).err(), Some(ErrorCode::Closed));
    submission.start(short(1, 4, 1));
    assert_eq!(generation.wait().error, None);
    assert_eq!(generation.finish_reason(0), Some(FinishReason::Cancelled));
    let (send, receive) = std::sync::mpsc::channel();
    rig.model.call(move |engine| {
        let _ = send.send(engine.err().map(|error| error.code));
    });
    assert_eq!(receive.recv(), Ok(Some(ErrorCode::Closed)));
}

#[test]
fn only_so_many_calls_may_wait() {
    let rig = Rig::free();
    let hold = rig.hold();
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..1025 {
        let send = send.clone();
        rig.model.call(move |engine| {
            let _ = send.send(engine.err().map(|error| error.code));
        });
    }
    assert_eq!(receive.try_recv(), Ok(Some(ErrorCode::Overloaded)), "the one too many knows at once");
    drop(hold);
    assert!(receive.iter().take(1024).all(|refused| refused.is_none()));
}

#[test]
fn a_prompt_needs_a_token_and_must_leave_room_for_an_answer() {
    let rig = Rig::free();
    let empty = rig.submit(request(1, 0)).outcome().error.expect("an error");
    assert_eq!((empty.code, empty.option), (ErrorCode::InvalidRequest, Some("prompt")));
    let long = rig.submit(request(1, 128)).outcome().error.expect("an error");
    assert_eq!(long.code, ErrorCode::ContextExceeded);
    let facts = [("prompt_tokens", Detail::Number(128)), ("context_size", Detail::Number(128))];
    assert_eq!(long.details, facts);
    assert_eq!(rig.submit(request(1, 127)).finished(), ("128 ".to_owned(), FinishReason::Length));
}

#[test]
fn a_timeout_ends_what_still_waits() {
    let rig = Rig::limited(Limits { sequences: 1, ..ScriptedEngine::small() });
    let hold = rig.hold();
    let in_front = rig.submit(short(1, 4, 2));
    let waiting = rig.submit(Request { timeout: Some(5 * SECOND), ..request(1, 4) });
    rig.clock.advance(5 * SECOND);
    drop(hold);
    assert_eq!(waiting.failed(), ErrorCode::DeadlineExceeded);
    assert_eq!(waiting.text(), "");
    assert_eq!(waiting.finish(), Some(FinishReason::Cancelled));
    in_front.finished();
    assert_eq!(rig.record().opened.len(), 1, "it never reached the engine");
}

#[test]
fn a_timeout_ends_what_runs_and_leaves_the_text_so_far() {
    let rig = Rig::gated();
    let late = rig.submit(Request { timeout: Some(5 * SECOND), ..request(1, 4) });
    let other = rig.submit(short(1, 4, 30));
    rig.at_gate(1);
    rig.step(2);
    rig.clock.advance(5 * SECOND - Duration::from_millis(1));
    rig.step(2);
    assert!(!late.has_ended());
    rig.clock.advance(Duration::from_millis(1));
    rig.step(1);
    assert_eq!(late.failed(), ErrorCode::DeadlineExceeded);
    assert_eq!(late.text(), counting(5, 5));
    rig.run_freely();
    assert_eq!(other.finished().0, counting(5, 30));
}

#[test]
fn a_timeout_counts_from_the_call_and_not_from_the_start() {
    let rig = Rig::free();
    let (generation, submission) = rig.model.begin(1, Box::new(|| {})).expect("a place");
    rig.clock.advance(5 * SECOND);
    submission.start(Request { timeout: Some(5 * SECOND), ..request(1, 4) });
    assert_eq!(generation.wait().error.map(|e| e.code), Some(ErrorCode::DeadlineExceeded));
}

#[test]
fn a_timeout_comes_without_anybody_asking() {
    let engine = ScriptedEngine::new(ScriptedEngine::small(), Gate::open());
    let model = rkllmjs_core::ModelHandle::start(Box::new(engine), rkllmjs_core::ModelSettings::default());
    let model = model.expect("a thread");
    let (paused, submission) = model.begin(1, Box::new(|| {})).expect("a place");
    paused.stream();
    submission.start(Request { timeout: Some(Duration::from_millis(20)), ..request(1, 4) });
    until("the timeout", || paused.finish_reason(0).is_some());
    assert_eq!(paused.wait().error.map(|e| e.code), Some(ErrorCode::DeadlineExceeded));
}
