//! Images as rows, and rows in the place of tokens.

use std::cell::Cell;
use std::sync::Arc;

use rkllmjs_core::{
    Engine, ErrorCode, FIRST_ROW_TOKEN, GenerateOptions, Medium, Request, RowAttention, RowPlaces, Run,
    StepOutcome, Token, Tokenizer,
};
use rkllmjs_llama::{EngineOptions, MediumPart, Model, Pixels, Projector, ProjectorOptions};
use rkllmjs_synthetic::{Data, Draft, Kind, Options, WeightType, draft};

use crate::support::{Bench, SyntheticModel, Taken, engine_options, greedy, tiny};

const WIDTH: u32 = 256;

fn projector(model: &Arc<Model>, kind: Kind, width: u32) -> Projector {
    let file = SyntheticModel::new(kind, &Options { width, ..Options::default() });
    let options = ProjectorOptions { threads: 1, gpu: false, rows: None, log: None };
    Projector::load(model, file.path(), &options, &|| false).expect("the projector loads")
}

/// The bytes of an image of one colour.
fn plain(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    (0..width * height).flat_map(|_| colour).collect()
}

fn read(projector: &mut Projector, colour: [u8; 3]) -> Vec<MediumPart> {
    let bytes = plain(40, 20, colour);
    let pixels = Pixels::new(40, 20, &bytes).expect("an image");
    projector.read(pixels, 1000, &|| false).expect("it is read")
}

#[test]
fn an_image_becomes_the_same_rows_every_time_and_another_one_others() {
    let mut projector = projector(&tiny(), Kind::Projector, WIDTH);
    let red = read(&mut projector, [255, 0, 0]);
    let [MediumPart::Rows(rows, RowAttention::Causal, RowPlaces::Line)] = red.as_slice() else {
        panic!("{red:?}")
    };
    assert_eq!(rows.len(), 16 * WIDTH as usize);
    assert_eq!(read(&mut projector, [255, 0, 0]), red);
    let MediumPart::Rows(blue, ..) = &read(&mut projector, [0, 0, 255])[0] else { panic!("no rows") };
    let apart = rows.iter().zip(blue).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 0.01, "{apart}");
}

#[test]
fn rows_that_see_each_other_stand_between_the_tokens_that_their_model_knows() {
    let model = tiny();
    let parts = read(&mut projector(&model, Kind::ProjectorGemma3, WIDTH), [0, 255, 0]);
    let [
        MediumPart::Tokens(before),
        MediumPart::Rows(rows, RowAttention::Mutual, RowPlaces::Line),
        MediumPart::Tokens(after),
    ] = parts.as_slice()
    else {
        panic!("{parts:?}")
    };
    assert_eq!(rows.len(), 4 * WIDTH as usize);
    let text = |tokens: &[Token]| model.detokenize(tokens);
    assert_eq!((text(before).trim(), text(after).trim()), ("<start_of_image>", "<end_of_image>"));
}

#[test]
fn what_is_no_image_makes_no_pixels() {
    let bytes = plain(4, 4, [1, 2, 3]);
    for (width, height) in [(0, 4), (4, 0), (4, 5), (3, 4), (u32::MAX, u32::MAX)] {
        assert!(Pixels::new(width, height, &bytes).is_none(), "{width} × {height}");
    }
    assert!(Pixels::new(4, 4, &bytes).is_some());
}

#[test]
fn an_image_with_more_rows_than_there_is_room_is_refused_before_they_are_computed() {
    let mut projector = projector(&tiny(), Kind::Projector, WIDTH);
    let bytes = plain(40, 20, [9, 9, 9]);
    let refused = projector.read(Pixels::new(40, 20, &bytes).expect("an image"), 15, &|| false);
    assert_eq!(refused.expect_err("16 rows").code, ErrorCode::ContextExceeded);
}

#[test]
fn work_on_an_image_stops_when_it_is_told_to_and_goes_on_afterwards() {
    let mut projector = projector(&tiny(), Kind::Projector, WIDTH);
    let whole = read(&mut projector, [7, 7, 7]);
    let (bytes, asked) = (plain(40, 20, [7, 7, 7]), Cell::new(0));
    let stop = || {
        asked.set(asked.get() + 1);
        true
    };
    let stopped = projector.read(Pixels::new(40, 20, &bytes).expect("an image"), 1000, &stop);
    assert_eq!(stopped.expect_err("it was stopped").code, ErrorCode::Unavailable);
    assert!(asked.get() > 0);
    assert_eq!(read(&mut projector, [7, 7, 7]), whole);
}

#[test]
fn a_projector_of_another_width_or_a_file_of_another_kind_does_not_load() {
    let options = ProjectorOptions { threads: 1, gpu: false, rows: None, log: None };
    let other = SyntheticModel::new(Kind::Projector, &Options { width: 64, ..Options::default() });
    let refused = Projector::load(&tiny(), other.path(), &options, &|| false);
    assert_eq!(refused.expect_err("another width").code, ErrorCode::ModelInvalid);
    let missing = Projector::load(&tiny(), "no/such/file.gguf".as_ref(), &options, &|| false);
    assert_eq!(missing.expect_err("no file").code, ErrorCode::ModelInvalid);
    let stopped = Projector::load(&tiny(), other.path(), &options, &|| true);
    assert_eq!(stopped.expect_err("it was stopped").code, ErrorCode::Unavailable);
}

/// A small model whose embeddings are known: for each token its row.
fn model_with_embeddings() -> (SyntheticModel, Vec<Vec<f32>>) {
    let options = Options { weight_type: WeightType::F32, ..Options::default() };
    let bytes = draft(Kind::Micro, &options).and_then(|draft| draft.to_bytes()).expect("a model");
    let mut read = Draft::parse(&bytes).expect("the same model");
    let Some(Data::Bytes(bytes)) = read.tensor_mut("token_embd.weight").map(|tensor| &tensor.data) else {
        panic!("the model has no embeddings")
    };
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
    let rows = values.chunks(64).map(<[f32]>::to_vec).collect();
    (SyntheticModel::new(Kind::Micro, &options), rows)
}

fn small_options() -> EngineOptions {
    EngineOptions { cells: 1024, sequences: 4, batch: 512, ..engine_options() }
}

fn medium(first: u32, rows: &[Vec<f32>], attention: RowAttention) -> Arc<Medium> {
    let values = rows.iter().flatten().copied().collect();
    Arc::new(Medium::new(FIRST_ROW_TOKEN + first, 64, values, attention).expect("rows"))
}

fn asking(bench: &Bench, media: Vec<Arc<Medium>>) -> Request {
    let options = GenerateOptions { logprobs: Some(true), top_logprobs: Some(5.0), ..greedy() };
    let support = &bench.engine.limits().options;
    let built = options.build(support, bench.model.vocabulary_size(), 0).expect("the options");
    Request { media, ..built }
}

/// What follows a prompt whose runs are these stretches of it.
fn after(bench: &mut Bench, request: &Request, stretches: &[&[Token]]) -> Taken {
    let prompt = stretches.concat();
    let sequence = bench.open_request(request, &prompt).expect("it opens");
    let mut start = 0;
    let mut taken = None;
    for (number, &tokens) in stretches.iter().enumerate() {
        let sample = number + 1 == stretches.len();
        let (outcome, mut tray) = bench.step(vec![Run { sequence, start, tokens, sample, drafted: 0 }]);
        assert_eq!(outcome, StepOutcome::Done);
        start += u32::try_from(tokens.len()).expect("a short prompt");
        taken = tray.0.pop();
    }
    bench.engine.release(sequence);
    taken.expect("a token").1.expect("no failure")
}

fn logprobs(taken: &Taken) -> Vec<(Token, f32)> {
    let known = taken.logprob.as_ref().expect("log probabilities");
    known.top.iter().map(|top| (top.token, top.logprob)).collect()
}

#[test]
fn rows_that_are_embeddings_of_tokens_say_what_the_tokens_say() {
    let (file, rows) = model_with_embeddings();
    let mut bench = Bench::new(file.load(), small_options());
    let tokens: [Token; 12] = std::array::from_fn(|i| 300 + 7 * i as Token);
    let middle: Vec<Vec<f32>> = tokens[4..9].iter().map(|&token| rows[token as usize].clone()).collect();
    let medium = medium(0, &middle, RowAttention::Causal);
    let row_tokens: Vec<Token> = medium.tokens().collect();
    let plain = asking(&bench, Vec::new());
    let seeing = asking(&bench, vec![medium]);
    let expected = logprobs(&after(&mut bench, &plain, &[&tokens]));
    for stretches in [
        vec![&tokens[..4], &row_tokens, &tokens[9..]],
        vec![&tokens[..4], &row_tokens[..2], &row_tokens[2..], &tokens[9..]],
    ] {
        let taken = logprobs(&after(&mut bench, &seeing, &stretches));
        for (known, other) in expected.iter().zip(&taken) {
            assert_eq!(known.0, other.0);
            assert!((known.1 - other.1).abs() < 1e-3, "{expected:?} {taken:?}");
        }
    }
    let at_the_end = logprobs(&after(&mut bench, &seeing, &[&tokens[..4], &row_tokens]));
    let same = logprobs(&after(&mut bench, &plain, &[&tokens[..9]]));
    assert_eq!(at_the_end[0].0, same[0].0, "a prompt may end with rows");
    assert!((at_the_end[0].1 - same[0].1).abs() < 1e-3);
}

#[test]
fn rows_that_see_each_other_say_something_else_than_those_that_do_not() {
    let (file, rows) = model_with_embeddings();
    let mut bench = Bench::new(file.load(), small_options());
    let tokens: Vec<Token> = (0..4).map(|i| 400 + i).collect();
    let mut said = Vec::new();
    for attention in [RowAttention::Causal, RowAttention::Mutual, RowAttention::Causal] {
        let medium = medium(0, &rows[500..510], attention);
        let row_tokens: Vec<Token> = medium.tokens().collect();
        let request = asking(&bench, vec![medium]);
        said.push(logprobs(&after(&mut bench, &request, &[&tokens, &row_tokens, &tokens])));
    }
    assert_eq!(said[0], said[2], "and the mask is what it was before");
    assert_ne!(said[0], said[1]);
}

#[test]
fn rows_run_beside_tokens_of_others() {
    let (file, rows) = model_with_embeddings();
    let mut bench = Bench::new(file.load(), small_options());
    let medium = medium(0, &rows[600..606], RowAttention::Causal);
    let row_tokens: Vec<Token> = medium.tokens().collect();
    let (plain, seeing) = (asking(&bench, Vec::new()), asking(&bench, vec![medium]));
    let text: Vec<Token> = (0..5).map(|i| 700 + i).collect();
    let alone = (after(&mut bench, &plain, &[&text]), after(&mut bench, &seeing, &[&row_tokens]));
    let first = bench.open_request(&plain, &text).expect("it opens");
    let second = bench.open_request(&seeing, &row_tokens).expect("it opens");
    let run = |sequence, tokens| Run { sequence, start: 0, tokens, sample: true, drafted: 0 };
    let (outcome, tray) = bench.step(vec![run(first, &text), run(second, &row_tokens)]);
    assert_eq!((outcome, tray.0.len()), (StepOutcome::Done, 2));
    for (sequence, taken) in tray.0 {
        let alone = if sequence == first { &alone.0 } else { &alone.1 };
        let (known, taken) = (logprobs(alone), logprobs(&taken.expect("a token")));
        assert!((known[0].1 - taken[0].1).abs() < 0.01 && known[0].0 == taken[0].0, "{known:?} {taken:?}");
    }
}

#[test]
fn rows_that_nobody_brought_and_rows_of_another_width_are_refused() {
    let (file, _) = model_with_embeddings();
    let mut bench = Bench::new(file.load(), small_options());
    let plain = asking(&bench, Vec::new());
    let refused = bench.open_request(&plain, &[1, FIRST_ROW_TOKEN]);
    assert_eq!(refused.expect_err("no such row").code, ErrorCode::InvalidRequest);
    let wide = Arc::new(Medium::new(FIRST_ROW_TOKEN, 8, vec![0.0; 8], RowAttention::Causal).expect("a row"));
    let seeing = asking(&bench, vec![wide]);
    assert_eq!(bench.open_request(&seeing, &[1]).expect_err("too narrow").code, ErrorCode::Internal);
    let many = medium(0, &vec![vec![0.0; 64]; 513], RowAttention::Mutual);
    let seeing = asking(&bench, vec![many]);
    let error = bench.open_request(&seeing, &[1]).expect_err("too many to compute at once");
    assert_eq!((error.code, error.option), (ErrorCode::Unsupported, Some("batch_size")));
}
