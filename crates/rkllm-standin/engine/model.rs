//! A model on the stand-in, opened by the engine.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rkllmjs_core::{
    Engine, GenerateOptions, ModelHandle, ModelSettings, Outcome, Request, Special, Token, Tokenizer,
};
use rkllmjs_llama::{LoadOptions, Model};
use rkllmjs_rkllm::library::{Library, Search};
use rkllmjs_rkllm::{EngineOptions, HandleSampling, ImageTags, RkllmEngine, RuntimeLog, SessionSettings};
use rkllmjs_rkllm_standin::model_file::wrap;

use crate::FILE;

const CONTEXT: u32 = 512;

/// The library that cargo has built for this test.
pub(crate) fn library() -> &'static Library {
    let test = std::env::current_exe().expect("the test's own file");
    let folder = test.parent().expect("its folder");
    let file = [folder.join(FILE), folder.join("..").join(FILE)].into_iter().find(|file| file.is_file());
    let file = file.expect("the library beside the test");
    Library::find(&Search { library_path: Some(&file), ..Search::default() }).expect("a library")
}

fn gguf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/tiny/rkllmjs-tiny-q8_0.gguf")
}

/// The bundled model's vocabulary.
pub(crate) fn vocabulary() -> Arc<Model> {
    Model::load(&gguf(), &LoadOptions::default(), |_| true).expect("the bundled model")
}

/// The tokens of `texts`. What the model says to them should be far from a tie: this engine has no log
/// probabilities to tell one by.
pub(crate) fn tokens(texts: &[&str]) -> Vec<Vec<Token>> {
    let model = vocabulary();
    let special = Special { add: true, parse: true };
    texts.iter().map(|text| model.tokenize(text, special).expect("tokens")).collect()
}

/// The bundled model as the stand-in reads it; removed when dropped.
pub(crate) struct ModelFile(PathBuf);

impl ModelFile {
    pub(crate) fn tiny() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rkllmjs-{}-{number}.rkllm", std::process::id()));
        wrap(&gguf(), &path).expect("a model file");
        Self(path)
    }

    /// An engine that always picks the most likely token, and reads text off the runtime.
    pub(crate) fn engine(&self) -> RkllmEngine {
        self.engine_with(None)
    }

    /// The same, with a vocabulary of its own.
    pub(crate) fn engine_with(&self, tokenizer: Option<Arc<dyn Tokenizer>>) -> RkllmEngine {
        let sampling =
            HandleSampling { top_k: 1, temperature: 0.0, repeat_penalty: 1.0, ..HandleSampling::default() };
        let session = SessionSettings {
            model_path: CString::new(self.0.as_os_str().as_bytes()).expect("no NUL"),
            context: CONTEXT,
            sampling,
            keep: -1,
            skip_special_tokens: true,
            ignore_end: false,
            image_tags: ImageTags::default(),
            npu_domain: 0,
            embed_flash: true,
            cpu_mask: 1,
            log: RuntimeLog::Output,
        };
        let options = EngineOptions { session, embedding_length: None, tokenizer, chat_template: None };
        RkllmEngine::new(library(), options).expect("an engine")
    }

    pub(crate) fn handle(&self) -> ModelHandle {
        ModelHandle::start(Box::new(self.engine()), ModelSettings::default()).expect("a model")
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A greedy request for at most `max_tokens`.
pub(crate) fn request(model: &ModelHandle, max_tokens: u32) -> Request {
    let options = GenerateOptions { max_tokens: Some(f64::from(max_tokens)), ..GenerateOptions::default() };
    let built = options.build(&model.limits().options, 1024, 0).expect("the defaults");
    let prompt = tokens(&["Once upon a time"]).remove(0);
    Request { prompt, ..built }
}

/// The text and the end of an answer.
pub(crate) fn answer(model: &ModelHandle, max_tokens: u32) -> (String, Outcome) {
    let generation = model.submit(request(model, max_tokens)).expect("a place");
    let outcome = generation.wait();
    (generation.text(0), outcome)
}

/// Makes sure that the type is what the contract takes.
pub(crate) fn boxed(engine: RkllmEngine) -> Box<dyn Engine> {
    Box::new(engine)
}
