//! A model of a GGUF file, computed by llama.cpp.

use std::sync::Arc;

use rkllmjs_core::{SamplerKind, Sampling, Token, Tokenizer};
use rkllmjs_gguf as gguf;
use rkllmjs_llama::{LoadOptions, Model, Sampler, Session, SessionOptions};

use crate::backend::{Backend, Item, Purpose, Row};
use crate::model_file::{Contents, Extracted, Header, Kind};
use crate::{Failure, SamplingConfig};

/// How far back the penalties look.
const REPEAT_LAST_N: u32 = 64;

/// A file that was read and found to hold a model.
pub(crate) struct OpenedModel {
    file: Extracted,
    header: gguf::File,
}

impl OpenedModel {
    pub(crate) fn open(contents: Contents) -> Result<Self, Failure> {
        let file = contents.extract()?;
        let header = gguf::File::open(file.path()).map_err(|e| unreadable(&e))?;
        gguf::check_model(&header).map_err(|e| unreadable(&e))?;
        Ok(Self { file, header })
    }

    /// Most tokens that the model was made for.
    pub(crate) fn context_limit(&self) -> u32 {
        let trained = gguf::facts(&self.header).context_length_trained;
        trained.and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX)
    }
}

fn unreadable(error: &gguf::Error) -> Failure {
    Failure::new(format!("invalid rkllm model: {error}"))
}

/// llama.cpp as the runtime uses it.
pub(crate) struct LlamaBackend {
    session: Session,
    samplers: Vec<Option<Sampler>>,
    model: Arc<Model>,
    chat_template: Option<String>,
    header: gguf::File,
    // llama.cpp maps it.
    _file: Extracted,
}

impl LlamaBackend {
    pub(crate) fn load(opened: OpenedModel, options: &SessionOptions) -> Result<Self, Failure> {
        let OpenedModel { file, header } = opened;
        let model = Model::load(file.path(), &LoadOptions::default(), |_| true)?;
        let session = Session::new(Arc::clone(&model), options)?;
        let chat_template = gguf::facts(&header).chat_template.map(str::to_owned);
        let samplers = (0..options.sequences).map(|_| None).collect();
        Ok(Self { session, samplers, model, chat_template, header, _file: file })
    }
}

impl Backend for LlamaBackend {
    fn tokenizer(&self) -> &dyn Tokenizer {
        self.model.as_ref()
    }

    fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    fn embedding_size(&self) -> usize {
        self.model.embedding_size()
    }

    fn rows_max(&self) -> usize {
        Session::ROWS_MAX
    }

    fn begin(&mut self, lane: usize, sampling: &SamplingConfig, prompt: &[Token]) -> Result<(), Failure> {
        let sampler = Sampler::new(&self.model, &core_sampling(sampling), prompt)?;
        let place = self.samplers.get_mut(lane);
        *place.ok_or_else(|| Failure::new("no such input in the batch"))? = Some(sampler);
        Ok(())
    }

    fn compute(&mut self, rows: &[Row<'_>], purpose: Purpose) -> Result<(), Failure> {
        let llama_rows: Vec<rkllmjs_llama::Row> = rows.iter().map(llama_row).collect();
        let mut vectors = Vec::new();
        for row in rows {
            if let Item::Vector(vector) = row.item {
                vectors.extend_from_slice(vector);
            }
        }
        match purpose {
            _ if !vectors.is_empty() => self.session.decode_vectors(&llama_rows, &mut vectors)?,
            Purpose::Logits => self.session.decode(&llama_rows)?,
            Purpose::Hidden => self.session.decode_for_hidden(&llama_rows)?,
        }
        Ok(())
    }

    fn sample(&mut self, lane: usize, row: usize) -> Result<Token, Failure> {
        let logits = self.session.logits(row)?;
        let sampler = self.samplers.get_mut(lane).and_then(Option::as_mut);
        let sampler = sampler.ok_or_else(|| Failure::new("the input of the batch was not begun"))?;
        Ok(sampler.sample(logits)?)
    }

    fn output(&mut self, row: usize, purpose: Purpose) -> Result<&[f32], Failure> {
        Ok(match purpose {
            Purpose::Logits => self.session.logits(row)?,
            Purpose::Hidden => self.session.hidden(row)?,
        })
    }

    fn truncate(&mut self, lane: usize, from: usize) -> bool {
        let cut = self.session.truncate(place(lane), place(from));
        cut || {
            // A model with a running state forgets all or nothing.
            self.session.truncate(place(lane), 0);
            false
        }
    }

    fn cut(&mut self, lane: usize, from: usize, to: usize) -> bool {
        self.session.cut(place(lane), place(from), place(to))
    }

    fn save(&mut self, lane: usize) -> Vec<u8> {
        self.session.save(place(lane))
    }

    fn restore(&mut self, lane: usize, bytes: &[u8]) -> bool {
        self.session.restore(place(lane), bytes)
    }

    fn load_adapter(
        &mut self,
        name: &str,
        header: &Header,
        contents: Contents,
        scale: f32,
    ) -> Result<(), Failure> {
        if header.kind != Kind::Gguf {
            return Err(Failure::new("the adapter's file holds none"));
        }
        let file = contents.extract()?;
        let adapter = gguf::File::open(file.path()).map_err(|e| unreadable(&e))?;
        gguf::check_adapter(&adapter, &self.header).map_err(|e| unreadable(&e))?;
        Ok(self.session.load_adapter(name, file.path(), scale)?)
    }

    fn use_adapter(&mut self, name: Option<&str>) -> Result<(), Failure> {
        Ok(self.session.use_adapter(name)?)
    }
}

fn llama_row(row: &Row<'_>) -> rkllmjs_llama::Row {
    rkllmjs_llama::Row {
        token: row.item.token().unwrap_or(0),
        position: place(row.position),
        sequence: place(row.lane),
        output: row.output,
    }
}

fn place(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The sampling of a run in the engine's terms. The vendor's runtime has no seed: every run draws anew.
fn core_sampling(config: &SamplingConfig) -> Sampling {
    Sampling {
        temperature: if config.is_greedy() { 0.0 } else { config.temperature },
        dynatemp_range: 0.0,
        top_k: u32::try_from(config.top_k).unwrap_or(0),
        top_p: config.top_p.clamp(0.0, 1.0),
        min_p: 0.0,
        typical_p: 1.0,
        top_n_sigma: 0.0,
        xtc_probability: 0.0,
        xtc_threshold: 0.5,
        repeat_penalty: if config.repeat_penalty > 0.0 { config.repeat_penalty } else { 1.0 },
        repeat_last_n: REPEAT_LAST_N,
        frequency_penalty: config.frequency_penalty,
        presence_penalty: config.presence_penalty,
        dry_multiplier: 0.0,
        dry_base: 1.75,
        dry_allowed_length: 2,
        mirostat: u32::try_from(config.mirostat).unwrap_or(0),
        mirostat_tau: config.mirostat_tau,
        mirostat_eta: config.mirostat_eta,
        seed: fresh_seed(),
        logit_bias: Vec::new(),
        ignore_end: false,
        grammar: None,
        grammar_triggers: Vec::new(),
        grammar_prefix: Vec::new(),
        constraint: None,
        free_thoughts: None,
        thoughts: None,
        order: vec![SamplerKind::Penalties, SamplerKind::TopK, SamplerKind::TopP, SamplerKind::Temperature],
    }
}

fn fresh_seed() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // The standard library seeds each state anew.
    (RandomState::new().build_hasher().finish() >> 32) as u32
}
