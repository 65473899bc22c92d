//! Reranking models whose files differ from the usual: labels, templates and heads that are not there.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::PathBuf;
use std::sync::mpsc::channel;

use rkllmjs_core::{Error, ErrorCode};
use rkllmjs_runtime::{Hooks, LoadOptions, Model, Ranking, RerankInput, load};
use rkllmjs_synthetic::{Data, Draft, Kind, Options, Tensor, Value, WeightType, draft};

/// A model that is there as long as this.
struct Loaded {
    model: Model,
    path: PathBuf,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.model.close();
        self.model.wait_closed();
        let _ = std::fs::remove_file(&self.path);
    }
}

fn model(name: &str, draft: &Draft, pooling: Option<&str>) -> Loaded {
    let path = std::env::temp_dir().join(format!("rkllmjs-rank-{name}-{}.gguf", std::process::id()));
    std::fs::write(&path, draft.to_bytes().expect("a file")).expect("temporary file");
    let options = LoadOptions {
        context_size: Some(256.0),
        threads: Some(1.0),
        pooling: pooling.map(str::to_owned),
        ..LoadOptions::default()
    };
    let model = load(&path, &options, &Hooks::default()).expect("a model");
    Loaded { model, path }
}

fn made(kind: Kind) -> Draft {
    let options = Options { weight_type: WeightType::F32, ..Options::default() };
    draft(kind, &options)
        .and_then(|draft| draft.to_bytes())
        .and_then(|bytes| Draft::parse(&bytes))
        .expect("a draft")
}

fn rank(loaded: &Loaded, documents: &[&str], instruction: Option<&str>) -> Result<Ranking, Error> {
    let (sender, receiver) = channel();
    let input = RerankInput {
        query: "what is it".to_owned(),
        documents: documents.iter().map(|&text| text.to_owned()).collect(),
        instruction: instruction.map(str::to_owned),
        top_n: None,
    };
    loaded.model.rerank(input, move |ranking| sender.send(ranking).expect("somebody waits"));
    receiver.recv().expect("an answer")
}

/// The scores in the order of the documents.
fn scores(loaded: &Loaded, documents: &[&str], instruction: Option<&str>) -> Vec<f64> {
    let mut results = rank(loaded, documents, instruction).expect("a ranking").results;
    results.sort_by_key(|&(place, _)| place);
    results.into_iter().map(|(_, score)| score).collect()
}

fn vector(loaded: &Loaded, text: &str) -> Vec<f32> {
    let (sender, receiver) = channel();
    loaded.model.embed(vec![text.to_owned()], move |made| sender.send(made).expect("somebody waits"));
    receiver.recv().expect("an answer").expect("a vector").0.remove(0)
}

/// The rows of an f32 matrix times `vector`.
fn products(draft: &mut Draft, name: &str, vector: &[f32]) -> Vec<f64> {
    let Some(Tensor { data: Data::Bytes(bytes), .. }) = draft.tensor_mut(name) else { return Vec::new() };
    let values: Vec<f32> =
        bytes.chunks_exact(4).filter_map(|four| four.try_into().ok().map(f32::from_le_bytes)).collect();
    let row = |row: &[f32]| row.iter().zip(vector).map(|(a, b)| f64::from(a * b)).sum();
    values.chunks(vector.len()).map(row).collect()
}

fn refusal(name: &str, kind: Kind, change: impl Fn(&mut Draft)) -> String {
    let mut draft = made(kind);
    change(&mut draft);
    let error = rank(&model(name, &draft, None), &["a"], None).expect_err("it cannot rank");
    assert_eq!(error.code, ErrorCode::Unsupported, "{error:?}");
    error.message
}

/// A template that a text for `embed` can be spelled like.
const PLAIN: &str = "<s>{instruction} / {query} / {document}";

#[test]
fn a_decoder_gives_the_softmax_of_its_labels_after_the_last_token() {
    let mut draft = made(Kind::Rerank);
    draft.set("tokenizer.chat_template.rerank", PLAIN);
    let ranks = model("decoder", &draft, None);
    let embeds = model("decoder-vectors", &draft, Some("last"));
    let documents = ["a cat and a dog", "the capital of France", "it is {query}"];
    let found = scores(&ranks, &documents, Some("Be strict"));
    for (document, found) in documents.iter().zip(found) {
        let hidden = vector(&embeds, &format!("Be strict / what is it / {document}"));
        let logits = products(&mut draft, "cls.output.weight", &hidden);
        let [yes, no]: [f64; 2] = logits.try_into().expect("two labels");
        let expected = 1.0 / (1.0 + f64::exp(no - yes));
        // Three at once are computed a little differently from one.
        assert!((found - expected).abs() < 2e-3, "{document}: {found} and {expected}");
    }
    assert_ne!(scores(&ranks, &documents, None), scores(&ranks, &documents, Some("Be strict")));
}

#[test]
fn a_template_without_a_place_for_the_instruction_takes_none() {
    let loaded = model("fixed", &made(Kind::Rerank), None);
    let error = rank(&loaded, &["a"], Some("Be strict")).expect_err("no place for it");
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(error.message.contains("knows one task"), "{}", error.message);
}

#[test]
fn flags_of_the_vocabulary_say_what_stands_between_the_texts() {
    let mut draft = made(Kind::Rerank);
    draft.remove("tokenizer.chat_template.rerank");
    let count = |name: &str, draft: &Draft| {
        rank(&model(name, draft, None), &["b"], None).expect("a ranking").prompt_tokens
    };
    draft.set("tokenizer.ggml.add_eos_token", true);
    let parted = count("eos", &draft);
    draft.set("tokenizer.ggml.seperator_token_id", 5);
    draft.set("tokenizer.ggml.add_sep_token", true);
    assert_eq!(count("sep", &draft), parted + 1);
    draft.set("tokenizer.ggml.add_bos_token", false);
    assert_eq!(count("no-bos", &draft), parted);
    draft.set("tokenizer.ggml.add_sep_token", false);
    draft.set("tokenizer.ggml.add_eos_token", false);
    let error = rank(&model("unparted", &draft, None), &["b"], None).expect_err("one text");
    assert!(error.message.contains("nor a token that parts"), "{}", error.message);
}

#[test]
fn a_head_that_gives_no_score_is_refused_by_its_reason() {
    let labels = |draft: &mut Draft| {
        for name in ["cls.output.weight", "cls.output.bias"] {
            let tensor = draft.tensor_mut(name).expect("a layer");
            *tensor.dims.last_mut().expect("rows") = 2;
            if let Data::Bytes(bytes) = &mut tensor.data {
                bytes.extend_from_within(..);
            }
        }
        let names = vec!["entailment".to_owned(), "neutral".to_owned()];
        draft.set("bert.classifier.output_labels", Value::Strings(names));
    };
    assert!(refusal("labels", Kind::CrossEncoder, labels).contains("2 labels apart (entailment, neutral)"));
    let without = |draft: &mut Draft| draft.tensors.retain(|tensor| !tensor.name.starts_with("cls."));
    assert!(refusal("headless", Kind::CrossEncoder, without).contains("has no head"));
    let only_first =
        |draft: &mut Draft| draft.tensors.retain(|tensor| !tensor.name.starts_with("cls.output"));
    assert!(refusal("first-alone", Kind::CrossEncoder, only_first).contains("lacks the last layer"));
    let swapped = |draft: &mut Draft| {
        let names = vec!["no".to_owned(), "yes".to_owned()];
        draft.set("qwen3.classifier.output_labels", Value::Strings(names));
    };
    assert!(refusal("swapped", Kind::Rerank, swapped).contains("first label of its head is not \"yes\""));
    let placeless = |draft: &mut Draft| draft.set("tokenizer.chat_template.rerank", "{query}");
    assert!(refusal("placeless", Kind::Rerank, placeless).contains("no place for {query} or for {document}"));
}

#[test]
fn a_chat_model_that_pools_by_rank_and_has_no_head_is_asked() {
    let mut draft = made(Kind::Rerank);
    draft.tensors.retain(|tensor| tensor.name != "cls.output.weight");
    let loaded = model("asked", &draft, None);
    assert_eq!(loaded.model.info()["ranksWith"], "answer");
    assert_eq!(scores(&loaded, &["a", "b"], Some("Be strict")).len(), 2);
}
