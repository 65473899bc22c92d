//! Prefixes that had to leave the cache come back from this process's memory.

use rkllmjs_core::scripted::ScriptedEngine;
use rkllmjs_core::{Adapters, Limits, Request};

use crate::rig::{Rig, cached, request, short};

const MEMORY: u64 = 1 << 20;

/// A cache in which one talk of some 70 tokens has room beside the next.
fn cramped() -> Limits {
    Limits { cells: 128, ..ScriptedEngine::sharing() }
}

/// A talk of 60 tokens about a subject, answered with 10.
fn talk(subject: u32) -> Request {
    short(subject * 1000 + 1, 60, 10)
}

#[test]
fn talks_in_turns_find_their_beginnings_again_and_without_memory_do_not() {
    for (memory, expected) in [(MEMORY, 59), (0, 0)] {
        let rig = Rig::with_memory(cramped(), memory);
        for subject in 1..=3 {
            assert_eq!(cached(&rig, talk(subject)), 0);
        }
        for subject in [1, 2, 3, 1] {
            assert_eq!(cached(&rig, talk(subject)), expected, "subject {subject} of {memory} bytes");
        }
        assert!(rig.record().parked.is_empty(), "nobody had to begin again");
        rig.settle();
        let stats = rig.model.stats();
        assert_eq!(stats.host_prefixes > 0, memory > 0);
        assert_eq!(stats.host_bytes, stats.host_tokens * 8, "four bytes a cell, four a token");
    }
}

#[test]
fn the_next_turn_of_a_talk_is_longer_and_takes_the_place_of_the_one_before() {
    let rig = Rig::with_memory(cramped(), MEMORY);
    assert_eq!(cached(&rig, short(1001, 30, 10)), 0);
    assert_eq!(cached(&rig, talk(1)), 39);
    assert_eq!(cached(&rig, talk(2)), 0);
    assert_eq!(cached(&rig, short(1001, 80, 10)), 69, "from memory, with the answer");
    rig.settle();
    assert_eq!((rig.model.stats().host_prefixes, rig.model.stats().host_tokens), (1, 69), "subject 2");
}

#[test]
fn only_what_fits_the_memory_is_there() {
    // Two talks of 69 tokens.
    let rig = Rig::with_memory(cramped(), 2 * 69 * 8);
    for subject in 1..=4 {
        assert_eq!(cached(&rig, talk(subject)), 0);
    }
    rig.settle();
    assert_eq!(rig.model.stats().host_prefixes, 2, "2 and 3; 4 is in the cache");
    assert_eq!([3, 1].map(|subject| cached(&rig, talk(subject))), [59, 0]);
}

#[test]
fn nothing_comes_back_to_another_tenant_or_under_other_adapters() {
    let rig = Rig::with_memory(cramped(), MEMORY);
    let of = |tenant: &str, adapter: &str| {
        let adapters: Adapters = vec![(adapter.to_owned(), 1.0)];
        Request { tenant: Some(tenant.to_owned()), adapters, ..talk(1) }
    };
    assert_eq!(cached(&rig, of("a", "red")), 0);
    assert_eq!(cached(&rig, talk(2)), 0);
    assert_eq!(cached(&rig, of("b", "red")), 0);
    assert_eq!(cached(&rig, of("a", "blue")), 0);
    assert_eq!(cached(&rig, of("a", "red")), 59);
}

#[test]
fn a_short_gain_is_not_worth_the_copy() {
    let rig = Rig::with_memory(cramped(), MEMORY);
    let beginning = |subject: u32, common: u32| {
        let Request { mut prompt, .. } = request(1, common);
        prompt.extend(subject * 1000 + 1..subject * 1000 + 1 + 70 - common);
        Request { prompt, ..short(1, 1, 10) }
    };
    assert_eq!(cached(&rig, beginning(1, 31)), 0);
    assert_eq!(cached(&rig, talk(9)), 0);
    assert_eq!(cached(&rig, beginning(2, 31)), 0, "31 tokens in common");
    let rig = Rig::with_memory(cramped(), MEMORY);
    assert_eq!(cached(&rig, beginning(1, 32)), 0);
    assert_eq!(cached(&rig, talk(9)), 0);
    assert_eq!(cached(&rig, beginning(2, 32)), 32);
    rig.settle();
    assert_eq!(rig.model.stats().host_prefixes, 2, "the rest of it stays, beside the ninth");
}

#[test]
fn what_goes_for_want_of_places_or_tokens_comes_back_too() {
    for limits in [
        Limits { kept: 1, ..ScriptedEngine::sharing() },
        Limits { kept_tokens: 80, ..ScriptedEngine::sharing() },
    ] {
        let rig = Rig::with_memory(limits, MEMORY);
        let found: Vec<u64> = [1, 2, 3, 1, 2].map(|subject| cached(&rig, talk(subject))).into();
        assert_eq!(found, [0, 0, 0, 59, 59]);
    }
}
