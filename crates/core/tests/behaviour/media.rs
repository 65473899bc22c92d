//! Rows of media among the tokens of a prompt.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rkllmjs_core::scripted::ScriptedEngine;
use rkllmjs_core::{
    ErrorCode, FIRST_ROW_TOKEN, FinishReason, Medium, Request, RowAttention, RowPlaces, Speculation,
    SpeculationMode,
};

use crate::rig::{Answer, Rig, counting, request, short};

/// Rows whose tokens begin `first` after those of all media.
fn medium(first: u32, rows: usize, attention: RowAttention) -> Arc<Medium> {
    let medium = Medium::new(FIRST_ROW_TOKEN + first, 2, vec![0.0; rows * 2], attention);
    Arc::new(medium.expect("rows"))
}

/// Tokens from 1 to `before`, the media, and three tokens from `own`; three tokens are asked for.
fn around(before: u32, media: &[&Arc<Medium>], own: u32) -> Request {
    let Request { mut prompt, .. } = request(1, before);
    prompt.extend(media.iter().flat_map(|medium| medium.tokens()));
    prompt.extend(own..own + 3);
    let media = media.iter().map(|medium| Arc::clone(medium)).collect();
    Request { prompt, media, max_tokens: Some(3), ..request(1, 1) }
}

/// Waits for the end of [`around`]; how many tokens and rows of its prompt were cached.
fn cached(answer: &Answer, own: u32) -> u64 {
    let outcome = answer.outcome();
    assert_eq!(outcome.error, None);
    assert_eq!((answer.text(), answer.finish()), (counting(own + 3, 3), Some(FinishReason::Length)));
    outcome.usage.cached_tokens
}

/// The runs of the prompt of the only sequence: start, length, and whether it sampled.
fn prompt_runs(rig: &Rig, prompt: usize) -> Vec<(u32, usize, bool)> {
    let runs = rig.trace().into_iter().flatten().map(|(_, start, tokens, sample)| (start, tokens, sample));
    runs.filter(|&(start, ..)| (start as usize) < prompt).collect()
}

#[test]
fn rows_of_each_medium_run_apart_from_tokens_and_from_other_rows() {
    let rig = Rig::free();
    let (first, second) = (medium(0, 6, RowAttention::Causal), medium(6, 4, RowAttention::Mutual));
    let answer = rig.submit(around(4, &[&first, &second, &first], 501));
    assert_eq!(cached(&answer, 501), 0);
    let expected = [(0, 4, false), (4, 6, false), (10, 4, false), (14, 6, false), (20, 3, true)];
    assert_eq!(prompt_runs(&rig, 23), expected);
    assert_eq!(answer.outcome().usage.prompt_tokens, 23, "rows count as tokens of the prompt");
}

#[test]
fn rows_that_see_each_other_come_at_once_and_others_as_the_batch_has_room() {
    for (attention, expected) in [
        (RowAttention::Mutual, vec![(0, 4, false), (4, 40, false), (44, 3, true)]),
        (RowAttention::Causal, vec![(0, 4, false), (4, 32, false), (36, 8, false), (44, 3, true)]),
    ] {
        let rig = Rig::free();
        cached(&rig.submit(around(4, &[&medium(0, 40, attention)], 501)), 501);
        assert_eq!(prompt_runs(&rig, 47), expected, "{attention:?}");
    }
}

#[test]
fn others_go_on_in_the_steps_of_rows() {
    let rig = Rig::gated();
    let talk = rig.submit(short(1, 4, 20));
    rig.at_gate(1);
    rig.step(1);
    let seeing = rig.submit(around(4, &[&medium(0, 8, RowAttention::Mutual)], 501));
    rig.run_freely();
    assert_eq!(talk.finished().0, counting(5, 20));
    cached(&seeing, 501);
    let with_rows = |runs: &Vec<(u64, u32, usize, bool)>| runs.contains(&(1, 4, 8, false));
    let step = rig.trace().into_iter().find(with_rows).expect("a step with the rows");
    assert!(step.iter().any(|&(sequence, _, tokens, _)| sequence == 0 && tokens == 1), "{step:?}");
}

#[test]
fn a_prompt_may_end_with_rows() {
    let rig = Rig::free();
    let last = medium(0, 5, RowAttention::Causal);
    let Request { mut prompt, .. } = request(1, 4);
    prompt.extend(last.tokens());
    let asked = Request { prompt, media: vec![last], max_tokens: Some(1), ..request(1, 1) };
    assert_eq!(rig.submit(asked).finished().1, FinishReason::Length);
    assert_eq!(rig.trace(), [[(0, 0, 4, false)], [(0, 4, 5, true)]]);
}

#[test]
fn the_same_image_is_found_in_the_cache_and_another_one_is_not() {
    let rig = Rig::limited(ScriptedEngine::sharing());
    let (image, other) = (medium(0, 20, RowAttention::Mutual), medium(20, 20, RowAttention::Mutual));
    let ask = |image: &Arc<Medium>, own| cached(&rig.submit(around(10, &[image], own)), own);
    assert_eq!(ask(&image, 501), 0);
    assert_eq!(ask(&image, 601), 30);
    assert_eq!(ask(&other, 701), 10);
    assert_eq!(ask(&image, 501), 32, "all but the last token");
}

#[test]
fn what_was_kept_of_images_is_not_saved() {
    let rig = Rig::limited(ScriptedEngine::sharing());
    let image = medium(0, 20, RowAttention::Causal);
    cached(&rig.submit(around(10, &[&image], 501)), 501);
    let save = |prompt: Option<Vec<u32>>| {
        let (sender, receiver) = channel();
        rig.model.with_cache(move |cache| {
            let _ = sender.send(cache.and_then(|mut cache| cache.save(None, prompt.as_deref())));
        });
        receiver.recv_timeout(Duration::from_secs(20)).expect("the engine's thread answers")
    };
    assert_eq!(save(None).expect_err("rows").code, ErrorCode::Unsupported);
    let before = save(Some((1..=10).collect())).expect("the text before the image");
    assert_eq!(before.tokens, (1..=10).collect::<Vec<u32>>());
}

#[test]
fn nothing_is_guessed_for_a_prompt_with_rows() {
    let rig = Rig::limited(ScriptedEngine::drafting());
    let image = medium(0, 8, RowAttention::Causal);
    let mut asked = around(40, &[&image, &image], 1);
    asked.max_tokens = Some(30);
    asked.speculation = Speculation { mode: SpeculationMode::Lookup, max_tokens: 8 };
    let answer = rig.submit(asked);
    assert_eq!(answer.finished().0, counting(4, 30));
    assert_eq!(answer.outcome().usage.draft_tokens, 0);
}

#[test]
fn an_answer_that_has_to_begin_again_computes_its_rows_again() {
    let limits = ScriptedEngine::small();
    let rig = Rig::build(limits, 16, rkllmjs_core::scripted::Gate::open(), |engine| engine.with_room(70));
    let hold = rig.hold();
    let image = medium(0, 20, RowAttention::Mutual);
    let answers = [
        rig.submit(Request { max_tokens: Some(30), ..around(10, &[&image], 501) }),
        rig.submit(Request { max_tokens: Some(30), ..around(10, &[&image], 601) }),
    ];
    drop(hold);
    for (answer, own) in answers.iter().zip([501, 601]) {
        assert_eq!(answer.finished().0, counting(own + 3, 30));
    }
    assert!(rig.record().full > 0, "the cache was too small for both");
}

/// Rows that all stand at one place.
fn grid(first: u32, rows: usize) -> Arc<Medium> {
    let medium = Medium::new(FIRST_ROW_TOKEN + first, 2, vec![0.0; rows * 2], RowAttention::Causal);
    Arc::new(medium.and_then(|medium| medium.placed(RowPlaces::Grid { columns: 4 })).expect("rows"))
}

#[test]
fn rows_of_one_place_are_shared_together_or_not_at_all() {
    let rig = Rig::limited(ScriptedEngine::sharing());
    let image = grid(0, 40);
    let Request { mut prompt, .. } = request(1, 10);
    prompt.extend(image.tokens());
    let asked = || Request {
        prompt: prompt.clone(),
        media: vec![Arc::clone(&image)],
        max_tokens: Some(1),
        ..request(1, 1)
    };
    let cached = |request| rig.submit(request).outcome().usage.cached_tokens;
    assert_eq!(cached(asked()), 0);
    assert_eq!(cached(asked()), 10, "its last row is computed by everyone, and so are the others");
    let inside: Vec<u32> = (11..50).collect();
    let ends = rig.record().shared.iter().map(|(.., tokens)| tokens.end).collect::<Vec<u32>>();
    assert!(!ends.iter().any(|end| inside.contains(end)), "{ends:?}");
}

#[test]
fn who_follows_another_through_an_image_gets_it_whole() {
    let rig = Rig::limited(ScriptedEngine::sharing());
    let image = grid(0, 80);
    let hold = rig.hold();
    let answers = [rig.submit(around(10, &[&image], 501)), rig.submit(around(10, &[&image], 501))];
    drop(hold);
    let both: Vec<u64> = answers.iter().map(|answer| cached(answer, 501)).collect();
    assert_eq!(both, [0, 92], "the image takes three steps");
    for (.., tokens) in &rig.record().shared {
        assert!(tokens.end <= 10 || tokens.end >= 90, "{tokens:?}");
    }
}
