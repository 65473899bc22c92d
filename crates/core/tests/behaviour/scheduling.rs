//! Who runs when, and with whom.

use std::sync::mpsc::channel;

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{ErrorCode, FinishReason, Limits, Request};

use crate::rig::{Answer, Rig, counting, request, short};

fn limits(sequences: u32) -> Limits {
    Limits { sequences, ..ScriptedEngine::small() }
}

fn adapted(request: Request, adapter: &str) -> Request {
    Request { adapters: vec![(adapter.to_owned(), 1.0)], ..request }
}

fn assert_counts(answer: &Answer, first: u32, count: u32) {
    assert_eq!(answer.finished(), (counting(first, count), FinishReason::Length));
}

#[test]
fn a_new_request_joins_while_another_decodes() {
    let rig = Rig::gated();
    let first = rig.submit(short(1, 4, 6));
    rig.at_gate(1);
    rig.step(2);
    let second = rig.submit(short(101, 5, 3));
    rig.step(3);
    let expected = [
        vec![(0, 0, 4, true)],
        vec![(0, 4, 1, true)],
        vec![(0, 5, 1, true)],
        vec![(0, 6, 1, true), (1, 0, 5, true)],
        vec![(0, 7, 1, true), (1, 5, 1, true)],
    ];
    assert_eq!(rig.trace(), expected);
    rig.run_freely();
    assert_counts(&first, 5, 6);
    assert_counts(&second, 106, 3);
}

#[test]
fn a_step_packs_a_token_of_every_answer_and_as_much_prompt_as_the_batch_holds() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answers = [rig.submit(short(1, 4, 5)), rig.submit(short(101, 50, 4)), rig.submit(short(301, 50, 1))];
    drop(hold);
    for (answer, (first, count)) in answers.iter().zip([(5, 5), (151, 4), (351, 1)]) {
        assert_counts(answer, first, count);
    }
    let expected = [
        vec![(0, 0, 4, true), (1, 0, 28, false)],
        vec![(0, 4, 1, true), (1, 28, 22, true), (2, 0, 9, false)],
        vec![(0, 5, 1, true), (1, 50, 1, true), (2, 9, 30, false)],
        vec![(0, 6, 1, true), (1, 51, 1, true), (2, 39, 11, true)],
        vec![(0, 7, 1, true), (1, 52, 1, true)],
    ];
    assert_eq!(rig.trace(), expected);
}

#[test]
fn requests_beyond_the_sequences_wait_and_all_finish() {
    let rig = Rig::gated();
    let answers: Vec<_> = (1..=20).map(|i| rig.submit(short(i * 100, 1 + i, 3 + i % 5))).collect();
    rig.run_freely();
    for (i, answer) in (1..=20).zip(&answers) {
        assert_counts(answer, i * 100 + 1 + i, 3 + i % 5);
    }
    let most = rig.steps().iter().map(|step| step.holders.len()).max();
    assert_eq!(most, Some(4), "every place was used, and none more");
}

#[test]
fn a_higher_priority_runs_earlier_and_equals_run_in_their_order() {
    let rig = Rig::limited(limits(1));
    let hold = rig.hold();
    let ask = |priority| rig.submit(Request { priority, ..short(1, 4, 2) });
    let answers = [0, 5, 0, 5, -3].map(ask);
    drop(hold);
    answers.iter().for_each(|answer| assert_counts(answer, 5, 2));
    let order: Vec<u64> = rig.record().opened.iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [1, 3, 0, 2, 4]);
}

#[test]
fn the_prompt_of_a_higher_priority_is_computed_first() {
    let rig = Rig::free();
    let hold = rig.hold();
    let low = rig.submit(short(1, 60, 1));
    let high = rig.submit(Request { priority: 1, ..short(101, 60, 1) });
    drop(hold);
    assert_counts(&low, 61, 1);
    assert_counts(&high, 161, 1);
    let expected = [
        vec![(1, 0, 32, false)],
        vec![(1, 32, 28, true), (0, 0, 4, false)],
        vec![(0, 4, 32, false)],
        vec![(0, 36, 24, true)],
    ];
    assert_eq!(rig.trace(), expected);
}

#[test]
fn nobody_overtakes_a_request_for_its_size() {
    let rig = Rig::limited(Limits { cells: 128, ..limits(4) });
    let hold = rig.hold();
    let running = rig.submit(short(1, 10, 50));
    let large = rig.submit(short(201, 10, 100));
    let small = rig.submit(short(401, 10, 10));
    drop(hold);
    assert_counts(&running, 11, 50);
    assert_counts(&large, 211, 100);
    assert_counts(&small, 411, 10);
    let mut together: Vec<_> = rig.steps().into_iter().map(|step| step.holders).collect();
    together.dedup();
    // The last step of one frees its place before the next one's first.
    together.retain(|holders| !holders.is_empty());
    assert_eq!(together, [[0], [1], [2]]);
}

#[test]
fn a_request_that_could_never_fit_the_cache_does_not_hold_up_the_others() {
    let limits = Limits { cells: 64, ..limits(4) };
    let rig = Rig::build(limits, 4, Gate::open(), |engine| engine.with_room(64));
    let hold = rig.hold();
    let large = rig.submit(short(1, 10, 100));
    let other = rig.submit(short(201, 10, 10));
    drop(hold);
    assert_counts(&other, 211, 10);
    assert_eq!(large.failed(), ErrorCode::EngineFailed);
    assert_eq!(large.text(), counting(11, 55), "it got as far as 64 cells reach");
}

#[test]
fn sequences_under_different_adapters_never_share_a_batch_and_all_move_on() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answers = [
        rig.submit(short(1, 4, 8)),
        rig.submit(adapted(short(101, 4, 8), "red")),
        rig.submit(short(201, 4, 8)),
        rig.submit(adapted(short(301, 4, 8), "blue")),
        rig.submit(adapted(short(401, 4, 8), "red")),
    ];
    drop(hold);
    for (i, answer) in (0..).zip(&answers) {
        assert_counts(answer, i * 100 + 5, 8);
    }
    let adapters = [None, Some("red"), None, Some("blue"), Some("red")];
    let steps = rig.steps();
    for step in &steps {
        let under = step.adapters.first().map(|(name, _)| name.as_str());
        assert!(step.runs.iter().all(|run| adapters[run.sequence as usize] == under), "{step:?}");
    }
    for early in [0_u64, 1, 2, 3] {
        let shares = steps.iter().take(9).filter(|step| step.runs.iter().any(|run| run.sequence == early));
        assert_eq!(shares.count(), 3, "sequence {early} runs every third step");
    }
}

#[test]
fn newcomers_under_one_adapter_cannot_starve_an_answer_under_another() {
    let rig = Rig::free();
    let hold = rig.hold();
    let patient = rig.submit(adapted(short(1, 4, 8), "red"));
    let newcomers: Vec<_> = (1..=15).map(|i| rig.submit(short(i * 100, 4, 1))).collect();
    drop(hold);
    assert_counts(&patient, 5, 8);
    newcomers.iter().for_each(|answer| drop(answer.finished()));
    let turns: Vec<bool> = rig.steps().iter().map(|step| !step.adapters.is_empty()).collect();
    assert_eq!(turns.get(..9), Some([true, false, true, false, true, false, true, false, true].as_slice()));
}

#[test]
fn the_choices_of_a_request_share_one_answer() {
    let rig = Rig::free();
    let answer = rig.submit(Request { choices: 3, ..short(1, 10, 4) });
    let outcome = answer.outcome();
    assert_eq!(outcome.error, None);
    assert_eq!(answer.generation.choices(), 3);
    for index in 0..3 {
        assert_eq!(answer.generation.text(index), counting(11, 4));
        assert_eq!(answer.generation.tokens(index), [11, 12, 13, 14]);
        assert_eq!(answer.generation.finish_reason(index), Some(FinishReason::Length));
    }
    assert_eq!(outcome.usage.prompt_tokens, 10, "the prompt counts once");
    assert_eq!(outcome.usage.completion_tokens, 12);
    assert_eq!(rig.record().opened, [(0, 7), (1, 8), (2, 9)], "every choice has a seed of its own");
}

#[test]
fn more_choices_than_sequences_take_turns() {
    let rig = Rig::limited(limits(2));
    let answer = rig.submit(Request { choices: 7, ..short(1, 4, 5) });
    assert_eq!(answer.outcome().usage.completion_tokens, 35);
    for index in 0..7 {
        assert_eq!(answer.generation.text(index), counting(5, 5));
    }
}

#[test]
fn calls_run_between_steps_and_do_not_hold_them_up() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(short(1, 4, 20));
    let (send, receive) = channel();
    for _ in 0..20 {
        let stats = rig.model.clone();
        let send = send.clone();
        rig.model.call(move |engine| {
            let _ = send.send((engine.is_ok(), stats.stats().steps));
        });
    }
    drop(hold);
    assert_eq!(answer.finished().0, counting(5, 20));
    let calls: Vec<_> = receive.iter().take(20).collect();
    assert_eq!(calls, (0..20).map(|steps| (true, steps)).collect::<Vec<_>>());
}

#[test]
fn an_answer_runs_alone_as_it_does_among_others() {
    let alone = Rig::free();
    let answer = alone.submit(request(1, 40));
    let expected = answer.finished();
    let rig = Rig::free();
    let hold = rig.hold();
    let others: Vec<_> = (1..8).map(|i| rig.submit(request(i * 100, i * 9))).collect();
    let answer = rig.submit(request(1, 40));
    drop(hold);
    assert_eq!(answer.finished(), expected);
    others.iter().for_each(|answer| drop(answer.finished()));
}
