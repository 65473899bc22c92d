//! How parts reach a reader, and what a slow reader costs: itself, and nobody else.

use std::time::Duration;

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{ErrorCode, FinishReason, Limits, Part, Request, UNDELIVERED_PARTS_MAX};

use crate::rig::{Answer, Rig, counting, request, short, until};

const MINUTE: Duration = Duration::from_secs(60);

fn with_sequences(sequences: u32) -> Rig {
    Rig::limited(Limits { sequences, ..ScriptedEngine::small() })
}

/// An answer of 120 tokens that nobody reads, after it has paused. Its first token is 9.
fn unread(rig: &Rig) -> Answer {
    let hold = rig.hold();
    let answer = rig.submit(request(1, 8));
    answer.generation.stream();
    drop(hold);
    until("the pause", || rig.model.stats().paused == 1);
    answer
}

#[test]
fn answers_that_are_only_awaited_never_stall() {
    let rig = Rig::build(ScriptedEngine::small(), 64, Gate::open(), |engine| engine);
    let answers: Vec<_> = (0..32).map(|_| rig.submit(request(1, 8))).collect();
    for answer in &answers {
        assert_eq!(answer.finished(), (counting(9, 120), FinishReason::Length));
        assert_eq!(answer.take(), Vec::<String>::new(), "what nobody streams folds into the result");
    }
    assert_eq!(rig.record().parked, Vec::<u64>::new());
}

#[test]
fn a_reader_that_stops_pauses_its_own_answer_and_no_other() {
    let rig = Rig::free();
    let slow = unread(&rig);
    let others: Vec<_> = (0..3).map(|_| rig.submit(request(1, 8))).collect();
    others.iter().for_each(|other| assert_eq!(other.finished().0, counting(9, 120)));
    rig.settle();
    assert_eq!(slow.text(), counting(9, 64), "it made what fits and stopped");
    assert_eq!(slow.take().len(), UNDELIVERED_PARTS_MAX);
    assert!(!slow.has_ended());
}

#[test]
fn parts_that_were_taken_count_until_they_are_read() {
    let rig = Rig::free();
    let slow = unread(&rig);
    assert_eq!(slow.take().len(), UNDELIVERED_PARTS_MAX);
    rig.settle();
    assert_eq!(slow.take().len(), 0, "taking alone makes no room");
    slow.generation.acknowledge(10);
    assert_eq!(slow.take_at_least(10).len(), 10);
    rig.settle();
    assert_eq!(slow.take().len(), 0, "it paused again");
    assert_eq!(slow.text(), counting(9, 74));
    slow.generation.acknowledge(UNDELIVERED_PARTS_MAX);
    let (rest, outcome) = slow.read_to_end();
    assert_eq!(rest, counting(83, 46));
    assert_eq!(outcome.error, None);
    assert_eq!(slow.finished(), (counting(9, 120), FinishReason::Length));
}

#[test]
fn a_reader_that_keeps_up_gets_everything_in_order() {
    let rig = Rig::free();
    let answers: Vec<_> = (0..6).map(|_| rig.submit(request(1, 8))).collect();
    answers.iter().for_each(|answer| answer.generation.stream());
    for answer in &answers {
        let (text, outcome) = answer.read_to_end();
        assert_eq!(text, counting(9, 120));
        assert_eq!((outcome.error, outcome.usage.completion_tokens), (None, 120));
    }
}

#[test]
fn a_late_reader_gets_the_text_so_far_first() {
    let rig = Rig::gated();
    let answer = rig.submit(short(1, 4, 8));
    rig.at_gate(1);
    rig.step(5);
    assert_eq!(answer.take(), Vec::<String>::new());
    answer.generation.stream();
    let mut parts = Vec::new();
    assert_eq!(answer.generation.take(&mut parts), None);
    let replay =
        Part::TextDelta { index: 0, text: counting(5, 5), tokens: vec![5, 6, 7, 8, 9], logprobs: Vec::new() };
    assert_eq!(parts, [replay]);
    rig.step(1);
    assert_eq!(answer.take(), ["10 "]);
    rig.run_freely();
    assert_eq!(answer.read_to_end().0, counting(11, 2));
}

#[test]
fn a_reader_after_the_end_gets_the_text_and_the_end() {
    let rig = Rig::free();
    let answer = rig.submit(Request { choices: 2, ..short(1, 4, 8) });
    answer.finished();
    answer.generation.stream();
    answer.generation.stream();
    let mut parts = Vec::new();
    let outcome = answer.generation.take(&mut parts).expect("the end");
    assert_eq!(outcome.usage.completion_tokens, 16);
    let texts = parts.into_iter().map(|Part::TextDelta { index, text, .. }| (index, text));
    assert_eq!(texts.collect::<Vec<_>>(), [(0, counting(5, 8)), (1, counting(5, 8))]);
}

#[test]
fn a_listener_is_never_waited_for() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(request(1, 8));
    answer.generation.listen();
    drop(hold);
    assert_eq!(answer.finished().0, counting(9, 120));
    let parts = answer.take();
    assert_eq!(parts.len(), 120, "every part, none folded");
    assert_eq!(parts.concat(), counting(9, 120));
}

#[test]
fn a_late_listener_gets_the_text_so_far_first() {
    let rig = Rig::gated();
    let answer = rig.submit(short(1, 4, 8));
    rig.at_gate(1);
    rig.step(5);
    answer.generation.listen();
    assert_eq!(answer.take(), [counting(5, 5)]);
    rig.run_freely();
    assert_eq!(answer.finished().0, counting(5, 8));
    assert_eq!(answer.take(), ["10 ", "11 ", "12 "]);
}

#[test]
fn a_listener_beside_a_reader_leaves_the_pace_to_the_reader() {
    let rig = Rig::free();
    let slow = unread(&rig);
    slow.generation.listen();
    slow.generation.acknowledge(0);
    rig.settle();
    assert_eq!(slow.text(), counting(9, 64));
    assert_eq!(slow.take().concat(), counting(9, 64));
    assert!(!slow.has_ended());
}

#[test]
fn a_listener_who_begins_to_read_misses_nothing() {
    let rig = Rig::gated();
    let answer = rig.submit(request(1, 8));
    answer.generation.listen();
    rig.at_gate(1);
    rig.step(3);
    answer.generation.stream();
    rig.run_freely();
    until("the pause", || rig.model.stats().paused == 1);
    assert_eq!(answer.take().concat(), counting(9, 64));
    answer.generation.acknowledge(64);
    assert_eq!(answer.read_to_end().0, counting(73, 56));
}

#[test]
fn a_paused_answer_gives_its_place_to_those_who_wait_and_goes_on_later() {
    let rig = with_sequences(1);
    let slow = unread(&rig);
    let other = rig.submit(short(501, 4, 20));
    assert_eq!(other.finished().0, counting(505, 20));
    assert_eq!(rig.record().parked, [0]);
    assert!(!slow.has_ended());
    let before = rig.steps().len();
    let read = slow.take();
    slow.generation.acknowledge(read.len());
    let (rest, _) = slow.read_to_end();
    assert_eq!(read.concat() + &rest, counting(9, 120), "the text is the same as without the break");
    let again: Vec<_> = rig.trace().into_iter().skip(before).take(3).collect();
    let expected = [vec![(0, 0, 32, false)], vec![(0, 32, 32, false)], vec![(0, 64, 8, true)]];
    assert_eq!(again, expected, "it is computed again from its first token");
    assert_eq!(rig.record().opened.len(), 2, "without being opened again");
}

#[test]
fn the_longest_paused_answer_gives_way_first_and_only_as_many_as_needed() {
    let rig = with_sequences(3);
    let first = unread(&rig);
    let hold = rig.hold();
    let second = rig.submit(request(1, 8));
    second.generation.stream();
    rig.clock.advance(MINUTE / 2);
    drop(hold);
    until("both pauses", || rig.model.stats().paused == 2);
    let hold = rig.hold();
    let others = [rig.submit(short(1, 4, 9)), rig.submit(short(1, 4, 9))];
    drop(hold);
    others.iter().for_each(|other| drop(other.finished()));
    assert_eq!(rig.record().parked, [0]);
    for slow in [first, second] {
        let read = slow.take();
        slow.generation.acknowledge(read.len());
        assert_eq!(read.concat() + &slow.read_to_end().0, counting(9, 120));
    }
}

#[test]
fn an_unread_answer_may_stay_while_nobody_waits_for_its_place() {
    let rig = with_sequences(2);
    let slow = unread(&rig);
    rig.pass(10 * MINUTE);
    rig.settle();
    assert!(!slow.has_ended(), "nobody waits");
    let other = rig.submit(short(1, 4, 20));
    assert_eq!(other.finished().0, counting(5, 20));
    rig.settle();
    assert!(!slow.has_ended(), "the other had a place of its own");
    assert_eq!(rig.record().parked, Vec::<u64>::new());
    let read = slow.take();
    slow.generation.acknowledge(read.len());
    assert_eq!(slow.read_to_end().1.error, None);
}

#[test]
fn an_unread_answer_ends_once_its_place_is_wanted() {
    let rig = with_sequences(1);
    let slow = unread(&rig);
    rig.pass(2 * MINUTE);
    let other = rig.submit(short(1, 4, 20));
    assert_eq!(slow.failed(), ErrorCode::DeadlineExceeded);
    assert_eq!(slow.text(), counting(9, 64), "the text so far stays");
    assert_eq!(slow.take().len(), 64, "and can still be read");
    assert_eq!(other.finished().0, counting(5, 20));
}

#[test]
fn an_answer_that_gave_its_place_up_ends_when_it_stays_unread() {
    let rig = with_sequences(1);
    let slow = unread(&rig);
    let other = rig.submit(short(1, 4, 20));
    other.finished();
    rig.pass(MINUTE - Duration::from_millis(1));
    rig.settle();
    assert!(!slow.has_ended());
    rig.pass(Duration::from_millis(1));
    assert_eq!(slow.failed(), ErrorCode::DeadlineExceeded);
    let usage = slow.outcome().usage;
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (8, 64));
}

#[test]
fn reading_a_little_starts_the_readers_time_again() {
    let rig = with_sequences(1);
    let slow = unread(&rig);
    rig.submit(short(1, 4, 20)).finished();
    assert_eq!(slow.take().len(), 64);
    for _ in 0..3 {
        rig.pass(MINUTE - Duration::from_secs(1));
        slow.generation.acknowledge(1);
        until("the next pause", || slow.take().len() == 1);
    }
    rig.settle();
    assert!(!slow.has_ended());
}

#[test]
fn the_choices_of_an_answer_share_its_readers_room() {
    let rig = Rig::free();
    let hold = rig.hold();
    let answer = rig.submit(Request { choices: 3, ..request(1, 8) });
    answer.generation.stream();
    drop(hold);
    until("the pause", || rig.model.stats().paused == 3);
    let most = UNDELIVERED_PARTS_MAX + 2;
    let made: usize = (0..3).map(|index| answer.generation.tokens(index).len()).sum();
    assert!((UNDELIVERED_PARTS_MAX..=most).contains(&made), "{made}");
    let (_, outcome) = answer.read_to_end();
    assert_eq!(outcome.usage.completion_tokens, 360);
}
