use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use crate::adapter::Adapter;
use crate::batch::BatchBuffer;
use crate::threads::ThreadPool;
use crate::{Model, ffi, log};

/// How keys and values of the cache are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvType {
    /// Half precision.
    #[default]
    F16,
    /// 8 bits.
    Q8_0,
    /// 4 bits.
    Q4_0,
}

impl KvType {
    const fn raw(self) -> sys::ggml_type {
        match self {
            Self::F16 => sys::GGML_TYPE_F16,
            Self::Q8_0 => sys::GGML_TYPE_Q8_0,
            Self::Q4_0 => sys::GGML_TYPE_Q4_0,
        }
    }
}

/// What a context is made for.
#[derive(Debug, Clone)]
pub(crate) struct ContextOptions {
    pub(crate) cells: u32,
    pub(crate) sequences: u32,
    /// Most tokens of one call.
    pub(crate) batch: u32,
    /// Most tokens computed at once.
    pub(crate) micro_batch: u32,
    pub(crate) threads: u32,
    pub(crate) threads_batch: u32,
    pub(crate) kv_type: KvType,
    /// `None` is on where the model allows it.
    pub(crate) flash_attention: Option<bool>,
    /// `Some`: make embeddings, pooled like this.
    pub(crate) pooling: Option<sys::llama_pooling_type>,
}

/// What the rows of a batch see of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowMask {
    /// Those before them.
    Causal,
    /// All.
    Open,
}

/// Cells of a sequence from one position to another.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) positions: Range<u32>,
    /// Where the last token before them stands, if there is one.
    pub(crate) before: Option<u32>,
    /// Where their own last token stands.
    pub(crate) last: Option<u32>,
}

/// How a computation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Computed {
    Done,
    Aborted,
    CacheFull,
}

/// Whether a computation gives hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    Shown,
    Left,
}

/// A model's working memory: cache, compute buffers, threads.
pub(crate) struct Context {
    context: NonNull<sys::llama_context>,
    // Freed after the context, which uses both; fields drop in this order after `drop`.
    pools: Vec<Arc<ThreadPool>>,
    abort: Arc<AtomicBool>,
    model: Arc<Model>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

// SAFETY: nothing in a context is bound to a thread, and `&mut self` keeps callers apart.
unsafe impl Send for Context {}

unsafe extern "C" fn is_aborted(flag: *mut c_void) -> bool {
    // SAFETY: the context owns an `Arc` of the flag and outlives every computation.
    let flag = unsafe { &*flag.cast::<AtomicBool>() };
    flag.load(Ordering::Relaxed)
}

impl Context {
    pub(crate) fn new(
        model: &Arc<Model>,
        options: &ContextOptions,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        // SAFETY: a plain function that returns a struct.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = options.cells;
        params.n_batch = options.batch;
        params.n_ubatch = options.micro_batch;
        params.n_seq_max = options.sequences;
        params.n_threads = options.threads.cast_signed();
        params.n_threads_batch = options.threads_batch.cast_signed();
        params.type_k = options.kv_type.raw();
        params.type_v = options.kv_type.raw();
        params.kv_unified = true;
        params.flash_attn_type = match options.flash_attention {
            None => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
            Some(true) => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            Some(false) => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        params.abort_callback = Some(is_aborted);
        params.abort_callback_data = Arc::as_ptr(&abort).cast_mut().cast();
        if let Some(pooling) = options.pooling {
            params.embeddings = true;
            params.pooling_type = pooling;
        }
        log::take_error();
        // SAFETY: model and parameters are valid; exceptions are caught by the shim.
        let context = unsafe { ffi::rkllmjs_llama_context_new(model.raw(), &raw const params) };
        let context = NonNull::new(context).ok_or_else(|| {
            let why = log::take_error().unwrap_or_else(ffi::message);
            Error::new(ErrorCode::InsufficientMemory, format!("llama.cpp cannot make a context: {why}"))
        })?;
        let mut this = Self { context, pools: Vec::new(), abort, model: Arc::clone(model) };
        this.attach_threads(options)?;
        Ok(this)
    }

    fn attach_threads(&mut self, options: &ContextOptions) -> Result<(), Error> {
        let decode = ThreadPool::new(options.threads)?;
        let prefill = if options.threads_batch == options.threads {
            None
        } else {
            Some(ThreadPool::new(options.threads_batch)?)
        };
        self.attach(std::iter::once(decode).chain(prefill).map(Arc::new).collect());
        Ok(())
    }

    /// Computes with the threads of `other` from now on: two pools would wait for work on the same processors.
    pub(crate) fn share_threads(&mut self, other: &Self) {
        self.attach(other.pools.clone());
    }

    /// The first pool is for single tokens, the last one for more.
    fn attach(&mut self, pools: Vec<Arc<ThreadPool>>) {
        if let (Some(decode), Some(prefill)) = (pools.first(), pools.last()) {
            // SAFETY: both pools live as long as the context, which this value frees first.
            unsafe { sys::llama_attach_threadpool(self.raw(), decode.raw(), prefill.raw()) };
            self.pools = pools;
        }
    }

    fn raw(&self) -> *mut sys::llama_context {
        self.context.as_ptr()
    }

    /// How many threads compute from now on: a single token, and more than one. No more than at the start.
    pub(crate) fn set_threads(&mut self, single: u32, several: u32) {
        // SAFETY: the context is alive; a plain setter.
        unsafe { sys::llama_set_n_threads(self.raw(), single.cast_signed(), several.cast_signed()) };
    }

    /// Computes the batch with the decoder.
    pub(crate) fn decode(&mut self, batch: &mut BatchBuffer) -> Result<Computed, Error> {
        let raw = batch.as_raw();
        // SAFETY: the arrays live through the call and hold as many entries as the batch says.
        let status = unsafe { ffi::rkllmjs_llama_decode(self.raw(), &raw const raw) };
        self.computed(status)
    }

    /// Computes the batch with the encoder.
    pub(crate) fn encode(&mut self, batch: &mut BatchBuffer) -> Result<Computed, Error> {
        let raw = batch.as_raw();
        // SAFETY: the arrays live through the call and hold as many entries as the batch says.
        let status = unsafe { ffi::rkllmjs_llama_encode(self.raw(), &raw const raw) };
        self.computed(status)
    }

    fn computed(&self, status: i32) -> Result<Computed, Error> {
        match status {
            0 => Ok(Computed::Done),
            1 => Ok(Computed::CacheFull),
            2 => Ok(Computed::Aborted),
            // The graph's own status for an abort that came during the first micro batch.
            -3 if self.abort.load(Ordering::SeqCst) => Ok(Computed::Aborted),
            ffi::THROWN => Err(failed(format!("llama.cpp threw: {}", ffi::message()))),
            other => {
                let why = log::take_error().map(|line| format!(": {line}")).unwrap_or_default();
                Err(failed(format!("llama.cpp returned {other} for a batch{why}")))
            }
        }
    }

    /// Computes a batch whose rows are vectors that see of each other what `mask` says.
    pub(crate) fn decode_rows(
        &mut self,
        batch: &mut BatchBuffer,
        vectors: &mut [f32],
        mask: RowMask,
    ) -> Result<Computed, Error> {
        self.set_causal(mask == RowMask::Causal);
        let computed = self.decode_vectors(batch, vectors);
        self.set_causal(true);
        computed
    }

    fn set_causal(&mut self, causal: bool) {
        // SAFETY: the context is alive; a plain setter.
        unsafe { sys::llama_set_causal_attn(self.raw(), causal) };
    }

    /// Computes a batch whose rows are vectors, as many as the batch has tokens.
    pub(crate) fn decode_vectors(
        &mut self,
        batch: &mut BatchBuffer,
        vectors: &mut [f32],
    ) -> Result<Computed, Error> {
        let raw = batch.as_raw_vectors(vectors, self.model.numbers_of_a_place());
        // SAFETY: the arrays live through the call and hold as many entries as the batch says.
        let status = unsafe { ffi::rkllmjs_llama_decode(self.raw(), &raw const raw) };
        self.computed(status)
    }

    /// Removes a sequence's tokens from position `from` on. False if the model cannot.
    pub(crate) fn remove(&mut self, slot: i32, from: u32) -> bool {
        // SAFETY: the context is alive; exceptions are caught by the shim.
        unsafe { ffi::rkllmjs_llama_remove(self.raw(), slot, from.cast_signed(), -1) == 1 }
    }

    /// Whether [`Context::share`] may be called.
    pub(crate) fn can_share(&mut self) -> bool {
        // SAFETY: the context is alive; exceptions are caught by the shim.
        unsafe { ffi::rkllmjs_llama_can_share(self.raw()) == 1 }
    }

    /// Where the last token of a sequence stands in the cache; `None` if there is none.
    pub(crate) fn last_position(&self, slot: i32) -> Option<u32> {
        // SAFETY: the context is alive.
        let memory = unsafe { sys::llama_get_memory(self.raw()) };
        // SAFETY: the memory belongs to the context, and the id is below its number of sequences.
        u32::try_from(unsafe { sys::llama_memory_seq_pos_max(memory, slot) }).ok()
    }

    /// Lets one sequence use the cells of another for these positions. False if the one does not have them,
    /// or the other not exactly what is before them.
    pub(crate) fn share(&mut self, source: i32, target: i32, stretch: &Stretch) -> bool {
        let (from, to) = (stretch.positions.start.cast_signed(), stretch.positions.end.cast_signed());
        let place = |position: Option<u32>| position.map_or(-1, u32::cast_signed);
        let (before, last) = (place(stretch.before), place(stretch.last));
        // SAFETY: the context is alive, both ids are below its number of sequences, and its memory can share;
        // exceptions are caught by the shim.
        unsafe { ffi::rkllmjs_llama_share(self.raw(), source, target, from, to, before, last) == 1 }
    }

    /// Whether [`cut`](Self::cut) works.
    pub(crate) fn can_cut(&self) -> bool {
        // SAFETY: the context is alive.
        let memory = unsafe { sys::llama_get_memory(self.raw()) };
        // SAFETY: the memory belongs to the context.
        unsafe { sys::llama_memory_can_shift(memory) }
    }

    /// Removes the positions from `from` to `to` and moves what follows down. False if the model cannot.
    pub(crate) fn cut(&mut self, slot: i32, from: u32, to: u32) -> bool {
        let (from, to) = (from.cast_signed(), to.cast_signed());
        // SAFETY: the context is alive.
        let memory = unsafe { sys::llama_get_memory(self.raw()) };
        // SAFETY: the memory belongs to the context.
        if !unsafe { sys::llama_memory_can_shift(memory) } {
            return false;
        }
        // SAFETY: the context is alive; exceptions are caught by the shim.
        if unsafe { ffi::rkllmjs_llama_remove(self.raw(), slot, from, to) } != 1 {
            return false;
        }
        // SAFETY: the memory belongs to the context and can shift.
        unsafe { sys::llama_memory_seq_add(memory, slot, to, -1, from - to) };
        true
    }

    /// Makes the next computations give hidden states, or stop giving them.
    pub(crate) fn show_hidden(&mut self, shown: Hidden) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_set_embeddings(self.raw(), shown == Hidden::Shown) };
    }

    /// The hidden state after the batch's token `index`, while hidden states are shown.
    pub(crate) fn hidden(&mut self, index: i32) -> Result<&[f32], Error> {
        // SAFETY: the context is alive; an unknown index gives null.
        let values = unsafe { sys::llama_get_embeddings_ith(self.raw(), index) };
        if values.is_null() {
            return Err(failed(format!("no hidden state for token {index} of the batch")));
        }
        // SAFETY: the vector has as many values as the model's output embedding, until the next
        // computation, which needs `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(values, self.model.embedding_size()) })
    }

    /// What the cache holds of a sequence, as bytes for [`Context::restore`]; none where there is no memory.
    pub(crate) fn save(&mut self, slot: i32) -> Vec<u8> {
        self.try_save(slot).unwrap_or_default()
    }

    /// The same, or why not.
    pub(crate) fn try_save(&mut self, slot: i32) -> Result<Vec<u8>, Error> {
        // SAFETY: the context is alive; llama.cpp catches its own exceptions here.
        let size = unsafe { sys::llama_state_seq_get_size(self.raw(), slot) };
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| {
            Error::new(ErrorCode::InsufficientMemory, format!("there is no memory for {size} bytes of cells"))
        })?;
        bytes.resize(size, 0);
        // SAFETY: the buffer has `size` bytes; llama.cpp catches its own exceptions here.
        let written = unsafe { sys::llama_state_seq_get_data(self.raw(), bytes.as_mut_ptr(), size, slot) };
        bytes.truncate(written);
        Ok(bytes)
    }

    /// Cells that nobody holds; 0 in a memory of another kind than [`Context::can_share`] is true for.
    pub(crate) fn free_cells(&mut self) -> u32 {
        // SAFETY: the context is alive; exceptions are caught by the shim.
        let free = unsafe { ffi::rkllmjs_llama_free_cells(self.raw()) };
        u32::try_from(free).unwrap_or(0)
    }

    /// Bytes that each cell has in [`Context::save`] besides its position and its owners.
    pub(crate) fn extra_cell_bytes(&mut self) -> Option<usize> {
        // SAFETY: the context is alive; exceptions are caught by the shim.
        let extra = unsafe { ffi::rkllmjs_llama_extra_cell_bytes(self.raw()) };
        usize::try_from(extra).ok()
    }

    /// Makes a sequence what [`Context::save`] found. False if the bytes do not fit this model.
    pub(crate) fn restore(&mut self, slot: i32, bytes: &[u8]) -> bool {
        // SAFETY: the buffer has that many bytes; llama.cpp catches its own exceptions here.
        let read = unsafe { sys::llama_state_seq_set_data(self.raw(), bytes.as_ptr(), bytes.len(), slot) };
        read == bytes.len() && read > 0
    }

    /// Forgets every sequence.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the context is alive; exceptions are caught by the shim.
        unsafe { ffi::rkllmjs_llama_clear(self.raw()) };
    }

    /// The logits after the batch's token `index`, which must have asked for output.
    pub(crate) fn logits(&mut self, index: i32, vocabulary_size: u32) -> Result<&[f32], Error> {
        // SAFETY: the context is alive; an unknown index gives null.
        let logits = unsafe { sys::llama_get_logits_ith(self.raw(), index) };
        if logits.is_null() {
            return Err(failed(format!("no logits for token {index} of the batch")));
        }
        // SAFETY: llama.cpp keeps one float per vocabulary entry until the next computation, which
        // needs `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(logits, vocabulary_size as usize) })
    }

    /// The pooled vector of a sequence after the last computation.
    pub(crate) fn embedding(&mut self, slot: i32) -> Result<&[f32], Error> {
        // SAFETY: the context is alive; an unknown sequence gives null.
        let values = unsafe { sys::llama_get_embeddings_seq(self.raw(), slot) };
        if values.is_null() {
            return Err(failed("the model made no embedding".to_owned()));
        }
        // SAFETY: the vector has that many values until the next computation, which needs `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(values, self.pooled_length()) })
    }

    /// How many values the pooled vector of a sequence has.
    fn pooled_length(&self) -> usize {
        // SAFETY: the context is alive.
        if unsafe { sys::llama_pooling_type(self.raw()) } == sys::LLAMA_POOLING_TYPE_RANK {
            self.model.head_outputs()
        } else {
            self.model.embedding_size()
        }
    }

    /// Makes the next computations run under these adapters, and no others.
    pub(crate) fn set_adapters(&mut self, adapters: &[(&Adapter, f32)]) -> Result<(), Error> {
        let mut raw: Vec<_> = adapters.iter().map(|(adapter, _)| adapter.raw()).collect();
        let mut scales: Vec<f32> = adapters.iter().map(|&(_, scale)| scale).collect();
        // SAFETY: both arrays have `raw.len()` entries; the adapters belong to this model and outlive
        // their use, because the engine unloads one only after setting others.
        let status = unsafe {
            ffi::rkllmjs_llama_set_adapters(self.raw(), raw.as_mut_ptr(), raw.len(), scales.as_mut_ptr())
        };
        if status == 0 { Ok(()) } else { Err(failed(format!("llama.cpp refused the adapters ({status})"))) }
    }

    /// Makes the next computations run under this control, a row for each layer from the second on, or under
    /// none where there is no row.
    pub(crate) fn set_control(&mut self, rows: &[f32]) -> Result<(), Error> {
        // SAFETY: the model is alive.
        let width = unsafe { sys::llama_model_n_embd(self.model.raw()) };
        // SAFETY: the model is alive.
        let layers = unsafe { sys::llama_model_n_layer(self.model.raw()) };
        let data = if rows.is_empty() { std::ptr::null() } else { rows.as_ptr() };
        // SAFETY: `rows` has that many numbers, which are copied; exceptions are caught by the shim.
        let status = unsafe { ffi::rkllmjs_llama_set_control(self.raw(), data, rows.len(), width, layers) };
        if status == 0 {
            Ok(())
        } else {
            Err(failed(format!("llama.cpp refused the control vector ({status})")))
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: freed once, before its pools, its flag and its model.
        unsafe { sys::llama_free(self.raw()) }
    }
}

fn failed(message: String) -> Error {
    Error::new(ErrorCode::EngineFailed, message)
}
