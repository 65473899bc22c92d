//! Why an answer ends, and what of it is shown.

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{FinishReason, Part, Request, StopRules};

use crate::rig::{Answer, Rig, counting, request, short};

/// A model whose answer to `1 2 3 4` is made of `pieces`, then of numbers.
fn saying(pieces: &[&[u8]]) -> Rig {
    Rig::told(|engine| {
        (5..).zip(pieces).fold(engine, |engine, (token, piece)| engine.with_piece(token, piece))
    })
}

fn stopping(max_tokens: u32, strings: &[&str]) -> Request {
    let strings = strings.iter().map(ToString::to_string).collect();
    Request { stop: StopRules { strings, tokens: Vec::new() }, ..short(1, 4, max_tokens) }
}

fn parts(answer: &Answer) -> Vec<(String, Vec<u32>)> {
    let mut parts = Vec::new();
    answer.generation.take(&mut parts);
    parts.into_iter().map(|Part::TextDelta { text, tokens, .. }| (text, tokens)).collect()
}

#[test]
fn control_tokens_that_are_spelled_are_part_of_the_text() {
    let rig = saying(&[b"", b"", b"c"]);
    let answer = rig.submit(Request { spelled: vec![(6, "<b>".to_owned())], ..short(1, 4, 4) });
    assert_eq!(answer.finished(), ("<b>c8 ".to_owned(), FinishReason::Length));
}

#[test]
fn max_tokens_ends_an_answer() {
    let rig = Rig::free();
    for max_tokens in [1, 2, 50] {
        let answer = rig.submit(short(1, 4, max_tokens));
        assert_eq!(answer.finished(), (counting(5, max_tokens), FinishReason::Length));
        assert_eq!(answer.outcome().usage.completion_tokens, u64::from(max_tokens));
    }
}

#[test]
fn an_answer_fills_the_context_to_its_last_token() {
    let rig = Rig::free();
    for (length, max_tokens) in [(28, None), (28, Some(1000)), (127, None), (1, None)] {
        let answer = rig.submit(Request { max_tokens, ..request(1, length) });
        let made = 128 - length;
        assert_eq!(answer.finished(), (counting(length + 1, made), FinishReason::Length));
        assert_eq!(answer.generation.tokens(0).len(), made as usize);
    }
}

#[test]
fn an_end_token_ends_an_answer_and_is_not_part_of_it() {
    let rig = Rig::free();
    let answer = rig.submit(request(990, 7));
    assert_eq!(answer.finished(), ("997 998 999 ".to_owned(), FinishReason::Stop));
    assert_eq!(answer.generation.tokens(0), [997, 998, 999]);
    assert_eq!(answer.outcome().usage.completion_tokens, 3);
    let nothing = rig.submit(request(990, 10));
    assert_eq!(nothing.finished(), (String::new(), FinishReason::Stop));
}

#[test]
fn a_stop_token_ends_an_answer_and_is_not_part_of_it() {
    let rig = Rig::free();
    let stop = StopRules { tokens: vec![99, 8], strings: Vec::new() };
    let answer = rig.submit(Request { stop, ..request(1, 4) });
    assert_eq!(answer.finished(), ("5 6 7 ".to_owned(), FinishReason::Stop));
    assert_eq!(answer.generation.tokens(0), [5, 6, 7]);
}

#[test]
fn a_stop_string_is_found_across_tokens_and_never_shown() {
    let rig = saying(&[b"foo ", b"bar E", b"N", b"D baz"]);
    let hold = rig.hold();
    let answer = rig.submit(stopping(20, &["END"]));
    answer.generation.stream();
    drop(hold);
    assert_eq!(answer.finished(), ("foo bar ".to_owned(), FinishReason::Stop));
    let shown = [("foo ".to_owned(), vec![5]), ("bar ".to_owned(), vec![6]), (String::new(), vec![7, 8])];
    assert_eq!(parts(&answer), shown);
    assert_eq!(answer.outcome().usage.completion_tokens, 4, "they were all made");
}

#[test]
fn text_that_only_looked_like_a_stop_string_is_shown_once_it_is_clear() {
    let rig = saying(&[b"the E", b"N", b"I", b"EN"]);
    let hold = rig.hold();
    let answer = rig.submit(stopping(4, &["END"]));
    answer.generation.stream();
    drop(hold);
    assert_eq!(answer.finished(), ("the ENIEN".to_owned(), FinishReason::Length));
    let shown = [("the ".to_owned(), vec![5]), ("ENI".to_owned(), vec![6, 7]), ("EN".to_owned(), vec![8])];
    assert_eq!(parts(&answer), shown);
}

#[test]
fn a_stop_string_that_comes_with_the_last_token_still_counts() {
    let rig = saying(&[b"one", b" END"]);
    let answer = rig.submit(stopping(2, &["END", "unseen"]));
    assert_eq!(answer.finished(), ("one ".to_owned(), FinishReason::Stop));
}

#[test]
fn an_end_token_gives_out_what_was_held_back() {
    let rig = Rig::told(|engine| engine.with_piece(999, b"9 EN"));
    let stop = StopRules { strings: vec!["END".to_owned()], tokens: Vec::new() };
    let answer = rig.submit(Request { stop, ..request(990, 8) });
    assert_eq!(answer.finished(), ("998 9 EN".to_owned(), FinishReason::Stop));
}

#[test]
fn a_character_cut_over_tokens_is_shown_whole() {
    let euro = "€".as_bytes();
    let rig = saying(&[b"5 ", &euro[..1], &euro[1..2], &[euro[2], b'!'], b"?"]);
    let hold = rig.hold();
    let answer = rig.submit(short(1, 4, 5));
    answer.generation.stream();
    drop(hold);
    assert_eq!(answer.finished(), ("5 €!?".to_owned(), FinishReason::Length));
    let shown = [("5 ".to_owned(), vec![5]), ("€!".to_owned(), vec![6, 7, 8]), ("?".to_owned(), vec![9])];
    assert_eq!(parts(&answer), shown);
}

#[test]
fn a_character_that_never_becomes_whole_is_replaced() {
    let rig = saying(&[b"a", &[0xF0, 0x9F], b"b", &[0xE2, 0x82]]);
    let answer = rig.submit(short(1, 4, 4));
    assert_eq!(answer.finished(), ("a\u{FFFD}b\u{FFFD}".to_owned(), FinishReason::Length));
}

#[test]
fn a_stop_string_is_found_in_a_character_cut_over_tokens() {
    let rig = saying(&[b"5 ", "stop→".as_bytes().split_at(5).0, "→".as_bytes().split_at(1).1]);
    let answer = rig.submit(stopping(20, &["p→"]));
    assert_eq!(answer.finished(), ("5 sto".to_owned(), FinishReason::Stop));
}

#[test]
fn tokens_without_text_are_part_of_the_answer() {
    let rig = saying(&[b"", b"", b"x", b""]);
    let hold = rig.hold();
    let answer = rig.submit(short(1, 4, 4));
    answer.generation.stream();
    drop(hold);
    assert_eq!(answer.finished(), ("x".to_owned(), FinishReason::Length));
    assert_eq!(parts(&answer), [("x".to_owned(), vec![5, 6, 7]), (String::new(), vec![8])]);
    assert_eq!(answer.generation.tokens(0), [5, 6, 7, 8]);
}

#[test]
fn every_choice_stops_by_itself() {
    let rig = Rig::build(ScriptedEngine::small(), 4, Gate::open(), |engine| engine.with_piece(9, b"END"));
    let mut ask = stopping(20, &["END"]);
    ask.choices = 2;
    let answer = rig.submit(ask);
    answer.finished();
    for index in 0..2 {
        assert_eq!(answer.generation.text(index), counting(5, 4));
        assert_eq!(answer.generation.finish_reason(index), Some(FinishReason::Stop));
    }
}
