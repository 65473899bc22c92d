use rkllmjs_core::contract::{ContractInput, engine_contract};

use super::child;
use super::model::{ModelFile, answer, boxed, tokens, vocabulary};

/// Ways in which a runtime may behave that an engine must not mind.
const BENIGN: [&str; 8] = [
    "noise",
    "freed-results",
    "waiting",
    "null-finish",
    "reserved-garbage",
    "pause-forgets",
    "slow-token=5",
    "noise,freed-results,waiting,null-finish,reserved-garbage,pause-forgets",
];

#[test]
fn the_contract_of_engines_holds() {
    let model = ModelFile::tiny();
    let input = ContractInput {
        prompts: tokens(&["Once upon a time", " horse horse horse", "The capital of France is"]),
        answer_tokens: 8,
    };
    assert_eq!(engine_contract(&mut || boxed(model.engine_with(Some(vocabulary()))), &input), Ok(()));
}

#[test]
fn the_contract_holds_under_every_benign_trap() {
    for trap in BENIGN {
        child::passes("engine::contract::the_contract_of_engines_holds", trap);
    }
}

#[test]
fn the_same_answer_comes_under_every_benign_trap() {
    let model = ModelFile::tiny();
    let (text, outcome) = answer(&model.handle(), 40);
    assert_eq!(outcome.error, None);
    if child::is_trapped() {
        println!("answer: {text:?}");
        return;
    }
    for trap in BENIGN {
        let name = "engine::contract::the_same_answer_comes_under_every_benign_trap";
        let (status, output) = child::run(name, trap);
        assert!(status.success(), "{trap}: {output}");
        assert!(output.contains(&format!("answer: {text:?}")), "{trap}: {output}");
    }
}
