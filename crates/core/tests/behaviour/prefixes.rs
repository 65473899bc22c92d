//! What prompts begin with alike is computed once.

use rkllmjs_core::scripted::{Fault, Gate, ScriptedEngine};
use rkllmjs_core::{Adapters, ErrorCode, FinishReason, Limits, Request, UNDELIVERED_PARTS_MAX};

use crate::rig::{Answer, Rig, counting, request, short};

/// The rig of most tests: a model that shares, and runs freely.
fn sharing() -> Rig {
    Rig::limited(ScriptedEngine::sharing())
}

/// A prompt that begins with 1 to `common` and goes on with three tokens from `own`.
fn branch(common: u32, own: u32) -> Request {
    let Request { mut prompt, .. } = request(1, common);
    prompt.extend(own..own + 3);
    Request { prompt, max_tokens: Some(3), ..request(1, 1) }
}

/// Waits for the end of a [`branch`]; how many tokens of its prompt were cached.
fn cached(answer: &Answer, own: u32) -> u64 {
    let outcome = answer.outcome();
    assert_eq!(outcome.error, None);
    assert_eq!((answer.text(), answer.finish()), (counting(own + 3, 3), Some(FinishReason::Length)));
    outcome.usage.cached_tokens
}

fn ask(rig: &Rig, request: Request) -> u64 {
    let own = request.prompt.last().map_or(0, |last| last - 2);
    cached(&rig.submit(request), own)
}

/// The first position that each sequence computed itself, by its number.
fn starts(rig: &Rig) -> Vec<u32> {
    let mut starts = std::collections::BTreeMap::new();
    for (sequence, start, ..) in rig.trace().into_iter().flatten() {
        starts.entry(sequence).or_insert(start);
    }
    starts.into_values().collect()
}

#[test]
fn a_prompt_begins_where_it_parts_from_an_earlier_one() {
    let rig = sharing();
    assert_eq!(ask(&rig, branch(40, 501)), 0);
    assert_eq!(ask(&rig, branch(40, 601)), 40);
    assert_eq!(ask(&rig, branch(20, 701)), 20);
    assert_eq!(starts(&rig), [0, 40, 20]);
    rig.settle();
    let stats = rig.model.stats();
    assert_eq!(stats.prompt_tokens, 43 + 3 + 3);
    assert_eq!((stats.kept_prefixes, stats.kept_tokens, stats.cells_used), (3, 40 + 5 + 5 + 5, 0));
}

#[test]
fn the_next_turn_of_a_talk_finds_all_turns_before_it() {
    let rig = sharing();
    rig.submit(short(1, 30, 10)).finished();
    // The answer was 31 to 40, of which the last was never computed.
    let next = rig.submit(short(1, 60, 10));
    assert_eq!(next.outcome().usage.cached_tokens, 39);
    rig.settle();
    assert_eq!(rig.model.stats().kept_prefixes, 1, "the longer one took the place of the shorter");
}

#[test]
fn the_last_token_of_a_prompt_is_always_computed() {
    let rig = sharing();
    assert_eq!(ask(&rig, branch(20, 501)), 0);
    assert_eq!(ask(&rig, branch(20, 501)), 22);
}

#[test]
fn a_few_tokens_in_common_are_not_worth_sharing() {
    let rig = sharing();
    assert_eq!(ask(&rig, branch(7, 501)), 0);
    assert_eq!(ask(&rig, branch(7, 601)), 0);
    assert_eq!(ask(&rig, branch(8, 701)), 0);
    assert_eq!(ask(&rig, branch(8, 801)), 8);
}

#[test]
fn many_at_once_compute_their_common_beginning_once() {
    let limits = Limits { sequences: 16, cells: 16 * 128, ..ScriptedEngine::sharing() };
    let rig = Rig::limited(limits);
    let hold = rig.hold();
    let answers: Vec<_> = (0..16).map(|i| rig.submit(branch(90, 501 + 10 * i))).collect();
    drop(hold);
    for (i, answer) in (0..).zip(&answers) {
        assert_eq!(cached(answer, 501 + 10 * i), if i == 0 { 0 } else { 90 });
    }
    rig.settle();
    assert_eq!(rig.model.stats().prompt_tokens, 90 + 16 * 3);
    let shared: u32 =
        rig.record().shared.iter().filter(|(_, to, _)| *to < 16).map(|(.., at)| at.end - at.start).sum();
    assert_eq!(shared, 15 * 90);
}

#[test]
fn more_at_once_than_there_are_places_share_too() {
    let rig = sharing();
    let hold = rig.hold();
    let answers: Vec<_> = (0..12).map(|i| rig.submit(branch(60, 501 + 10 * i))).collect();
    drop(hold);
    for (i, answer) in (0..).zip(&answers) {
        assert_eq!(cached(answer, 501 + 10 * i), if i == 0 { 0 } else { 60 });
    }
}

#[test]
fn the_choices_of_a_request_share_its_prompt() {
    let rig = sharing();
    let answer = rig.submit(Request { choices: 4, ..short(1, 100, 5) });
    let outcome = answer.outcome();
    assert_eq!((outcome.usage.prompt_tokens, outcome.usage.cached_tokens), (100, 0));
    assert!((0..4).all(|index| answer.generation.text(index) == counting(101, 5)));
    rig.settle();
    assert_eq!(rig.model.stats().prompt_tokens, 100 + 3);
}

#[test]
fn who_waits_for_a_leader_that_is_cancelled_goes_on_from_there() {
    let rig = Rig::build(ScriptedEngine::sharing(), 16, Gate::default(), |engine| engine);
    let hold = rig.hold();
    let leader = rig.submit(branch(100, 501));
    let follower = rig.submit(branch(100, 601));
    drop(hold);
    rig.at_gate(1);
    rig.step(1);
    leader.generation.cancel();
    leader.cancelled();
    rig.run_freely();
    assert_eq!(cached(&follower, 601), 32);
    assert_eq!(starts(&rig), [0, 32]);
}

#[test]
fn what_a_cancelled_request_computed_is_kept() {
    let rig = Rig::build(ScriptedEngine::sharing(), 16, Gate::default(), |engine| engine);
    let first = rig.submit(branch(100, 501));
    rig.at_gate(1);
    rig.step(1);
    first.generation.cancel();
    first.cancelled();
    rig.run_freely();
    assert_eq!(ask(&rig, branch(100, 601)), 32);
}

#[test]
fn nothing_is_shared_between_tenants() {
    let rig = Rig::limited(Limits { kept: 8, kept_tokens: 1000, ..ScriptedEngine::sharing() });
    let of = |tenant: Option<&str>, own| Request { tenant: tenant.map(str::to_owned), ..branch(40, own) };
    for (i, tenant) in [Some("a"), Some("b"), None].into_iter().enumerate() {
        assert_eq!(ask(&rig, of(tenant, 501 + 10 * i as u32)), 0, "{tenant:?}");
    }
    for (i, tenant) in [Some("a"), Some("b"), None].into_iter().enumerate() {
        assert_eq!(ask(&rig, of(tenant, 601 + 10 * i as u32)), 40, "{tenant:?}");
    }
    let rig = sharing();
    let hold = rig.hold();
    let answers =
        [rig.submit(of(Some("a"), 501)), rig.submit(of(Some("b"), 601)), rig.submit(of(Some("a"), 701))];
    drop(hold);
    let all: Vec<u64> =
        answers.iter().zip([501, 601, 701]).map(|(answer, own)| cached(answer, own)).collect();
    assert_eq!(all, [0, 0, 40]);
}

#[test]
fn nothing_is_shared_between_different_adapters() {
    let rig = sharing();
    let under = |adapters: &[(&str, f32)], own| {
        let adapters: Adapters = adapters.iter().map(|&(name, scale)| (name.to_owned(), scale)).collect();
        Request { adapters, ..branch(40, own) }
    };
    assert_eq!(ask(&rig, under(&[], 501)), 0);
    assert_eq!(ask(&rig, under(&[("red", 1.0)], 601)), 0);
    assert_eq!(ask(&rig, under(&[("red", 0.5)], 701)), 0);
    assert_eq!(ask(&rig, under(&[("red", 1.0)], 801)), 40);
}

#[test]
fn a_request_that_keeps_to_itself_neither_takes_nor_leaves_anything() {
    let rig = sharing();
    let alone = |own| Request { cache_prompt: false, ..branch(40, own) };
    assert_eq!(ask(&rig, alone(501)), 0);
    assert_eq!(ask(&rig, branch(40, 601)), 0);
    assert_eq!(ask(&rig, alone(701)), 0);
    let hold = rig.hold();
    let answers = [rig.submit(alone(301)), rig.submit(alone(401))];
    drop(hold);
    assert_eq!(answers.each_ref().map(|answer| answer.outcome().usage.cached_tokens), [0, 0]);
}

#[test]
fn an_engine_that_cannot_share_is_never_asked_to() {
    let rig = Rig::free();
    assert_eq!(ask(&rig, branch(40, 501)), 0);
    assert_eq!(ask(&rig, branch(40, 601)), 0);
    assert!(rig.record().shared.is_empty());
}

#[test]
fn running_requests_share_where_nothing_can_be_kept() {
    let rig = Rig::limited(Limits { kept: 0, ..ScriptedEngine::sharing() });
    let hold = rig.hold();
    let answers = [rig.submit(branch(60, 501)), rig.submit(branch(60, 601))];
    drop(hold);
    assert_eq!((cached(&answers[0], 501), cached(&answers[1], 601)), (0, 60));
    assert_eq!(ask(&rig, branch(60, 701)), 0);
}

#[test]
fn the_least_recently_used_prefix_leaves_first() {
    let rig = Rig::limited(Limits { kept: 2, ..ScriptedEngine::sharing() });
    let about = |subject: u32| Request { max_tokens: Some(1), ..request(subject * 100 + 1, 20) };
    let ask = |subject| rig.submit(about(subject)).outcome().usage.cached_tokens;
    assert_eq!([ask(1), ask(2), ask(1), ask(3)], [0, 0, 19, 0]);
    assert_eq!([ask(1), ask(3), ask(2)], [19, 19, 0]);
}

#[test]
fn only_one_prefix_goes_beyond_the_tokens_worth_keeping() {
    let rig = Rig::limited(Limits { kept_tokens: 50, ..ScriptedEngine::sharing() });
    let about = |subject: u32| Request { max_tokens: Some(1), ..request(subject * 100 + 1, 90) };
    let ask = |subject| rig.submit(about(subject)).outcome().usage.cached_tokens;
    assert_eq!([ask(1), ask(1), ask(2), ask(1)], [0, 89, 0, 0]);
    rig.settle();
    assert_eq!((rig.model.stats().kept_prefixes, rig.model.stats().kept_tokens), (1, 90));
}

#[test]
fn what_is_kept_gives_way_to_what_runs() {
    let limits = Limits { cells: 128, ..ScriptedEngine::sharing() };
    let rig = Rig::limited(limits);
    for first in [1, 201, 401, 601] {
        assert_eq!(rig.submit(short(first, 60, 10)).finished().0, counting(first + 60, 10));
    }
    let record = rig.record();
    assert!(record.full > 0, "the cache was never full");
    assert!(record.parked.is_empty(), "nobody had to begin again");
}

#[test]
fn who_was_parked_comes_back_to_what_it_had() {
    let rig = Rig::limited(Limits { sequences: 1, ..ScriptedEngine::sharing() });
    let hold = rig.hold();
    let read = rig.submit(short(1, 20, 100));
    read.generation.stream();
    drop(hold);
    read.take_at_least(1);
    assert_eq!(rig.submit(short(501, 20, 5)).finished().0, counting(521, 5));
    assert_eq!(rig.record().parked, [0]);
    read.generation.acknowledge(UNDELIVERED_PARTS_MAX);
    let (_, outcome) = read.read_to_end();
    assert_eq!((read.text(), outcome.usage.cached_tokens), (counting(21, 100), 0));
    let mut computed = 0;
    for (sequence, start, tokens, _) in rig.trace().into_iter().flatten().filter(|run| run.0 == 0) {
        assert_eq!(start as usize, computed, "sequence {sequence} computes nothing twice");
        computed += tokens;
    }
}

#[test]
fn nothing_is_kept_of_what_failed() {
    for fault in [Fault::Fail, Fault::CacheFull] {
        let rig =
            Rig::build(ScriptedEngine::sharing(), 4, Gate::open(), |engine| engine.with_fault(1, fault));
        let failed = rig.submit(branch(60, 501));
        assert_eq!(failed.failed(), ErrorCode::EngineFailed);
        assert_eq!(ask(&rig, branch(60, 601)), 0);
    }
    let rig = Rig::build(ScriptedEngine::sharing(), 4, Gate::open(), |engine| engine.with_poison(504));
    assert_eq!(rig.submit(branch(60, 501)).failed(), ErrorCode::EngineFailed);
    assert_eq!(ask(&rig, branch(60, 601)), 0);
}

#[test]
fn a_prefix_whose_cells_are_gone_is_computed_again() {
    let rig = Rig::told(|engine| engine.with_amnesia(1));
    assert_eq!(ask(&rig, branch(40, 501)), 0);
    assert_eq!(ask(&rig, branch(40, 601)), 0);
    let rig = Rig::build(ScriptedEngine::sharing(), 16, Gate::open(), |engine| engine.with_amnesia(1));
    let hold = rig.hold();
    let answers: Vec<_> = (0..4).map(|i| rig.submit(branch(60, 501 + 10 * i))).collect();
    drop(hold);
    for (i, answer) in (0..).zip(&answers) {
        assert_eq!(cached(answer, 501 + 10 * i), 0, "everyone computes for itself");
    }
}

#[test]
fn nobody_waits_for_the_prompt_of_a_lower_priority() {
    let rig = sharing();
    let hold = rig.hold();
    let low = rig.submit(branch(90, 501));
    let high = rig.submit(Request { priority: 1, ..branch(90, 601) });
    drop(hold);
    assert_eq!((cached(&low, 501), cached(&high, 601)), (90, 0), "the later one leads");
    let first = rig.trace().into_iter().find(|runs| runs.iter().any(|run| run.3)).expect("a sample");
    assert_eq!(first.first().map(|run| run.0), Some(1));
}

#[test]
fn a_follower_does_not_hold_up_other_adapters() {
    let rig = sharing();
    let hold = rig.hold();
    let red = |own| Request { adapters: vec![("red".to_owned(), 1.0)], ..branch(100, own) };
    let answers = [rig.submit(red(501)), rig.submit(red(601))];
    let plain = rig.submit(short(301, 4, 8));
    drop(hold);
    assert_eq!(plain.finished().0, counting(305, 8));
    assert_eq!((cached(&answers[0], 501), cached(&answers[1], 601)), (0, 100));
    let turns: Vec<bool> = rig.steps().iter().map(|step| step.adapters.is_empty()).collect();
    assert_eq!(turns.get(..6), Some([false, true, false, true, false, true].as_slice()), "they take turns");
}

#[test]
fn a_follower_that_is_cancelled_leaves_the_others_alone() {
    let rig = Rig::build(ScriptedEngine::sharing(), 16, Gate::default(), |engine| engine);
    let hold = rig.hold();
    let answers: Vec<_> = (0..4).map(|i| rig.submit(branch(100, 501 + 10 * i))).collect();
    drop(hold);
    rig.at_gate(1);
    answers[1].generation.cancel();
    rig.run_freely();
    answers[1].cancelled();
    for i in [0_u32, 2, 3] {
        let expected = if i == 0 { 0 } else { 100 };
        assert_eq!(cached(&answers[i as usize], 501 + 10 * i), expected);
    }
}

#[test]
fn a_full_cache_parks_the_youngest_and_everything_still_comes_right() {
    // The engine holds less than it promised.
    let limits = Limits { kept_tokens: 1000, ..ScriptedEngine::sharing() };
    let rig = Rig::build(limits, 16, Gate::open(), |engine| engine.with_room(150));
    let hold = rig.hold();
    let answers: Vec<_> = (0..4).map(|i| rig.submit(short(1 + 200 * i, 40, 30))).collect();
    drop(hold);
    for (i, answer) in (0..).zip(&answers) {
        assert_eq!(answer.finished().0, counting(41 + 200 * i, 30));
    }
    assert!(!rig.record().parked.is_empty());
}
