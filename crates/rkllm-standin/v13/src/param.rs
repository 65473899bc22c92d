//! The settings of a model.

use rkllmjs_rkllm_standin::{Config, Cpus, Family, SamplingConfig};
use rkllmjs_rkllm_standin_abi as abi;
use rkllmjs_rkllm_sys::rkllm13_param;

/// The settings at `param`; none if there is no path.
///
/// # Safety
///
/// The path is null or ends in NUL.
pub(crate) unsafe fn config(param: &rkllm13_param) -> Option<Config> {
    // SAFETY: the caller's promise.
    let path = unsafe { abi::text(param.model_path) }?;
    let extend = &param.extend_param;
    Some(Config {
        family: Family::V13,
        model_path: path.into(),
        max_context_len: param.max_context_len,
        max_new_tokens: param.max_new_tokens,
        n_keep: param.n_keep,
        sampling: SamplingConfig {
            top_k: param.top_k,
            top_p: param.top_p,
            temperature: param.temperature,
            repeat_penalty: param.repeat_penalty,
            frequency_penalty: param.frequency_penalty,
            presence_penalty: param.presence_penalty,
            mirostat: param.mirostat,
            mirostat_tau: param.mirostat_tau,
            mirostat_eta: param.mirostat_eta,
        },
        skip_special_token: param.skip_special_token != 0,
        ignore_eos_token: param.ignore_eos_token != 0,
        is_async: param.is_async != 0,
        cpus: Cpus { count: extend.enabled_cpus_num, mask: extend.enabled_cpus_mask },
        n_batch: u32::from(extend.n_batch),
        reserved: extend.reserved.to_vec(),
    })
}
