//! What is kept can be saved, and loaded into another model.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{Error, ErrorCode, Limits, PrefixCache, Request, SavedPrefix};

use crate::rig::{Rig, cached, counting, short};

/// Only a broken model takes this long for anything.
const PATIENCE: Duration = Duration::from_secs(20);

fn sharing() -> Rig {
    Rig::limited(ScriptedEngine::sharing())
}

fn with<T: Send + 'static>(
    rig: &Rig,
    work: impl FnOnce(&mut PrefixCache<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    begin(rig, work).recv_timeout(PATIENCE).expect("the engine's thread answers")
}

/// What will come of work that is done between two steps.
fn begin<T: Send + 'static>(
    rig: &Rig,
    work: impl FnOnce(&mut PrefixCache<'_>) -> Result<T, Error> + Send + 'static,
) -> Receiver<Result<T, Error>> {
    let (sender, receiver) = channel();
    rig.model.with_cache(move |cache| {
        let _ = sender.send(cache.and_then(|mut cache| work(&mut cache)));
    });
    receiver
}

fn save(rig: &Rig, tenant: Option<&'static str>, prompt: Option<Vec<u32>>) -> Result<SavedPrefix, Error> {
    with(rig, move |cache| cache.save(tenant, prompt.as_deref()))
}

fn load(rig: &Rig, saved: SavedPrefix) -> Result<(), Error> {
    with(rig, move |cache| cache.load(saved))
}

#[test]
fn what_ended_last_goes_on_in_another_model() {
    let rig = sharing();
    cached(&rig, short(1, 30, 10));
    cached(&rig, short(501, 30, 10));
    let saved = save(&rig, None, None).expect("it is kept");
    assert_eq!(saved.tokens, (501..540).collect::<Vec<u32>>());
    let other = sharing();
    load(&other, saved.clone()).expect("it loads");
    load(&other, saved).expect("it is there already");
    assert_eq!(other.record().restored.len(), 1);
    assert_eq!(cached(&other, short(1, 30, 10)), 0);
    assert_eq!(cached(&other, short(501, 60, 10)), 39);
}

#[test]
fn the_longest_beginning_of_a_prompt_is_saved_and_no_more() {
    let rig = sharing();
    cached(&rig, short(1, 30, 10));
    cached(&rig, short(501, 30, 10));
    let saved = save(&rig, None, Some((1..=20).collect())).expect("it is kept");
    assert_eq!((saved.tokens.len(), saved.cells.len()), (20, 80));
    let other = sharing();
    load(&other, saved).expect("it loads");
    assert_eq!(cached(&other, short(1, 30, 10)), 20);
}

#[test]
fn what_is_not_kept_is_not_found() {
    let rig = sharing();
    let code = |result: Result<SavedPrefix, Error>| result.expect_err("nothing is kept").code;
    assert_eq!(code(save(&rig, None, None)), ErrorCode::NotFound);
    cached(&rig, Request { tenant: Some("a".to_owned()), ..short(1, 30, 10) });
    assert_eq!(code(save(&rig, None, None)), ErrorCode::NotFound);
    assert_eq!(code(save(&rig, Some("b"), None)), ErrorCode::NotFound);
    assert_eq!(code(save(&rig, Some("a"), Some(vec![1, 2, 3]))), ErrorCode::NotFound, "three tokens are few");
    assert!(save(&rig, Some("a"), None).is_ok());
    let rig = Rig::build(ScriptedEngine::sharing(), 16, Gate::open(), |engine| engine.with_amnesia(1));
    cached(&rig, short(1, 30, 10));
    assert_eq!(code(save(&rig, None, None)), ErrorCode::NotFound);
    assert_eq!(code(save(&Rig::free(), None, None)), ErrorCode::Unsupported);
}

#[test]
fn garbage_and_what_has_no_room_beside_what_runs_are_refused() {
    let saved = || {
        let rig = sharing();
        cached(&rig, short(1, 100, 10));
        save(&rig, None, None).expect("it is kept")
    };
    let rig =
        Rig::build(Limits { cells: 128, ..ScriptedEngine::sharing() }, 16, Gate::default(), |engine| engine);
    let error = load(&rig, SavedPrefix { cells: vec![1; 7], ..saved() }).expect_err("garbage");
    assert_eq!(error.code, ErrorCode::ModelInvalid);
    let running = rig.submit(short(501, 60, 10));
    rig.at_gate(1);
    let saved_first = saved();
    let loading = begin(&rig, move |cache| cache.load(saved_first));
    rig.run_freely();
    let error = loading.recv_timeout(PATIENCE).expect("an answer").expect_err("no room");
    assert_eq!(error.code, ErrorCode::Overloaded);
    assert_eq!(running.finished().0, counting(561, 10));
    assert_eq!(load(&rig, saved()), Ok(()), "what is kept makes room");
    assert_eq!(cached(&rig, short(1, 110, 10)), 109);
}

#[test]
fn what_is_in_memory_is_saved_too() {
    let rig = Rig::with_memory(Limits { cells: 128, ..ScriptedEngine::sharing() }, 1 << 20);
    cached(&rig, short(1, 60, 10));
    cached(&rig, short(501, 60, 10));
    rig.settle();
    assert_eq!(rig.model.stats().host_prefixes, 1);
    let saved = save(&rig, None, Some((1..=60).collect())).expect("it is in memory");
    assert_eq!(saved.tokens, (1..=60).collect::<Vec<u32>>());
    let other = sharing();
    load(&other, saved).expect("it loads");
    assert_eq!(cached(&other, short(1, 70, 10)), 60);
}

#[test]
fn an_adapter_takes_what_was_computed_under_it_along() {
    let under = |adapter: &str| Request { adapters: vec![(adapter.to_owned(), 1.0)], ..short(1, 30, 10) };
    let rig = sharing();
    cached(&rig, under("red"));
    let saved = save(&rig, None, None).expect("it is kept");
    assert_eq!(saved.adapters, [("red".to_owned(), 1.0)]);
    let other = sharing();
    load(&other, SavedPrefix { adapters: vec![("crimson".to_owned(), 1.0)], ..saved }).expect("it loads");
    assert_eq!(cached(&other, short(1, 30, 10)), 0);
    assert_eq!(cached(&other, under("crimson")), 29);
}
