use std::fmt;
use std::path::Path;
use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;
use rkllmjs_constraint::Compiler;
use rkllmjs_core::{
    Constraint, Error, ErrorCode, FillTokens, PairTokens, Special, SpecialToken, Token, Tokenizer,
};

use crate::pair::pair_tokens;
use crate::{LogSink, backend, ffi, log};

/// Most bytes of text that one call tokenizes; the C interface counts in 31 bits.
const TEXT_BYTES_MAX: usize = 1 << 30;

/// How a file is loaded.
#[derive(Clone)]
pub struct LoadOptions {
    /// Layers to put on a GPU; 0 is none.
    pub gpu_layers: u32,
    /// Map the file instead of reading it.
    pub mmap: bool,
    /// Keep the weights from being swapped out.
    pub mlock: bool,
    /// Takes the log.
    pub log: Option<LogSink>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { gpu_layers: 0, mmap: true, mlock: false, log: None }
    }
}

impl fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions").field("gpu_layers", &self.gpu_layers).finish_non_exhaustive()
    }
}

/// Weights and vocabulary of a GGUF file.
///
/// The file must have been checked before: llama.cpp ends the process on some broken ones.
pub struct Model {
    model: LlamaModel,
    control: Vec<SpecialToken>,
    start_text: String,
    end_text: String,
    vocabulary_size: u32,
    /// Files without a tokenizer have numbered tokens that stand for no text; llama.cpp ends the
    /// process when it is asked for theirs.
    has_text: bool,
    constraints: Compiler,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("vocabulary_size", &self.vocabulary_size).finish_non_exhaustive()
    }
}

impl Model {
    /// Loads a file. `progress` hears values from 0 to 1 and stops the load by returning false.
    ///
    /// # Errors
    ///
    /// `model-invalid` with llama.cpp's own words; `invalid-request` for a path that is no UTF-8.
    pub fn load(
        path: &Path,
        options: &LoadOptions,
        progress: impl FnMut(f32) -> bool + 'static,
    ) -> Result<Arc<Self>, Error> {
        let params = LlamaModelParams::default()
            .with_n_gpu_layers(options.gpu_layers)
            .with_use_mmap(options.mmap)
            .with_use_mlock(options.mlock)
            .with_progress_callback(progress);
        Self::load_with(path, &params, options.log.clone())
    }

    /// Loads the vocabulary of a file and none of its weights: enough for a [`Tokenizer`].
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_vocabulary(path: &Path) -> Result<Arc<Self>, Error> {
        Self::load_with(path, &LlamaModelParams::default().with_vocab_only(true), None)
    }

    fn load_with(path: &Path, params: &LlamaModelParams, log: Option<LogSink>) -> Result<Arc<Self>, Error> {
        let backend = backend::backend()?;
        if path.to_str().is_none_or(|p| p.contains('\0')) {
            return Err(Error::new(ErrorCode::InvalidRequest, "the path of the model is not valid UTF-8"));
        }
        log::send_to(log);
        log::take_error();
        let loaded = LlamaModel::load_from_file(backend, path, params);
        log::send_to(None);
        let model = loaded.map_err(|error| {
            let why = log::take_error().unwrap_or_else(|| error.to_string());
            Error::new(ErrorCode::ModelInvalid, format!("llama.cpp cannot load {}: {why}", path.display()))
        })?;
        Ok(Arc::new(Self::read(model)))
    }

    fn read(model: LlamaModel) -> Self {
        let vocab = model.vocab();
        // SAFETY: the vocabulary belongs to the model, which is alive.
        let raw_vocab = unsafe { sys::llama_model_get_vocab(raw(&model)) };
        // SAFETY: as above.
        let kind = unsafe { sys::llama_vocab_type(raw_vocab) };
        let has_text = kind != sys::LLAMA_VOCAB_TYPE_NONE;
        let text = |token: LlamaToken| {
            let text = if has_text { vocab.text(token) } else { None };
            text.map(|t| t.to_string_lossy().into_owned())
        };
        let vocabulary_size = u32::try_from(vocab.n_tokens()).unwrap_or(0);
        let control = (0..vocabulary_size.cast_signed())
            .filter(|&id| has_text && vocab.is_control(LlamaToken(id)))
            .filter_map(|id| Some(SpecialToken { token: id.cast_unsigned(), text: text(LlamaToken(id))? }))
            .filter(|special| !special.text.is_empty())
            .collect();
        let spelling = |token: LlamaToken| {
            let known = token.0 >= 0 && token.0.cast_unsigned() < vocabulary_size;
            known.then(|| text(token)).flatten().unwrap_or_default()
        };
        let (start_text, end_text) = (spelling(vocab.bos()), spelling(vocab.eos()));
        Self {
            control,
            start_text,
            end_text,
            vocabulary_size,
            has_text,
            constraints: Compiler::default(),
            model,
        }
    }

    /// The object behind the safe crate's type, which shows it to nobody.
    pub(crate) fn raw(&self) -> *mut sys::llama_model {
        raw(&self.model)
    }

    pub(crate) fn raw_vocab(&self) -> *const sys::llama_vocab {
        // SAFETY: the model is alive; the vocabulary lives as long as it.
        unsafe { sys::llama_model_get_vocab(self.raw()) }
    }

    /// Whether sequences keep a running state that cannot be cut back to an earlier token.
    pub fn is_recurrent(&self) -> bool {
        self.model.is_recurrent() || self.model.is_hybrid()
    }

    /// Whether some layers see the last tokens alone, so that their cache forgets the others.
    pub(crate) fn has_sliding_window(&self) -> bool {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_swa(self.raw()) > 0 }
    }

    /// Values of one embedding vector.
    pub fn embedding_size(&self) -> usize {
        usize::try_from(self.model.n_embd_out()).unwrap_or(0)
    }

    /// Values of a vector in the place of a token.
    pub fn input_size(&self) -> usize {
        // SAFETY: the model is alive.
        let size = unsafe { sys::llama_model_n_embd_inp(self.raw()) };
        usize::try_from(size).unwrap_or(0)
    }

    /// How many numbers say where a token stands: one, or more where images have two dimensions.
    pub(crate) fn numbers_of_a_place(&self) -> usize {
        // SAFETY: the model is alive.
        let numbers = unsafe { ffi::rkllmjs_llama_numbers_of_a_place(self.raw()) };
        usize::try_from(numbers).unwrap_or(1)
    }

    /// Numbers that the head of a reranking model gives.
    pub(crate) fn head_outputs(&self) -> usize {
        // SAFETY: the model is alive.
        let outputs = unsafe { sys::llama_model_n_cls_out(self.raw()) };
        usize::try_from(outputs).unwrap_or(0)
    }

    /// Whether the model can continue a text.
    pub fn has_decoder(&self) -> bool {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_has_decoder(self.raw()) }
    }

    /// Whether the model first reads its input with an encoder.
    pub fn has_encoder(&self) -> bool {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_has_encoder(self.raw()) }
    }

    /// What compiles constraints for this vocabulary.
    pub(crate) fn constraints(&self) -> &Compiler {
        &self.constraints
    }

    /// Compiles a constraint ahead of the request that has it: an engine then finds it compiled, and need not
    /// keep others waiting.
    ///
    /// # Errors
    ///
    /// `invalid-request` and `unsupported`, naming the option and what in it is wrong.
    pub fn compile(&self, constraint: &Constraint) -> Result<(), Error> {
        self.constraints.compile(constraint, self)
    }

    /// The tokens that end an answer.
    pub(crate) fn end_tokens(&self) -> Vec<Token> {
        (0..self.vocabulary_size).filter(|&token| self.is_end(token)).collect()
    }
}

fn raw(model: &LlamaModel) -> *mut sys::llama_model {
    let model = std::ptr::from_ref(model).cast::<*mut sys::llama_model>();
    // SAFETY: `LlamaModel` is `repr(transparent)` over one pointer in the version this workspace
    // pins exactly.
    unsafe { *model }
}

impl Tokenizer for Model {
    fn tokenize(&self, text: &str, special: Special) -> Result<Vec<Token>, Error> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("the text has {} bytes, at most {TEXT_BYTES_MAX} are allowed", text.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        if !self.has_text {
            let message = "the model file has no tokenizer; pass tokens instead of text";
            return Err(Error::new(ErrorCode::Unsupported, message));
        }
        // No token is shorter than a byte, and special tokens add a few.
        let mut tokens: Vec<sys::llama_token> = vec![0; text.len() + 8];
        let most = i32::try_from(tokens.len()).unwrap_or(i32::MAX);
        let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
        // SAFETY: text and tokens are valid for the lengths passed; the model is alive.
        let count = unsafe {
            ffi::rkllmjs_llama_tokenize(
                self.raw_vocab(),
                text.as_ptr().cast(),
                length,
                tokens.as_mut_ptr(),
                most,
                special.add,
                special.parse,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let message = format!("llama.cpp cannot tokenize the text: {}", ffi::message());
            return Err(Error::new(ErrorCode::EngineFailed, message));
        };
        tokens.truncate(count);
        Ok(tokens.into_iter().map(i32::cast_unsigned).collect())
    }

    fn piece(&self, token: Token, special: Special) -> Vec<u8> {
        if token >= self.vocabulary_size || !self.has_text {
            return Vec::new();
        }
        self.model.vocab().token_to_piece(LlamaToken(token.cast_signed()), special.parse, None)
    }

    fn detokenize(&self, tokens: &[Token]) -> String {
        let known = tokens.iter().filter(|&&token| self.has_text && token < self.vocabulary_size);
        let known: Vec<LlamaToken> = known.map(|token| LlamaToken(token.cast_signed())).collect();
        String::from_utf8_lossy(&self.model.vocab().detokenize(&known, false, true)).into_owned()
    }

    fn vocabulary_size(&self) -> u32 {
        self.vocabulary_size
    }

    fn is_end(&self, token: Token) -> bool {
        self.has_text
            && token < self.vocabulary_size
            && self.model.vocab().is_eog(LlamaToken(token.cast_signed()))
    }

    fn control_tokens(&self) -> &[SpecialToken] {
        &self.control
    }

    fn start_text(&self) -> &str {
        &self.start_text
    }

    fn end_text(&self) -> &str {
        &self.end_text
    }

    fn fill_tokens(&self) -> Option<FillTokens> {
        let vocab = self.raw_vocab();
        // SAFETY: the vocabulary lives as long as the model, which is alive.
        let prefix = unsafe { sys::llama_vocab_fim_pre(vocab) };
        // SAFETY: as above.
        let suffix = unsafe { sys::llama_vocab_fim_suf(vocab) };
        // SAFETY: as above.
        let middle = unsafe { sys::llama_vocab_fim_mid(vocab) };
        // An absent token is -1.
        let known = |token: i32| u32::try_from(token).ok().filter(|&token| token < self.vocabulary_size);
        Some(FillTokens { prefix: known(prefix)?, suffix: known(suffix)?, middle: known(middle)? })
    }

    fn pair_tokens(&self) -> Option<PairTokens> {
        self.has_text.then(|| pair_tokens(self)).flatten()
    }
}
