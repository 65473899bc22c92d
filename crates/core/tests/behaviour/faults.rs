//! An engine that fails, and how little else fails with it.

use std::sync::Once;
use std::sync::mpsc::channel;
use std::time::Duration;

use rkllmjs_core::scripted::{Fault, Gate, ScriptedEngine};
use rkllmjs_core::{ErrorCode, FinishReason, Limits, Request};

use crate::rig::{Rig, counting, request, short};

const PATIENCE: Duration = Duration::from_secs(20);

/// A panic on purpose should not look like one in the test's output.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<&str>() != Some(&"the script says so") {
                loud(panic);
            }
        }));
    });
}

#[test]
fn a_failed_step_ends_the_answers_of_its_batch_and_no_others() {
    let limits = Limits { sequences: 3, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 8, Gate::open(), |engine| engine.with_fault(2, Fault::Fail));
    let hold = rig.hold();
    let adapters = vec![("red".to_owned(), 1.0)];
    let first = rig.submit(short(1, 4, 9));
    let second = rig.submit(short(101, 4, 9));
    let apart = rig.submit(Request { adapters, ..short(201, 4, 9) });
    let waiting = rig.submit(short(301, 4, 9));
    drop(hold);
    assert_eq!(first.failed(), ErrorCode::EngineFailed);
    assert_eq!(second.failed(), ErrorCode::EngineFailed);
    assert_eq!((first.text(), first.finish()), ("5 ".to_owned(), Some(FinishReason::Cancelled)));
    assert_eq!(apart.finished().0, counting(205, 9));
    assert_eq!(waiting.finished().0, counting(305, 9));
    assert_eq!(rig.submit(short(1, 4, 9)).finished().0, counting(5, 9), "the model goes on");
}

#[test]
fn a_panic_ends_everything_with_internal_and_the_model_refuses_from_then_on() {
    silence_panics();
    let limits = Limits { sequences: 2, ..ScriptedEngine::small() };
    let rig = Rig::build(limits, 8, Gate::default(), |engine| engine.with_fault(3, Fault::Panic));
    let answers: Vec<_> = (0..4).map(|_| rig.submit(request(1, 4))).collect();
    let (send, receive) = channel();
    rig.run_freely();
    for answer in &answers {
        assert_eq!(answer.failed(), ErrorCode::Internal);
    }
    rig.model.call(move |engine| {
        let _ = send.send(engine.err().map(|error| error.code));
    });
    assert_eq!(receive.recv_timeout(PATIENCE), Ok(Some(ErrorCode::Internal)));
    assert!(answers.iter().any(|answer| answer.text() == counting(5, 3)), "the text so far stays");
    let refusal = rig.model.submit(request(1, 4)).expect_err("refused");
    assert_eq!(refusal.code, ErrorCode::Internal);
    assert!(refusal.message.contains("the script says so"), "{refusal}");
    assert!(rig.model.wait_closed(PATIENCE));
    assert_eq!(rig.record().released, Vec::<u64>::new(), "a broken engine is not called again");
}

#[test]
fn a_panic_in_a_call_counts_as_one_in_a_step() {
    silence_panics();
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(request(1, 4));
    rig.model.call(|_| std::panic::panic_any("the script says so"));
    drop(hold);
    assert_eq!(answer.failed(), ErrorCode::Internal);
    assert!(rig.model.wait_closed(PATIENCE));
}

#[test]
fn a_full_cache_makes_the_youngest_start_again_with_the_same_text() {
    let rig = Rig::told(|engine| engine.with_fault(4, Fault::CacheFull));
    let hold = rig.hold();
    let old = rig.submit(short(1, 4, 9));
    let young = rig.submit(short(101, 4, 9));
    drop(hold);
    assert_eq!(old.finished().0, counting(5, 9));
    assert_eq!(young.finished().0, counting(105, 9));
    let record = rig.record();
    assert_eq!(record.parked, [1]);
    assert_eq!(record.opened.len(), 2, "it keeps how it samples");
    let again = record.steps.iter().flat_map(|step| &step.runs).filter(|run| run.sequence == 1);
    assert_eq!(again.filter(|run| run.start == 0).count(), 2);
}

#[test]
fn a_cache_smaller_than_promised_slows_answers_down_and_nothing_else() {
    let rig = Rig::told(|engine| engine.with_room(40));
    let hold = rig.hold();
    let answers: Vec<_> = (0..4).map(|i| rig.submit(short(i * 100 + 1, 10, 28))).collect();
    drop(hold);
    for (i, answer) in (0..).zip(&answers) {
        assert_eq!(answer.finished().0, counting(i * 100 + 11, 28));
    }
    let full = rig.record().full;
    assert!((1..=20).contains(&full), "{full} steps found no room");
}

#[test]
fn a_cache_that_cannot_hold_a_single_answer_is_an_error() {
    let rig = Rig::told(|engine| engine.with_room(40));
    let hold = rig.hold();
    let large = rig.submit(request(1, 20));
    let small = rig.submit(short(101, 10, 5));
    drop(hold);
    assert_eq!(large.failed(), ErrorCode::EngineFailed);
    assert_eq!(large.text(), counting(21, 21), "it got as far as the room allowed");
    assert_eq!(small.finished().0, counting(111, 5));
}

#[test]
fn a_sequence_that_fails_ends_its_own_answer_only() {
    let rig = Rig::told(|engine| engine.with_poison(8));
    let hold = rig.hold();
    let sick = rig.submit(short(1, 4, 9));
    let well = rig.submit(short(101, 4, 9));
    drop(hold);
    assert_eq!(sick.failed(), ErrorCode::EngineFailed);
    assert_eq!(sick.text(), counting(5, 3));
    assert_eq!(well.finished().0, counting(105, 9));
}

#[test]
fn an_engine_that_chooses_no_token_fails_and_does_not_hang() {
    let rig = Rig::told(|engine| engine.with_silence(8));
    let hold = rig.hold();
    let lost = rig.submit(short(1, 4, 9));
    let well = rig.submit(short(101, 4, 9));
    drop(hold);
    assert_eq!(lost.failed(), ErrorCode::EngineFailed);
    assert_eq!(lost.text(), counting(5, 3));
    assert_eq!(well.finished().0, counting(105, 9));
}

#[test]
fn a_choice_that_fails_ends_all_choices_of_its_answer() {
    let rig = Rig::told(|engine| engine.with_poison(8));
    let answer = rig.submit(Request { choices: 6, ..short(1, 4, 9) });
    assert_eq!(answer.failed(), ErrorCode::EngineFailed);
    rig.settle();
    assert_eq!(rig.model.stats().running, 0);
    assert_eq!(rig.submit(short(101, 4, 2)).finished().0, counting(105, 2));
}

#[test]
fn a_sequence_the_engine_refuses_ends_its_own_answer_only() {
    let rig = Rig::free();
    let hold = rig.hold();
    let mut ask = short(1, 4, 9);
    ask.sampling.grammar = Some("root ::= [a-z]+".to_owned());
    ask.choices = 2;
    let refused = rig.submit(ask);
    let others: Vec<_> = (0..5).map(|_| rig.submit(short(101, 4, 9))).collect();
    drop(hold);
    let error = refused.outcome().error.expect("an error");
    assert_eq!((error.code, error.option), (ErrorCode::Unsupported, Some("grammar")));
    others.iter().for_each(|other| assert_eq!(other.finished().0, counting(105, 9)));
    assert_eq!(rig.record().opened.len(), 5);
}
