//! Every malformed file of the corpus, in one process: a typed error or an answer, and the intact
//! file still loads after each.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod folder;

use std::path::Path;

use folder::Folder;
use rkllmjs_chat::{Messages, RenderOptions};
use rkllmjs_core::{ErrorCode, GenerateOptions, Outcome, Special};
use rkllmjs_runtime::{Hooks, LoadOptions, Model, PromptInput, RerankInput, load};
use rkllmjs_synthetic::{BadFile, Expect, Kind, Options, WeightType, corpus, draft};

fn small() -> LoadOptions {
    LoadOptions {
        context_size: Some(128.0),
        max_sequences: Some(2.0),
        threads: Some(1.0),
        ..Default::default()
    }
}

fn answer(model: &Model, prompt: PromptInput) -> Outcome {
    let options = GenerateOptions { max_tokens: Some(4.0), ..Default::default() };
    model.generate(prompt, &options, Box::new(|| {})).expect("a place in the queue").wait()
}

/// Does with a model what a user would; whatever fails must fail with a code.
fn use_model(model: &Model) {
    let _ = model.tokenize("Hello wörld, <|im_end|> 日本 \u{1F600}", Special { add: true, parse: true });
    let _ = answer(model, PromptInput::Text("Hello wörld, 日本 \u{1F600}".to_owned()));
    let _ = answer(model, PromptInput::Tokens(vec![1, 5, 9]));
    let messages = Messages::from_json(r#"[{"role":"user","content":"Hi"}]"#).expect("messages");
    let began = std::time::Instant::now();
    let _ = answer(model, PromptInput::Messages(messages, RenderOptions::default(), Vec::new()));
    assert!(began.elapsed().as_secs() < 5, "a template held a request for {:?}", began.elapsed());
    let (sender, receiver) = std::sync::mpsc::channel();
    model.embed(vec!["Hello".to_owned()], move |result| {
        let _ = sender.send(result.is_ok());
    });
    receiver.recv().expect("an answer to embed");
    let (sender, receiver) = std::sync::mpsc::channel();
    let texts = || vec!["Hello".to_owned(), "<|im_end|> 日本".to_owned()];
    let input = RerankInput { query: "Hello".to_owned(), documents: texts(), ..RerankInput::default() };
    model.rerank(input, move |ranking| {
        let _ = sender.send(ranking.is_ok());
    });
    receiver.recv().expect("an answer to rerank");
}

fn loads_and_answers(path: &Path) {
    let model = load(path, &small(), &Hooks::default()).expect("the intact file loads");
    let outcome = answer(&model, PromptInput::Text("Hello".to_owned()));
    assert_eq!(outcome.error, None);
    model.close();
    model.wait_closed();
}

/// Loads a file of the corpus and uses it, if that is what it is for.
fn try_file(path: &Path, bad: &BadFile) {
    match load(path, &small(), &Hooks::default()) {
        Err(error) => {
            let typed = [ErrorCode::ModelInvalid, ErrorCode::Unsupported, ErrorCode::InsufficientMemory];
            assert!(typed.contains(&error.code), "{}: {:?}", bad.name, error);
            assert!(error.message.contains("bad.gguf") || error.code != ErrorCode::ModelInvalid, "{error:?}");
        }
        Ok(model) => {
            assert_eq!(bad.expect, Expect::Loads, "{} was loaded: {}", bad.name, bad.why);
            use_model(&model);
            model.close();
            model.wait_closed();
        }
    }
}

fn trace(bad: &BadFile) {
    if std::env::var("RKLLMJS_CORPUS_TRACE").is_ok() {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "{} ({})", bad.name, bad.expect);
    }
}

#[test]
fn malformed_files_are_typed_errors_and_the_process_lives_on() {
    let folder = Folder::new("hostile");
    let options = Options { weight_type: WeightType::Q8_0, ..Options::default() };
    let base = draft(Kind::Micro, &options).and_then(|draft| draft.to_bytes()).expect("a small model");
    let intact = folder.write("intact.gguf", &base);
    let mut count = 0;
    for bad in corpus(&base).expect("corpus") {
        trace(&bad);
        try_file(&folder.write("bad.gguf", &bad.bytes), &bad);
        loads_and_answers(&intact);
        count += 1;
    }
    assert!(count >= 60, "only {count} files");
}

#[test]
fn malformed_heads_are_typed_errors_and_the_process_lives_on() {
    let folder = Folder::new("hostile-heads");
    let options = Options { layers: Some(1), ..Options::default() };
    let mut count = 0;
    for kind in [Kind::CrossEncoder, Kind::Rerank] {
        let base = draft(kind, &options).and_then(|draft| draft.to_bytes()).expect("a small model");
        for bad in corpus(&base).expect("corpus").filter(|bad| bad.name.starts_with("rank-head-")) {
            trace(&bad);
            try_file(&folder.write("bad.gguf", &bad.bytes), &bad);
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} files");
}
