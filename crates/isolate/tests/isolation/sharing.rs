use std::time::Duration;

use rkllmjs_core::{Engine as _, ErrorCode, NativeCall, SequenceId};

use super::child::{ABORTS, LASTS, handle, request, start};

fn long(last: u32) -> Vec<u32> {
    (1..=40).chain([last]).collect()
}

#[test]
fn a_prompt_finds_in_the_child_what_an_earlier_one_left() {
    let model = handle();
    for (last, cached) in [(501, 0), (601, 40), (701, 40)] {
        let generation = model.submit(request(&model, &long(last), 3)).expect("a place");
        let outcome = generation.wait();
        assert_eq!((outcome.error, outcome.usage.cached_tokens), (None, cached));
        assert_eq!(generation.text(0), format!("{} {} {} ", last + 1, last + 2, last + 3));
    }
}

#[test]
fn what_a_child_held_is_gone_with_it() {
    let model = handle();
    let cached = |last| {
        let outcome = model.submit(request(&model, &long(last), 3)).expect("a place").wait();
        assert_eq!(outcome.error, None);
        outcome.usage.cached_tokens
    };
    assert_eq!([cached(501), cached(601)], [0, 40]);
    assert!(model.submit(request(&model, &[ABORTS], 3)).expect("a place").wait().error.is_some());
    assert_eq!([cached(701), cached(801)], [0, 40]);
}

#[test]
fn a_sequence_that_has_cells_of_a_lost_child_is_lost_though_it_was_in_no_step() {
    let model = handle();
    // Keeps the engine's thread until both others are there.
    let lasting = model.submit(request(&model, &[LASTS; 20], 3)).expect("a place");
    std::thread::sleep(Duration::from_millis(50));
    // The first step computes 32 tokens, the second aborts.
    let leader = model.submit(request(&model, &long(ABORTS), 3)).expect("a place");
    let follower = model.submit(request(&model, &long(601), 3)).expect("a place");
    lasting.cancel();
    assert_eq!(lasting.wait().error, None);
    for generation in [leader, follower] {
        let error = generation.wait().error.expect("its child is lost");
        assert_eq!(error.code, ErrorCode::EngineFailed);
    }
    let next = model.submit(request(&model, &long(601), 3)).expect("a place");
    assert_eq!(next.wait().error, None);
    assert_eq!(next.text(0), "602 603 604 ");
}

#[test]
fn a_child_that_is_gone_shares_nothing_and_is_not_started_for_it() {
    let (mut engine, ..) = start("plain").expect("an engine");
    assert!(engine.embed(&[vec![ABORTS]]).is_err());
    assert!(!engine.share(SequenceId(1), SequenceId(2), 0..8));
    assert!(engine.native(NativeCall::CacheSize).is_ok(), "the next call starts it");
}
