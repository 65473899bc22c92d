//! Guesses make answers come in fewer steps, and are seen in nothing else.

use rkllmjs_core::scripted::{Fault, Gate, ScriptedEngine};
use rkllmjs_core::{
    FinishReason, Limits, Request, Speculation, SpeculationMode, StopRules, UNDELIVERED_PARTS_MAX,
};

use crate::rig::{Rig, counting, request, short};

fn drafting() -> Rig {
    Rig::limited(ScriptedEngine::drafting())
}

/// With a smaller model that is wrong about every so manieth token.
fn with_model(wrong_every: u32) -> Rig {
    Rig::build(ScriptedEngine::drafting(), 16, Gate::open(), |engine| engine.with_draft_model(wrong_every))
}

fn guessing(mode: SpeculationMode, request: Request) -> Request {
    Request { speculation: Speculation { mode, max_tokens: 16 }, ..request }
}

/// A prompt that counts to 40 and begins again, for an answer that does the same as far as 40.
fn repeating(max_tokens: u32) -> Request {
    let prompt = (1..=40).chain([900, 1, 2, 3]).collect();
    guessing(SpeculationMode::Lookup, Request { prompt, ..short(1, 1, max_tokens) })
}

#[test]
fn what_a_prompt_said_before_is_guessed_again() {
    let rig = drafting();
    let answer = rig.submit(repeating(50));
    assert_eq!(answer.finished(), (counting(4, 50), FinishReason::Length));
    let usage = answer.outcome().usage;
    assert!(usage.accepted_tokens >= 25, "{usage:?}");
    assert!(usage.draft_tokens >= usage.accepted_tokens);
    assert!(rig.steps().len() < 30, "{} steps", rig.steps().len());
    let stats = rig.model.stats();
    assert_eq!((stats.draft_tokens, stats.accepted_tokens), (usage.draft_tokens, usage.accepted_tokens));
}

#[test]
fn nothing_is_guessed_without_a_wish_or_without_an_engine_that_can() {
    let rig = drafting();
    let unwished = Request { speculation: Speculation::default(), ..repeating(30) };
    let answer = rig.submit(unwished);
    assert_eq!((answer.finished().0, answer.outcome().usage.draft_tokens), (counting(4, 30), 0));
    let rig = Rig::free();
    let answer = rig.submit(repeating(30));
    assert_eq!((answer.finished().0, answer.outcome().usage.draft_tokens), (counting(4, 30), 0));
}

#[test]
fn wrong_guesses_change_nothing_and_soon_cease() {
    // Whatever three numbers the answer comes to, the prompt has something else after them.
    let prompt: Vec<u32> = (1..40).flat_map(|n| [n, n + 1, n + 2, 950]).chain([1]).collect();
    let rig = Rig::limited(Limits { context: 400, ..ScriptedEngine::drafting() });
    let answer = rig.submit(guessing(SpeculationMode::Lookup, Request { prompt, ..short(1, 1, 36) }));
    assert_eq!(answer.finished().0, counting(2, 36));
    let usage = answer.outcome().usage;
    assert!(usage.draft_tokens > 0 && usage.draft_tokens < 12, "{usage:?}");
    assert_eq!(usage.accepted_tokens, 0);
}

#[test]
fn a_smaller_model_is_asked_and_believed_only_where_it_is_right() {
    for wrong_every in [1, 2, 3, 7, 1000] {
        let rig = with_model(wrong_every);
        let answers: Vec<_> = [1, 2001, 4001]
            .map(|first| rig.submit(guessing(SpeculationMode::Draft, short(first, 10, 60))))
            .into();
        for (answer, first) in answers.iter().zip([11, 2011, 4011]) {
            assert_eq!(answer.finished(), (counting(first, 60), FinishReason::Length));
        }
        let usage = answers[0].outcome().usage;
        assert!(usage.draft_tokens > 0, "{wrong_every}: {usage:?}");
        assert!(usage.accepted_tokens < 60);
        if wrong_every == 1000 {
            assert!(rig.steps().len() < 40, "{} steps", rig.steps().len());
        }
    }
}

#[test]
fn an_answer_ends_in_the_middle_of_guesses() {
    let rig = drafting();
    let stopped = Request {
        stop: StopRules { strings: vec!["20 21".to_owned()], tokens: Vec::new() },
        ..repeating(50)
    };
    assert_eq!(rig.submit(stopped).finished(), (counting(4, 16), FinishReason::Stop));
    let by_token = Request { stop: StopRules { strings: Vec::new(), tokens: vec![17] }, ..repeating(50) };
    assert_eq!(rig.submit(by_token).finished(), (counting(4, 13), FinishReason::Stop));
    for most in 1..12 {
        assert_eq!(rig.submit(repeating(most)).finished(), (counting(4, most), FinishReason::Length));
    }
    let to_the_end = Request { max_tokens: None, ..repeating(1) };
    assert_eq!(rig.submit(to_the_end).finished(), (counting(4, 128 - 44), FinishReason::Length));
}

#[test]
fn what_is_kept_of_a_guessed_answer_is_what_was_computed() {
    let rig = drafting();
    let answer = rig.submit(repeating(20));
    answer.finished();
    assert!(answer.outcome().usage.accepted_tokens > 0);
    let mut prompt = repeating(1).prompt;
    prompt.extend(4..24);
    let next = rig.submit(Request { prompt, ..short(1, 1, 5) });
    assert_eq!(next.finished().0, counting(24, 5));
    assert_eq!(next.outcome().usage.cached_tokens, 44 + 19);
}

#[test]
fn a_reader_gets_no_more_ahead_than_it_would_without() {
    let rig = with_model(1000);
    let hold = rig.hold();
    let answer = rig.submit(guessing(SpeculationMode::Draft, request(1, 8)));
    answer.generation.stream();
    drop(hold);
    crate::rig::until("a pause", || rig.model.stats().paused == 1);
    let made = answer.generation.tokens(0).len();
    assert_eq!(made, UNDELIVERED_PARTS_MAX);
    answer.generation.acknowledge(made);
    let (_, outcome) = answer.read_to_end();
    assert_eq!(outcome.error, None);
    assert_eq!(answer.text(), counting(9, 120));
}

#[test]
fn guesses_that_find_no_room_are_left_out_and_nobody_leaves_for_them() {
    let rig = Rig::build(ScriptedEngine::drafting(), 16, Gate::open(), |engine| {
        engine.with_draft_model(1000).with_fault(3, Fault::CacheFull)
    });
    let answer = rig.submit(guessing(SpeculationMode::Draft, short(1, 8, 60)));
    assert_eq!(answer.finished().0, counting(9, 60));
    assert_eq!(rig.record().parked, [0_u64; 0]);
}

#[test]
fn choices_guess_each_for_themselves() {
    let rig = drafting();
    let answer = rig.submit(Request { choices: 2, ..repeating(30) });
    answer.finished();
    assert_eq!((answer.generation.text(0), answer.generation.text(1)), (counting(4, 30), counting(4, 30)));
}
