//! Embeddings.

use rkllmjs_core::{Engine, ErrorCode, Token};
use rkllmjs_llama::EngineOptions;
use rkllmjs_synthetic::Kind;

use crate::support::{Bench, SyntheticModel, engine_options, plain};

/// Cosine distance.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn batch_equals_single(bench: &mut Bench, inputs: &[Vec<Token>]) {
    let together = bench.engine.embed(inputs).expect("vectors");
    assert_eq!(together.len(), inputs.len());
    for (input, vector) in inputs.iter().zip(&together) {
        assert_eq!(vector.len(), bench.model.embedding_size());
        let alone = bench.engine.embed(std::slice::from_ref(input)).expect("a vector");
        let distance = distance(&alone[0], vector);
        assert!(distance.abs() < 1e-4, "{distance}");
    }
    assert!(distance(&together[0], &together[1]) > 1e-3, "two texts have two vectors");
}

#[test]
fn embeddings_of_a_batch_are_those_of_each_text_alone() {
    let mut bench = Bench::tiny();
    let texts = ["What is the capital of France?", "My name is Alice.", "a", " dog", "Count from 9 to 21."];
    // More than one computation takes.
    let inputs: Vec<Vec<Token>> = texts.iter().cycle().take(23).map(|text| bench.tokens(text)).collect();
    batch_equals_single(&mut bench, &inputs);
    let prompt = bench.tokens("Who");
    let before = bench.first(&plain(), 1, &prompt).expect("a token").token;
    bench.engine.embed(&inputs).expect("vectors");
    assert_eq!(bench.first(&plain(), 1, &prompt).expect("a token").token, before);
    let error = bench.engine.embed(&[vec![1], Vec::new()]).expect_err("nothing to embed");
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    let error = bench.engine.embed(&[vec![1; 1025]]).expect_err("too long");
    assert_eq!(error.code, ErrorCode::ContextExceeded);
}

#[test]
fn an_encoder_embeds_and_does_not_generate() {
    let file = SyntheticModel::new(Kind::Embed, &rkllmjs_synthetic::Options::default());
    let options = EngineOptions {
        context: 512,
        model_pools: true,
        encoder_only: true,
        embeds_with_encoder: true,
        ..engine_options()
    };
    let mut bench = Bench::new(file.load(), options);
    batch_equals_single(&mut bench, &[vec![2, 900, 901, 3], vec![2, 1000, 3], vec![2, 7, 8, 9, 10, 3]]);
    let error = bench.open(&plain(), 0, &[2]).expect_err("it only reads");
    assert_eq!(error.code, ErrorCode::Unsupported);
}
