//! A scripted model: it needs no weights and says what it was given.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rkllmjs_core::{FinishReason, GenerateOptions, ModelHandle, ModelSettings, Request, Token};
use rkllmjs_rkllm::library::{Library, Search};
use rkllmjs_rkllm::{EngineOptions, HandleSampling, ImageTags, RkllmEngine, RuntimeLog, SessionSettings};
use rkllmjs_rkllm_standin::model_file::write_scripted;

const CONTEXT: u32 = 1024;
/// Numbers of a scripted hidden state.
const EMBEDDING: u32 = 8;
/// Bytes, and the end.
const VOCABULARY: u32 = 257;

/// Begins each time the model begins, and never else.
const BEGINNING: char = '#';
/// Characters of one, two, three and four bytes: some of them are cut in the middle.
const SENTENCE: &str = "one two; zwölf, düne; 漢字と仮名 🦙! ";
/// So long that a reader who stops keeps the model from ending.
const SENTENCES: usize = 8;

pub(crate) struct Scripted {
    library: &'static Library,
    model: PathBuf,
    pub(crate) prompt_cache: PathBuf,
    script: String,
}

impl Scripted {
    pub(crate) fn new(library: &Path, folder: &Path) -> Self {
        let search = Search { library_path: Some(library), ..Search::default() };
        let library = Library::find(&search).expect("a library");
        let script = format!("{BEGINNING}{}", SENTENCE.repeat(SENTENCES));
        let model = folder.join("scripted.rkllm");
        write_scripted(&script, &model).expect("a model file");
        Self { library, model, prompt_cache: folder.join("prompt.cache"), script }
    }

    /// A model that runs.
    pub(crate) fn open(&self) -> ModelHandle {
        let session = SessionSettings {
            model_path: CString::new(self.model.as_os_str().as_bytes()).expect("no NUL"),
            context: CONTEXT,
            sampling: HandleSampling { top_k: 1, ..HandleSampling::default() },
            keep: -1,
            skip_special_tokens: true,
            ignore_end: false,
            image_tags: ImageTags::default(),
            npu_domain: 0,
            embed_flash: true,
            cpu_mask: 1,
            log: RuntimeLog::Output,
        };
        let options = EngineOptions {
            session,
            embedding_length: Some(EMBEDDING),
            tokenizer: None,
            chat_template: None,
        };
        let engine = RkllmEngine::new(self.library, options).expect("an engine");
        ModelHandle::start(Box::new(engine), ModelSettings::default()).expect("a model")
    }

    /// Most tokens of its answer.
    pub(crate) fn length(&self) -> u64 {
        self.script.len() as u64
    }

    /// A request for at most so many tokens.
    pub(crate) fn request(&self, model: &ModelHandle, prompt: &str, max_tokens: u64) -> Request {
        let options = GenerateOptions { max_tokens: Some(max_tokens as f64), ..GenerateOptions::default() };
        let built = options.build(&model.limits().options, VOCABULARY, 0).expect("the defaults");
        Request { prompt: tokens(prompt), ..built }
    }

    /// Whether the model can have said that.
    pub(crate) fn check(&self, text: &str, finish: Option<FinishReason>, shape: Shape) -> Result<(), String> {
        let Some(("", said)) = text.split_once(BEGINNING) else {
            return if text.is_empty() { Ok(()) } else { Err(format!("it begins otherwise: {text:?}")) };
        };
        let script = self.script.strip_prefix(BEGINNING).unwrap_or_default();
        let pieces: Vec<&str> = said.split(BEGINNING).collect();
        // A character that was cut is shown as what it is.
        let fits = |piece: &&str| script.starts_with(piece.trim_end_matches('\u{FFFD}'));
        if shape != Shape::Pieces && pieces.len() != 1 || !pieces.iter().all(fits) {
            return Err(format!("it is not in the script: {text:?}"));
        }
        let is_whole = finish == Some(FinishReason::Stop) && shape != Shape::Cut;
        if is_whole && pieces.last() != Some(&script) {
            return Err(format!("it ended too early: {text:?}"));
        }
        Ok(())
    }
}

/// What an answer looks like that the model has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The script.
    Whole,
    /// Pieces of it and the whole: after each pause the model says it anew, for all it knows of before is a
    /// longer prompt.
    Pieces,
    /// A piece of it: a conversation that is kept fills the context.
    Cut,
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    text.bytes().map(Token::from).collect()
}
