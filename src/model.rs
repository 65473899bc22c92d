use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::Env;
use napi::bindgen_prelude::{Either, Float32Array, Function, Null, Object, Uint8Array, Uint32Array};
use napi_derive::napi;
use rkllmjs_chat::{Messages, RenderOptions};
use rkllmjs_core::{Error, GenerateOptions, NativeInput, Special};
use rkllmjs_runtime::{
    ControlVector, Hooks, MediumData, MediumKind, MediumSource, Model, PerplexityOptions, PromptInput,
    Ranking, RerankInput,
};

use crate::deferred::promise;
use crate::environment::Environment;
use crate::error::{NativeResult, as_value};
use crate::generation::NativeGeneration;
use crate::npu::{self, NativeCallReply, NativePrompt};
use crate::options::NativeGenerateOptions;
use crate::ready::ReadyQueue;
use crate::task::{NativeTask, on_a_thread, progress_of};
use napi::threadsafe_function::UnknownReturnValue;

/// A running model.
#[napi]
pub struct NativeModel {
    pub(crate) model: Model,
    ready: Arc<ReadyQueue>,
    environment: Environment,
    number: u32,
    closed: Arc<AtomicBool>,
}

/// Vectors of several texts.
#[napi(object)]
pub struct NativeEmbeddings {
    /// One a text, not normalised.
    pub vectors: Vec<Float32Array>,
    /// Tokens of all texts.
    pub prompt_tokens: f64,
}

/// An image or a sound of a conversation: its bytes, or the path of its file.
#[napi(object)]
pub struct NativeMedium {
    /// Whether it is sound.
    pub is_audio: bool,
    /// Where it stands, for messages.
    pub place: String,
    pub bytes: Option<Uint8Array>,
    pub path: Option<String>,
}

impl From<NativeMedium> for MediumSource {
    fn from(NativeMedium { is_audio, place, bytes, path }: NativeMedium) -> Self {
        let data = match (bytes, path) {
            (Some(bytes), _) => MediumData::Bytes(bytes.to_vec()),
            (None, path) => MediumData::Path(PathBuf::from(path.unwrap_or_default())),
        };
        let kind = if is_audio { MediumKind::Audio } else { MediumKind::Image };
        Self { kind, place, data }
    }
}

/// A look at the work going on.
#[napi(object)]
#[derive(Debug)]
pub struct NativeStats {
    pub waiting: u32,
    pub running: u32,
    pub paused: u32,
    pub max_sequences: u32,
    pub kv_cells_used: u32,
    pub kv_cells: u32,
    pub kept_prefixes: u32,
    pub kept_tokens: u32,
    pub host_prefixes: u32,
    pub host_tokens: f64,
    pub host_bytes: f64,
    pub steps: f64,
    pub requests: f64,
    pub prompt_tokens: f64,
    pub completion_tokens: f64,
    pub draft_tokens: f64,
    pub accepted_tokens: f64,
    pub tokens_per_second: f64,
}

/// Documents in the order of their scores.
#[napi(object)]
#[derive(Debug)]
pub struct NativeRanking {
    /// Places in the list of documents.
    pub indexes: Vec<u32>,
    /// As many scores, from 0 to 1.
    pub scores: Vec<f64>,
    /// Tokens of all prompts.
    pub prompt_tokens: f64,
}

impl From<Ranking> for NativeRanking {
    fn from(ranking: Ranking) -> Self {
        let (indexes, scores) =
            ranking.results.into_iter().map(|(index, score)| (index as u32, score)).unzip();
        Self { indexes, scores, prompt_tokens: ranking.prompt_tokens as f64 }
    }
}

impl NativeModel {
    pub(crate) fn new(model: Model, environment: Environment) -> Self {
        let number = environment.add_model(&model);
        Self { model, ready: Arc::default(), environment, number, closed: Arc::default() }
    }

    fn begin(&self, prompt: PromptInput, options: NativeGenerateOptions) -> Result<NativeGeneration, Error> {
        if options.suffix.is_some() {
            return Err(Error::unsupported("suffix", "is an option of generate() with text or tokens"));
        }
        let id = self.ready.next_id();
        let options = GenerateOptions::from(options);
        let answer = Arc::new(self.model.generate(prompt, &options, self.ready.notifier(id))?);
        self.ready.insert(id, Arc::clone(&answer));
        Ok(NativeGeneration { id, answer })
    }
}

impl Drop for NativeModel {
    fn drop(&mut self) {
        // Collected as garbage: nobody can reach it any more.
        self.environment.remove_model(self.number);
        self.model.close();
    }
}

pub(crate) fn conversation(messages: &str, options: &str) -> Result<(Messages, RenderOptions), Error> {
    Ok((Messages::from_json(messages)?, RenderOptions::from_json(options)?))
}

#[napi]
impl NativeModel {
    /// Makes `onNews` hear of every generation, on this thread, as a JSON array. To be called once, before
    /// the first.
    #[napi(catch_unwind)]
    pub fn attach(&self, on_news: Function<'_, String, UnknownReturnValue>) -> napi::Result<()> {
        self.ready.attach(&on_news)
    }

    /// Starts an answer to a raw prompt.
    #[napi(catch_unwind)]
    pub fn generate(
        &self,
        prompt: Either<String, Uint32Array>,
        mut options: NativeGenerateOptions,
    ) -> NativeResult<NativeGeneration> {
        let prompt = match prompt {
            Either::A(text) => PromptInput::Text(text),
            Either::B(tokens) => PromptInput::Tokens(tokens.to_vec()),
        };
        let prompt = match options.suffix.take() {
            Some(suffix) => PromptInput::Fill(Box::new(prompt), suffix),
            None => prompt,
        };
        as_value(self.begin(prompt, options))
    }

    /// Starts an answer to a prompt that the engine reads itself.
    #[napi(catch_unwind)]
    pub fn generate_native(
        &self,
        tokens: Uint32Array,
        prompt: NativePrompt,
        options: NativeGenerateOptions,
    ) -> NativeResult<NativeGeneration> {
        let begin = |prompt| self.begin(PromptInput::Native(tokens.to_vec(), prompt), options);
        as_value(NativeInput::try_from(prompt).and_then(begin))
    }

    /// Does what only an engine with caches and templates of its own can do; `call` is JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeCallReply | NativeError>")]
    pub fn call_native<'env>(
        &self,
        env: &'env Env,
        call: String,
        tokens: Uint32Array,
    ) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<NativeCallReply>>(env)?;
        match npu::call(&call, tokens.to_vec()) {
            Ok(call) => self.model.native(call, move |reply| {
                deferred.resolve(as_value(reply.map(NativeCallReply::from)));
            }),
            Err(error) => deferred.resolve(as_value(Err(error))),
        }
        Ok(promise)
    }

    /// Starts an answer to a conversation, given as JSON.
    #[napi(catch_unwind)]
    pub fn chat(
        &self,
        messages: String,
        chat_options: String,
        options: NativeGenerateOptions,
        media: Vec<NativeMedium>,
    ) -> NativeResult<NativeGeneration> {
        let media = media.into_iter().map(MediumSource::from).collect();
        as_value(conversation(&messages, &chat_options).and_then(|(messages, render)| {
            self.begin(PromptInput::Messages(messages, render, media), options)
        }))
    }

    /// The tokens of a text.
    #[napi(catch_unwind)]
    pub fn tokenize(
        &self,
        text: String,
        add_special: bool,
        parse_special: bool,
    ) -> NativeResult<Uint32Array> {
        let special = Special { add: add_special, parse: parse_special };
        as_value(self.model.tokenize(&text, special).map(Uint32Array::from))
    }

    /// The text of tokens.
    #[napi(catch_unwind)]
    pub fn detokenize(&self, tokens: Uint32Array) -> NativeResult<String> {
        as_value(self.model.detokenize(&tokens))
    }

    /// A conversation as the text of a prompt.
    #[napi(catch_unwind)]
    pub fn apply_chat_template(&self, messages: String, chat_options: String) -> NativeResult<String> {
        let rendered = conversation(&messages, &chat_options)
            .and_then(|(messages, render)| self.model.apply_chat_template(&messages, &render));
        as_value(rendered)
    }

    /// How many tokens a conversation takes.
    #[napi(catch_unwind)]
    pub fn count_tokens(&self, messages: String, chat_options: String) -> NativeResult<u32> {
        let count = conversation(&messages, &chat_options)
            .and_then(|(messages, render)| self.model.count_tokens(&messages, &render));
        as_value(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// The vectors of several texts.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeEmbeddings | NativeError>")]
    pub fn embed<'env>(&self, env: &'env Env, inputs: Vec<String>) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<NativeEmbeddings>>(env)?;
        self.model.embed(inputs, move |result| {
            deferred.resolve(as_value(result.map(|(vectors, prompt_tokens)| NativeEmbeddings {
                vectors: vectors.into_iter().map(Float32Array::from).collect(),
                prompt_tokens: prompt_tokens as f64,
            })));
        });
        Ok(promise)
    }

    /// Which documents answer a query best.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeRanking | NativeError>")]
    pub fn rerank<'env>(
        &self,
        env: &'env Env,
        query: String,
        documents: Vec<String>,
        instruction: Option<String>,
        top_n: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<NativeRanking>>(env)?;
        let input = RerankInput { query, documents, instruction, top_n };
        self.model.rerank(input, move |ranking| {
            deferred.resolve(as_value(ranking.map(NativeRanking::from)));
        });
        Ok(promise)
    }

    /// Makes it ready to compute how well the model foretells a text.
    #[napi(catch_unwind)]
    pub fn perplexity(
        &self,
        env: &Env,
        text: String,
        context_size: Option<f64>,
        on_progress: Option<Function<'_, f64, UnknownReturnValue>>,
    ) -> napi::Result<NativeTask> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let mut hooks = Hooks { cancelled: Arc::clone(&cancelled), ..Hooks::default() };
        if let Some(on_progress) = on_progress {
            hooks.progress = progress_of(&on_progress)?;
        }
        let (model, options) = (self.model.clone(), PerplexityOptions { context_size });
        NativeTask::new(env, cancelled, move |done| {
            on_a_thread("rkllmjs-perplexity", done, move || model.perplexity(&text, &options, &hooks));
        })
    }

    /// Loads an adapter under a name.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeError | null>")]
    pub fn load_lora<'env>(
        &self,
        env: &'env Env,
        name: String,
        path: String,
        scale: f64,
    ) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<Null>>(env)?;
        self.model.load_adapter(name, PathBuf::from(path), scale, move |result| {
            deferred.resolve(as_value(result.map(|()| Null)));
        });
        Ok(promise)
    }

    /// Unloads an adapter; whether it was there.
    #[napi(catch_unwind, ts_return_type = "Promise<boolean | NativeError>")]
    pub fn unload_lora<'env>(&self, env: &'env Env, name: String) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<bool>>(env)?;
        self.model.unload_adapter(name, move |result| deferred.resolve(as_value(result)));
        Ok(promise)
    }

    /// Loads a control vector under a name, for all layers or from the first to the last of two.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeError | null>")]
    pub fn load_control_vector<'env>(
        &self,
        env: &'env Env,
        name: String,
        path: String,
        first_layer: Option<f64>,
        last_layer: Option<f64>,
    ) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<Null>>(env)?;
        let vector = ControlVector { name, path: PathBuf::from(path), layers: first_layer.zip(last_layer) };
        self.model.load_control_vector(vector, move |result| {
            deferred.resolve(as_value(result.map(|()| Null)));
        });
        Ok(promise)
    }

    /// Unloads a control vector; whether it was there.
    #[napi(catch_unwind, ts_return_type = "Promise<boolean | NativeError>")]
    pub fn unload_control_vector<'env>(&self, env: &'env Env, name: String) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<bool>>(env)?;
        self.model.unload_control_vector(&name, move |result| deferred.resolve(as_value(result)));
        Ok(promise)
    }

    /// What the model is and how it runs, as JSON.
    #[napi(catch_unwind)]
    pub fn info(&self) -> String {
        self.model.info().to_string()
    }

    /// A look at the work going on.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> NativeStats {
        let stats = self.model.stats();
        NativeStats {
            waiting: stats.waiting,
            running: stats.running,
            paused: stats.paused,
            max_sequences: stats.sequences,
            kv_cells_used: stats.cells_used,
            kv_cells: stats.cells,
            kept_prefixes: stats.kept_prefixes,
            kept_tokens: stats.kept_tokens,
            host_prefixes: stats.host_prefixes,
            host_tokens: stats.host_tokens as f64,
            host_bytes: stats.host_bytes as f64,
            steps: stats.steps as f64,
            requests: stats.requests as f64,
            prompt_tokens: stats.prompt_tokens as f64,
            completion_tokens: stats.completion_tokens as f64,
            draft_tokens: stats.draft_tokens as f64,
            accepted_tokens: stats.accepted_tokens as f64,
            tokens_per_second: stats.tokens_per_second,
        }
    }

    /// Ends everything and resolves once the engine's thread has ended. May be called again.
    #[napi(catch_unwind, ts_return_type = "Promise<null>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<Null>>(env)?;
        self.model.close();
        let first = !self.closed.swap(true, Ordering::SeqCst);
        let (model, environment, number) = (self.model.clone(), self.environment.clone(), self.number);
        let wait = move || {
            model.wait_closed();
            if first {
                environment.remove_model(number);
            }
            deferred.resolve(Either::B(Null));
        };
        let thread = std::thread::Builder::new().name("rkllmjs-close".to_owned()).spawn(wait);
        thread
            .map(|_| promise)
            .map_err(|e| napi::Error::from_reason(format!("no thread to close the model: {e}")))
    }
}
