//! What a model says about its work.

use std::time::Duration;

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{Request, Stats, Timings};

use crate::rig::{Rig, request, short, until};

fn without_rate(stats: Stats) -> Stats {
    Stats { tokens_per_second: 0.0, ..stats }
}

#[test]
fn a_new_model_has_done_nothing() {
    let rig = Rig::free();
    assert_eq!(rig.model.stats(), Stats { sequences: 4, cells: 512, ..Stats::default() });
    assert_eq!(rig.model.limits().context, 128);
}

#[test]
fn the_work_under_way_is_counted() {
    let rig = Rig::gated();
    let answers: Vec<_> = (0..6).map(|_| rig.submit(request(1, 4))).collect();
    rig.at_gate(1);
    assert_eq!(rig.model.stats().waiting, 6, "the first step is not over yet");
    // However many of them the first step saw, two steps later all places are taken.
    rig.step(2);
    let stats = rig.model.stats();
    assert_eq!((stats.running, stats.waiting, stats.steps), (4, 2, 2));
    assert_eq!((stats.prompt_tokens, stats.requests), (16, 6));
    assert_eq!(stats.cells_used as usize, rig.trace().iter().flatten().map(|run| run.2).sum::<usize>());
    drop(answers);
    rig.run_freely();
    until("the end", || rig.model.stats().waiting == 0);
}

#[test]
fn nothing_is_left_after_the_last_answer() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answers = [rig.submit(short(1, 40, 5)), rig.submit(Request { choices: 2, ..short(1, 3, 10) })];
    drop(hold);
    answers.iter().for_each(|answer| drop(answer.finished()));
    rig.settle();
    let expected = Stats {
        sequences: 4,
        cells: 512,
        steps: rig.steps().len() as u64,
        requests: 2,
        prompt_tokens: 46,
        completion_tokens: 25,
        ..Stats::default()
    };
    assert_eq!(without_rate(rig.model.stats()), expected);
}

#[test]
fn a_prompt_in_preparation_counts_as_waiting() {
    let rig = Rig::free();
    let begun = rig.model.begin(3, Box::new(|| {})).expect("places");
    assert_eq!(rig.model.stats().waiting, 3);
    drop(begun);
    assert_eq!(rig.model.stats().waiting, 0);
}

#[test]
fn a_choice_that_has_finished_does_not_wait() {
    let rig = Rig::build(ScriptedEngine::small(), 4, Gate::default(), |engine| engine);
    let hold = rig.hold();
    let unequal = rig.submit(Request { choices: 2, ..short(1, 30, 2) });
    drop(hold);
    rig.at_gate(1);
    // The batch of 32 holds the first choice's prompt whole and two tokens of the second's.
    rig.step(2);
    assert!(unequal.generation.finish_reason(0).is_some() && unequal.generation.finish_reason(1).is_none());
    let stats = rig.model.stats();
    assert_eq!((stats.running, stats.waiting), (1, 0));
    rig.run_freely();
    unequal.finished();
}

#[test]
fn a_reader_that_stopped_is_counted() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(request(1, 8));
    answer.generation.stream();
    drop(hold);
    until("the pause", || rig.model.stats().paused == 1);
    let stats = rig.model.stats();
    assert_eq!((stats.running, stats.waiting, stats.cells_used), (1, 0, 71));
}

#[test]
fn the_time_of_an_answer_is_told_apart() {
    let rig = Rig::gated();
    let seconds = Duration::from_secs;
    let hold = rig.hold();
    let answer = rig.submit(short(1, 4, 2));
    rig.clock.advance(seconds(1));
    drop(hold);
    rig.at_gate(1);
    rig.clock.advance(seconds(2));
    rig.step(1);
    rig.clock.advance(seconds(4));
    rig.gate.let_through(1);
    let expected =
        Timings { queue: seconds(1), prefill: seconds(2), first_token: seconds(3), decode: seconds(4) };
    assert_eq!(answer.outcome().timings, expected);
    rig.settle();
    let rate = rig.model.stats().tokens_per_second;
    assert!((rate - (0.95 / 2.0 + 0.05 / 4.0)).abs() < 1e-9, "{rate}");
}

#[test]
fn an_answer_that_never_began_tells_how_long_it_waited() {
    let rig = Rig::free();
    let (generation, submission) = rig.model.begin(1, Box::new(|| {})).expect("a place");
    rig.clock.advance(Duration::from_secs(3));
    submission.cancel();
    let timings = generation.wait().timings;
    assert_eq!((timings.queue, timings.decode), (Duration::from_secs(3), Duration::ZERO));
}
