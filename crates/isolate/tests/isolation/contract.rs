use std::sync::Arc;

use rkllmjs_core::contract::{ContractInput, engine_contract};
use rkllmjs_core::{Engine, ErrorCode, NativeCall, NativeReply};
use rkllmjs_isolate::{IsolatedEngine, Watch};

use super::child::{launch, start};

#[test]
fn the_contract_of_engines_holds_in_a_child() {
    let input = ContractInput { prompts: vec![vec![1, 2, 3], vec![20, 21, 22, 23]], answer_tokens: 8 };
    let mut engine = || -> Box<dyn Engine> { Box::new(start("plain").expect("an engine").0) };
    assert_eq!(engine_contract(&mut engine, &input), Ok(()));
}

#[test]
fn the_loader_says_what_it_found_how_far_it_is_and_what_it_logs() {
    let (engine, facts, log) = start("plain").expect("an engine");
    assert!(facts.starts_with("plain "));
    assert!(log.lock().expect("the log").contains(&"warn loading".to_owned()));
    assert_eq!(engine.limits().sequences, 4);
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let progress = Arc::clone(&heard);
    let watch = Watch {
        progress: Arc::new(move |fraction| progress.lock().expect("the list").push(fraction)),
        ..Watch::default()
    };
    IsolatedEngine::start(launch(), &"plain", watch).expect("an engine");
    assert_eq!(*heard.lock().expect("the list"), [0.5]);
}

#[test]
fn numbers_arrive_as_they_were_made_and_too_many_are_refused() {
    let (mut engine, ..) = start("plain").expect("an engine");
    assert_eq!(
        engine.embed(&[vec![1, 2], vec![3]]),
        Ok(vec![vec![2.0, f32::NEG_INFINITY], vec![1.0, f32::NEG_INFINITY]])
    );
    assert_eq!(engine.rank(&[vec![1, 2], vec![3]]), Ok(vec![1.5, 0.5]));
    let error = engine.native(NativeCall::Logits(vec![1])).expect_err("it is larger than a frame");
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    assert_eq!(engine.native(NativeCall::CacheSize), Ok(NativeReply::Count(0)), "the child lives");
}

#[test]
fn adapters_are_loaded_and_unloaded_in_the_child() {
    let (mut engine, ..) = start("plain").expect("an engine");
    engine.load_adapter("a", "a.gguf".as_ref(), 1.0).expect("loaded");
    assert_eq!(engine.native(NativeCall::CacheSize), Ok(NativeReply::Count(1)));
    assert_eq!(engine.unload_adapter("a"), Ok(true));
    assert_eq!(engine.unload_adapter("a"), Ok(false));
}
