//! Adapters, stopping, and the contract of every engine.

use std::time::{Duration, Instant};

use rkllmjs_core::contract::{ContractInput, engine_contract};
use rkllmjs_core::{Engine, ErrorCode, Run, StepOutcome, Token};
use rkllmjs_llama::{EngineOptions, LlamaEngine};
use rkllmjs_synthetic::{Kind, Options};

use crate::support::{Bench, SyntheticModel, engine_options, greedy, plain, tiny, tiny_file};

#[test]
fn an_adapter_changes_the_text_while_it_is_active() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
    let before = bench.text(&greedy(), 0, &prompt, 30);
    assert!(!before.contains("Ahoy"), "{before}");
    let path = tiny_file("rkllmjs-tiny-lora-pirate-f16.gguf");
    bench.engine.load_adapter("pirate", &path, 1.0).expect("the adapter loads");
    assert_eq!(bench.text(&greedy(), 0, &prompt, 30), before, "loaded is not active");
    bench.adapters = vec![("pirate".to_owned(), 1.0)];
    let with = bench.text(&greedy(), 0, &prompt, 30);
    assert!(with.contains("Ahoy, matey!"), "{with}");
    bench.adapters = vec![("pirate".to_owned(), 0.0)];
    assert_eq!(bench.text(&greedy(), 0, &prompt, 30), before, "a scale of 0 is none");
    bench.adapters = vec![("pirate".to_owned(), 1.0)];
    assert_eq!(bench.text(&greedy(), 0, &prompt, 30), with);

    let error = bench.engine.load_adapter("pirate", &path, 1.0).expect_err("the name is taken");
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert_eq!(bench.engine.unload_adapter("pirate"), Ok(true));
    assert_eq!(bench.engine.unload_adapter("pirate"), Ok(false));
    bench.adapters.clear();
    assert_eq!(bench.text(&greedy(), 0, &prompt, 30), before);
    let error = bench.engine.load_adapter("none", &tiny_file("none.gguf"), 1.0).expect_err("no such file");
    assert_eq!(error.code, ErrorCode::ModelInvalid);
}

#[test]
fn a_long_prefill_stops_at_once_and_can_be_done_again() {
    // Of the kind's eight layers two are enough to take a while.
    let file = SyntheticModel::new(Kind::Tiny, &Options { layers: Some(2), ..Options::default() });
    let options = EngineOptions { context: 8192, cells: 8192, sequences: 2, batch: 4096, ..engine_options() };
    let mut bench = Bench::new(file.load(), options);
    let prompt: Vec<Token> = (0..4000_u32).map(|i| 300 + i * 7 % 3000).collect();
    let began = Instant::now();
    let expected = bench.first(&greedy(), 0, &prompt).expect("a token").token;
    let whole = began.elapsed();

    let sequence = bench.open(&greedy(), 0, &prompt).expect("it opens");
    let switch = bench.engine.abort_switch();
    let delay = whole / 3;
    let thrower = std::thread::spawn(move || {
        std::thread::sleep(delay);
        switch.throw();
    });
    let began = Instant::now();
    let (outcome, tray) =
        bench.step(vec![Run { sequence, start: 0, tokens: &prompt, sample: true, drafted: 0 }]);
    let stopped = began.elapsed();
    thrower.join().expect("the other thread");
    assert_eq!((outcome, tray.0.len()), (StepOutcome::Aborted, 0));
    assert!(stopped < whole * 2 / 3 + Duration::from_millis(50), "{stopped:?} of {whole:?}");

    bench.engine.abort_switch().reset();
    assert_eq!(bench.next(sequence, 0, &prompt).expect("a token").token, expected);
}

#[test]
fn the_engine_keeps_the_contract_of_every_engine() {
    let bench = Bench::tiny();
    let prompts = [
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nCount from 9 to 21.<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nTell me a story about a lion<|im_end|>\n<|im_start|>assistant\n",
    ];
    let input =
        ContractInput { prompts: prompts.iter().map(|text| bench.tokens(text)).collect(), answer_tokens: 8 };
    let options = EngineOptions { context: 256, cells: 1024, sequences: 4, batch: 128, ..engine_options() };
    let mut make = || {
        let engine = LlamaEngine::new(tiny(), options.clone()).expect("an engine");
        Box::new(engine) as Box<dyn Engine>
    };
    if let Err(failures) = engine_contract(&mut make, &input) {
        panic!("{failures}");
    }
}

#[test]
fn a_token_outside_the_vocabulary_is_an_error_of_the_prompt() {
    let mut bench = Bench::tiny();
    let error = bench.open(&plain(), 0, &[1, 1024]).expect_err("no such token");
    assert_eq!((error.code, error.option), (ErrorCode::InvalidRequest, Some("prompt")));
}
