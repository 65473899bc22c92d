use rkllmjs_core::{Detail, Error, ErrorCode};
use rkllmjs_gguf::{Facts, Projector, TensorType, memory};
use rkllmjs_llama::{KvType, kept_prefixes, mutual_rows_max};

use crate::load::{LOAD_OPTIONS, LoadOptions};
use crate::machine::Machine;

/// The context where nobody asks for one: enough for most talks, small enough for most boards.
const CONTEXT_DEFAULT: u64 = 8192;
const SEQUENCES_DEFAULT: u32 = 8;
const QUEUE_DEFAULT: u32 = 256;
const BATCH_DEFAULT: u32 = 512;
/// Smaller contexts are not worth loading a model for.
const CONTEXT_LEAST: u64 = 256;
/// The share of free memory that a cache sized by us may take.
const CACHE_SHARE: u64 = 4;

/// The sizes a model will run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) context: u32,
    pub(crate) cells: u32,
    pub(crate) sequences: u32,
    pub(crate) queue: u32,
    pub(crate) batch: u32,
    pub(crate) threads: u32,
    pub(crate) threads_batch: u32,
    pub(crate) kv_type: KvType,
    /// Most rows of an image, where that can be chosen.
    pub(crate) image_rows: Option<u32>,
    pub(crate) memory: memory::Estimate,
}

impl Plan {
    /// Fits the options to the model and the machine.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming an option out of range; `insufficient-memory` with the bytes needed
    /// and available.
    pub(crate) fn new(options: &LoadOptions, facts: &Facts<'_>, machine: &Machine) -> Result<Self, Error> {
        let kv_type = kv_type(options.kv_cache_type.as_deref(), facts)?;
        let sequences = whole("max_sequences", options.max_sequences)?.unwrap_or(SEQUENCES_DEFAULT);
        let batch = whole("batch_size", options.batch_size)?.unwrap_or(BATCH_DEFAULT.max(sequences));
        if batch < sequences {
            let message = format!("must be at least max_sequences ({sequences}), got {batch}");
            return Err(Error::option("batch_size", message));
        }
        if options.flash_attention == Some(false) && kv_type != KvType::F16 {
            let message = "must be f16 without flash attention";
            return Err(Error::option("kv_cache_type", message));
        }
        let threads = threads("threads", options.threads, machine)?.unwrap_or(machine.threads);
        let threads_batch = threads_batch(options, machine)?.unwrap_or(threads);
        let asked = whole("context_size", options.context_size)?;
        let cells_asked = whole("kv_cells", options.kv_cells)?;
        let sizes = Sizes { facts, kv_type, sequences, batch, machine };
        let context = asked.unwrap_or_else(|| sizes.default_context());
        check_positions(context, facts)?;
        let cells = cells_asked.unwrap_or_else(|| sizes.default_cells(context));
        if cells < context {
            let message = format!("must be at least the context size ({context}), got {cells}");
            return Err(Error::option("kv_cells", message));
        }
        if cells < sequences {
            let message = format!("must be at least max_sequences ({sequences}), got {cells}");
            return Err(Error::option("kv_cells", message));
        }
        let memory = sizes.memory(u64::from(cells));
        fits(memory.total, machine, context, cells)?;
        let queue = whole("max_queue", options.max_queue)?.unwrap_or(QUEUE_DEFAULT);
        let image_rows = None;
        Ok(Self {
            context,
            cells,
            sequences,
            queue,
            batch,
            threads,
            threads_batch,
            kv_type,
            image_rows,
            memory,
        })
    }
}

impl Plan {
    /// The same with a draft model beside the model, whose cache has as many cells.
    ///
    /// # Errors
    ///
    /// `insufficient-memory` with the bytes that both need.
    pub(crate) fn with_draft(mut self, draft: &Facts<'_>, machine: &Machine) -> Result<Self, Error> {
        let sizes = Sizes {
            facts: draft,
            kv_type: KvType::F16,
            sequences: self.sequences,
            batch: self.batch.max(512),
            machine,
        };
        let more = sizes.memory(u64::from(self.cells));
        self.add(more.weights_bytes, more.kv_bytes, more.compute_bytes);
        fits(self.memory.total, machine, self.context, self.cells)?;
        Ok(self)
    }

    /// The same with a projector beside the model.
    ///
    /// # Errors
    ///
    /// `insufficient-memory` with the bytes that both need; `invalid-request` where a step is too small for an image.
    pub(crate) fn with_projector(mut self, projector: &Projector, machine: &Machine) -> Result<Self, Error> {
        let most = mutual_rows_max(self.batch);
        if projector.is_mutual && projector.rows > u64::from(most) {
            let message = format!("must be at least {}, the rows of an image, got {most}", projector.rows);
            return Err(Error::option("batch_size", message));
        }
        let rows = projector.kind.rows_max(u64::from(self.context));
        self.image_rows = rows.and_then(|rows| u32::try_from(rows).ok());
        self.add(projector.weights_bytes, 0, projector.compute_bytes(rows.unwrap_or(projector.rows)));
        fits(self.memory.total, machine, self.context, self.cells)?;
        Ok(self)
    }

    fn add(&mut self, weights_bytes: u64, kv_bytes: u64, compute_bytes: u64) {
        let memory = &mut self.memory;
        memory.weights_bytes = memory.weights_bytes.saturating_add(weights_bytes);
        memory.kv_bytes = memory.kv_bytes.saturating_add(kv_bytes);
        memory.compute_bytes = memory.compute_bytes.saturating_add(compute_bytes);
        let more = weights_bytes.saturating_add(kv_bytes).saturating_add(compute_bytes);
        memory.total = memory.total.saturating_add(more);
    }

    /// `options` with these sizes written out, so that whoever plans again comes to the same ones.
    pub(crate) fn pinned(&self, options: &LoadOptions) -> LoadOptions {
        LoadOptions {
            context_size: Some(f64::from(self.context)),
            kv_cells: Some(f64::from(self.cells)),
            max_sequences: Some(f64::from(self.sequences)),
            batch_size: Some(f64::from(self.batch)),
            threads: Some(f64::from(self.threads)),
            threads_batch: Some(f64::from(self.threads_batch)),
            ..options.clone()
        }
    }
}

struct Sizes<'a> {
    facts: &'a Facts<'a>,
    kv_type: KvType,
    sequences: u32,
    batch: u32,
    machine: &'a Machine,
}

impl Sizes<'_> {
    /// The bytes for a cache of `cells`. The cache's own share of the compute buffers is the
    /// attention mask, because flash attention keeps no scores.
    fn memory(&self, cells: u64) -> memory::Estimate {
        let kind = tensor_type(self.kv_type);
        let micro_batch = u64::from(self.batch.min(512));
        let plan = memory::Plan {
            cells,
            kv_type_k: kind,
            kv_type_v: kind,
            batch: u64::from(self.batch),
            micro_batch,
            sequences: u64::from(self.sequences) + u64::from(kept_prefixes(self.sequences)),
        };
        let kv_bytes = memory::estimate(self.facts, &plan).kv_bytes;
        let without_cache = memory::estimate(self.facts, &memory::Plan { cells: 0, ..plan });
        let mask = cells.saturating_mul(micro_batch).saturating_mul(4);
        let compute_bytes = without_cache.compute_bytes.saturating_add(mask);
        let weights_bytes = without_cache.weights_bytes;
        let total = weights_bytes.saturating_add(kv_bytes).saturating_add(compute_bytes);
        memory::Estimate { weights_bytes, kv_bytes, compute_bytes, total }
    }

    fn cache_budget(&self) -> u64 {
        let free = self.machine.memory_available.unwrap_or(u64::MAX);
        free.saturating_sub(self.facts.weights_bytes) / CACHE_SHARE
    }

    /// The largest number of cells up to `most` whose cache keeps within its share of memory.
    fn affordable(&self, most: u64) -> u64 {
        let whole = self.memory(most);
        let taken = whole.kv_bytes.max(1);
        let budget = self.cache_budget();
        if taken <= budget { most } else { most.saturating_mul(budget / 1024) / (taken / 1024).max(1) }
    }

    fn default_context(&self) -> u32 {
        let trained = self.facts.context_length_trained.unwrap_or(CONTEXT_DEFAULT).max(1);
        let wanted = trained.min(CONTEXT_DEFAULT);
        let least = wanted.min(CONTEXT_LEAST);
        u32::try_from(self.affordable(wanted).clamp(least, wanted)).unwrap_or(u32::MAX)
    }

    fn default_cells(&self, context: u32) -> u32 {
        let least = u64::from(context.max(self.sequences));
        let wanted = u64::from(context).saturating_mul(u64::from(self.sequences)).min(1 << 26);
        u32::try_from(self.affordable(wanted).clamp(least, wanted.max(least))).unwrap_or(u32::MAX)
    }
}

/// Refuses a context with more positions than the model has vectors for.
fn check_positions(context: u32, facts: &Facts<'_>) -> Result<(), Error> {
    match facts.positions {
        Some(positions) if u64::from(context) > positions => {
            let message =
                format!("must be at most {positions}, the positions that this model knows, got {context}");
            Err(Error::option("context_size", message))
        }
        _ => Ok(()),
    }
}

fn fits(needed: u64, machine: &Machine, context: u32, cells: u32) -> Result<(), Error> {
    let Some(available) = machine.memory_available else { return Ok(()) };
    if needed <= available {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    let message = format!(
        "the model needs about {} MiB with a context of {context} tokens and {cells} cells, and {} MiB are free; \
         ask for a smaller context_size, kv_cells or kv_cache_type, or take a smaller quantization",
        mib(needed),
        mib(available),
    );
    Err(Error::new(ErrorCode::InsufficientMemory, message)
        .with("needed", Detail::Number(needed))
        .with("available", Detail::Number(available)))
}

fn kv_type(name: Option<&str>, facts: &Facts<'_>) -> Result<KvType, Error> {
    let kind = match name {
        None | Some("f16") => return Ok(KvType::F16),
        Some("q8_0") => KvType::Q8_0,
        Some("q4_0") => KvType::Q4_0,
        Some(other) => {
            return Err(Error::option("kv_cache_type", format!("must be f16, q8_0 or q4_0, got {other:?}")));
        }
    };
    let odd = [facts.key_length, facts.value_length].into_iter().flatten().find(|length| length % 32 != 0);
    match odd {
        Some(length) => {
            let message =
                format!("must be f16 for this model: its heads of {length} values do not fill blocks of 32");
            Err(Error::option("kv_cache_type", message))
        }
        None => Ok(kind),
    }
}

fn tensor_type(kind: KvType) -> TensorType {
    match kind {
        KvType::F16 => TensorType::F16,
        KvType::Q8_0 => TensorType::Q8_0,
        KvType::Q4_0 => TensorType::Q4_0,
    }
}

fn threads(name: &'static str, value: Option<f64>, machine: &Machine) -> Result<Option<u32>, Error> {
    let Some(threads) = whole(name, value)? else { return Ok(None) };
    if threads > machine.processors {
        let message =
            format!("must be at most {}, the processors of this process, got {threads}", machine.processors);
        return Err(Error::option(name, message));
    }
    Ok(Some(threads))
}

fn threads_batch(options: &LoadOptions, machine: &Machine) -> Result<Option<u32>, Error> {
    threads("threads_batch", options.threads_batch, machine)
}

/// A whole number in the range that the table gives for `name`.
pub(crate) fn whole(name: &'static str, value: Option<f64>) -> Result<Option<u32>, Error> {
    bytes(name, value).map(|value| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX)))
}

/// The same where the range is one of bytes.
pub(crate) fn bytes(name: &'static str, value: Option<f64>) -> Result<Option<u64>, Error> {
    let Some(value) = value else { return Ok(None) };
    match LOAD_OPTIONS.iter().find(|fact| fact.name == name) {
        Some(fact) => fact.check(value).map(|value| Some(value as u64)),
        None => Err(Error::option(name, "is not a numeric option")),
    }
}
