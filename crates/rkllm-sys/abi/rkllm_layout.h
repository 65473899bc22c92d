/*
 * What the compiler must find: the size of every struct, and the offset and size of every field, as measured on
 * AArch64 and x86-64, which agree.
 */
#ifndef RKLLMJS_RKLLM_LAYOUT_H
#define RKLLMJS_RKLLM_LAYOUT_H

#define RKLLM_SIZE(type, bytes, alignment)                                       \
  _Static_assert(sizeof(type) == (bytes), #type " has another size");            \
  _Static_assert(_Alignof(type) == (alignment), #type " has another alignment")

#define RKLLM_FIELD(type, field, offset, bytes)                                            \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field " is elsewhere");     \
  _Static_assert(sizeof(((type *)0)->field) == (bytes), #type "." #field " has another size")

_Static_assert(sizeof(void *) == 8, "RKLLM is for 64-bit machines");
RKLLM_SIZE(rkllm_call_state, 4, 4);
RKLLM_SIZE(rkllm_input_type, 4, 4);
RKLLM_SIZE(rkllm_infer_mode, 4, 4);

/* ---- 1.2.1 to 1.2.3 ------------------------------------------------------------ */

RKLLM_SIZE(rkllm12_extend_param, 120, 4);
RKLLM_FIELD(rkllm12_extend_param, base_domain_id, 0, 4);
RKLLM_FIELD(rkllm12_extend_param, embed_flash, 4, 1);
RKLLM_FIELD(rkllm12_extend_param, enabled_cpus_num, 5, 1);
RKLLM_FIELD(rkllm12_extend_param, enabled_cpus_mask, 8, 4);
RKLLM_FIELD(rkllm12_extend_param, n_batch, 12, 1);
RKLLM_FIELD(rkllm12_extend_param, use_cross_attn, 13, 1);
RKLLM_FIELD(rkllm12_extend_param, reserved, 14, 104);

RKLLM_SIZE(rkllm12_param, 208, 8);
RKLLM_FIELD(rkllm12_param, model_path, 0, 8);
RKLLM_FIELD(rkllm12_param, max_context_len, 8, 4);
RKLLM_FIELD(rkllm12_param, max_new_tokens, 12, 4);
RKLLM_FIELD(rkllm12_param, top_k, 16, 4);
RKLLM_FIELD(rkllm12_param, n_keep, 20, 4);
RKLLM_FIELD(rkllm12_param, top_p, 24, 4);
RKLLM_FIELD(rkllm12_param, temperature, 28, 4);
RKLLM_FIELD(rkllm12_param, repeat_penalty, 32, 4);
RKLLM_FIELD(rkllm12_param, frequency_penalty, 36, 4);
RKLLM_FIELD(rkllm12_param, presence_penalty, 40, 4);
RKLLM_FIELD(rkllm12_param, mirostat, 44, 4);
RKLLM_FIELD(rkllm12_param, mirostat_tau, 48, 4);
RKLLM_FIELD(rkllm12_param, mirostat_eta, 52, 4);
RKLLM_FIELD(rkllm12_param, skip_special_token, 56, 1);
RKLLM_FIELD(rkllm12_param, is_async, 57, 1);
RKLLM_FIELD(rkllm12_param, img_start, 64, 8);
RKLLM_FIELD(rkllm12_param, img_end, 72, 8);
RKLLM_FIELD(rkllm12_param, img_content, 80, 8);
RKLLM_FIELD(rkllm12_param, extend_param, 88, 120);

RKLLM_SIZE(rkllm12_lora_adapter, 24, 8);
RKLLM_FIELD(rkllm12_lora_adapter, lora_adapter_path, 0, 8);
RKLLM_FIELD(rkllm12_lora_adapter, lora_adapter_name, 8, 8);
RKLLM_FIELD(rkllm12_lora_adapter, scale, 16, 4);

RKLLM_SIZE(rkllm12_embed_input, 16, 8);
RKLLM_FIELD(rkllm12_embed_input, embed, 0, 8);
RKLLM_FIELD(rkllm12_embed_input, n_tokens, 8, 8);

RKLLM_SIZE(rkllm12_token_input, 16, 8);
RKLLM_FIELD(rkllm12_token_input, input_ids, 0, 8);
RKLLM_FIELD(rkllm12_token_input, n_tokens, 8, 8);

RKLLM_SIZE(rkllm12_multimodal_input, 48, 8);
RKLLM_FIELD(rkllm12_multimodal_input, prompt, 0, 8);
RKLLM_FIELD(rkllm12_multimodal_input, image_embed, 8, 8);
RKLLM_FIELD(rkllm12_multimodal_input, n_image_tokens, 16, 8);
RKLLM_FIELD(rkllm12_multimodal_input, n_image, 24, 8);
RKLLM_FIELD(rkllm12_multimodal_input, image_width, 32, 8);
RKLLM_FIELD(rkllm12_multimodal_input, image_height, 40, 8);

RKLLM_SIZE(rkllm12_input, 64, 8);
RKLLM_FIELD(rkllm12_input, role, 0, 8);
RKLLM_FIELD(rkllm12_input, enable_thinking, 8, 1);
RKLLM_FIELD(rkllm12_input, input_type, 12, 4);
RKLLM_FIELD(rkllm12_input, value.prompt_input, 16, 8);
RKLLM_FIELD(rkllm12_input, value.embed_input, 16, 16);
RKLLM_FIELD(rkllm12_input, value.token_input, 16, 16);
RKLLM_FIELD(rkllm12_input, value.multimodal_input, 16, 48);

RKLLM_SIZE(rkllm12_lora_param, 8, 8);
RKLLM_FIELD(rkllm12_lora_param, lora_adapter_name, 0, 8);

RKLLM_SIZE(rkllm12_prompt_cache_param, 16, 8);
RKLLM_FIELD(rkllm12_prompt_cache_param, save_prompt_cache, 0, 4);
RKLLM_FIELD(rkllm12_prompt_cache_param, prompt_cache_path, 8, 8);

RKLLM_SIZE(rkllm12_cross_attn_param, 40, 8);
RKLLM_FIELD(rkllm12_cross_attn_param, encoder_k_cache, 0, 8);
RKLLM_FIELD(rkllm12_cross_attn_param, encoder_v_cache, 8, 8);
RKLLM_FIELD(rkllm12_cross_attn_param, encoder_mask, 16, 8);
RKLLM_FIELD(rkllm12_cross_attn_param, encoder_pos, 24, 8);
RKLLM_FIELD(rkllm12_cross_attn_param, num_tokens, 32, 4);

RKLLM_SIZE(rkllm12_infer_param, 32, 8);
RKLLM_FIELD(rkllm12_infer_param, mode, 0, 4);
RKLLM_FIELD(rkllm12_infer_param, lora_params, 8, 8);
RKLLM_FIELD(rkllm12_infer_param, prompt_cache_params, 16, 8);
RKLLM_FIELD(rkllm12_infer_param, keep_history, 24, 4);

RKLLM_SIZE(rkllm12_result_last_hidden_layer, 16, 8);
RKLLM_FIELD(rkllm12_result_last_hidden_layer, hidden_states, 0, 8);
RKLLM_FIELD(rkllm12_result_last_hidden_layer, embd_size, 8, 4);
RKLLM_FIELD(rkllm12_result_last_hidden_layer, num_tokens, 12, 4);

RKLLM_SIZE(rkllm12_result_logits, 16, 8);
RKLLM_FIELD(rkllm12_result_logits, logits, 0, 8);
RKLLM_FIELD(rkllm12_result_logits, vocab_size, 8, 4);
RKLLM_FIELD(rkllm12_result_logits, num_tokens, 12, 4);

RKLLM_SIZE(rkllm12_perf_stat, 20, 4);
RKLLM_FIELD(rkllm12_perf_stat, prefill_time_ms, 0, 4);
RKLLM_FIELD(rkllm12_perf_stat, prefill_tokens, 4, 4);
RKLLM_FIELD(rkllm12_perf_stat, generate_time_ms, 8, 4);
RKLLM_FIELD(rkllm12_perf_stat, generate_tokens, 12, 4);
RKLLM_FIELD(rkllm12_perf_stat, memory_usage_mb, 16, 4);

RKLLM_SIZE(rkllm12_result, 72, 8);
RKLLM_FIELD(rkllm12_result, text, 0, 8);
RKLLM_FIELD(rkllm12_result, token_id, 8, 4);
RKLLM_FIELD(rkllm12_result, last_hidden_layer, 16, 16);
RKLLM_FIELD(rkllm12_result, logits, 32, 16);
RKLLM_FIELD(rkllm12_result, perf, 48, 20);

/* ---- 1.3.1 ------------------------------------------------------------ */

RKLLM_SIZE(rkllm13_extend_param, 120, 4);
RKLLM_FIELD(rkllm13_extend_param, base_domain_id, 0, 4);
RKLLM_FIELD(rkllm13_extend_param, embed_flash, 4, 1);
RKLLM_FIELD(rkllm13_extend_param, enabled_cpus_num, 5, 1);
RKLLM_FIELD(rkllm13_extend_param, enabled_cpus_mask, 8, 4);
RKLLM_FIELD(rkllm13_extend_param, n_batch, 12, 1);
RKLLM_FIELD(rkllm13_extend_param, use_cross_attn, 13, 1);
RKLLM_FIELD(rkllm13_extend_param, reserved, 14, 104);

RKLLM_SIZE(rkllm13_param, 184, 8);
RKLLM_FIELD(rkllm13_param, model_path, 0, 8);
RKLLM_FIELD(rkllm13_param, max_context_len, 8, 4);
RKLLM_FIELD(rkllm13_param, max_new_tokens, 12, 4);
RKLLM_FIELD(rkllm13_param, top_k, 16, 4);
RKLLM_FIELD(rkllm13_param, n_keep, 20, 4);
RKLLM_FIELD(rkllm13_param, top_p, 24, 4);
RKLLM_FIELD(rkllm13_param, temperature, 28, 4);
RKLLM_FIELD(rkllm13_param, repeat_penalty, 32, 4);
RKLLM_FIELD(rkllm13_param, frequency_penalty, 36, 4);
RKLLM_FIELD(rkllm13_param, presence_penalty, 40, 4);
RKLLM_FIELD(rkllm13_param, mirostat, 44, 4);
RKLLM_FIELD(rkllm13_param, mirostat_tau, 48, 4);
RKLLM_FIELD(rkllm13_param, mirostat_eta, 52, 4);
RKLLM_FIELD(rkllm13_param, skip_special_token, 56, 1);
RKLLM_FIELD(rkllm13_param, ignore_eos_token, 57, 1);
RKLLM_FIELD(rkllm13_param, is_async, 58, 1);
RKLLM_FIELD(rkllm13_param, extend_param, 60, 120);

RKLLM_SIZE(rkllm13_lora_adapter, 24, 8);
RKLLM_FIELD(rkllm13_lora_adapter, lora_adapter_path, 0, 8);
RKLLM_FIELD(rkllm13_lora_adapter, lora_adapter_name, 8, 8);
RKLLM_FIELD(rkllm13_lora_adapter, scale, 16, 4);

RKLLM_SIZE(rkllm13_embed_input, 16, 8);
RKLLM_FIELD(rkllm13_embed_input, embed, 0, 8);
RKLLM_FIELD(rkllm13_embed_input, n_tokens, 8, 8);

RKLLM_SIZE(rkllm13_token_input, 16, 8);
RKLLM_FIELD(rkllm13_token_input, input_ids, 0, 8);
RKLLM_FIELD(rkllm13_token_input, n_tokens, 8, 8);

RKLLM_SIZE(rkllm13_multimodal_input, 192, 8);
RKLLM_FIELD(rkllm13_multimodal_input, prompt, 0, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image, 8, 64);
RKLLM_FIELD(rkllm13_multimodal_input, image.image_embed, 8, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.n_image_tokens, 16, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.n_image, 24, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.image_start, 32, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.image_end, 40, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.image_content, 48, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.image_width, 56, 8);
RKLLM_FIELD(rkllm13_multimodal_input, image.image_height, 64, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video, 72, 72);
RKLLM_FIELD(rkllm13_multimodal_input, video.video_embed, 72, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.n_frame_tokens, 80, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.n_frame_per_video, 88, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.n_video, 96, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.video_start, 104, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.video_end, 112, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.video_content, 120, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.frame_width, 128, 8);
RKLLM_FIELD(rkllm13_multimodal_input, video.frame_height, 136, 8);
RKLLM_FIELD(rkllm13_multimodal_input, audio, 144, 48);
RKLLM_FIELD(rkllm13_multimodal_input, audio.audio_embed, 144, 8);
RKLLM_FIELD(rkllm13_multimodal_input, audio.n_audio_tokens, 152, 8);
RKLLM_FIELD(rkllm13_multimodal_input, audio.n_audio, 160, 8);
RKLLM_FIELD(rkllm13_multimodal_input, audio.audio_start, 168, 8);
RKLLM_FIELD(rkllm13_multimodal_input, audio.audio_end, 176, 8);
RKLLM_FIELD(rkllm13_multimodal_input, audio.audio_content, 184, 8);

RKLLM_SIZE(rkllm13_input, 208, 8);
RKLLM_FIELD(rkllm13_input, role, 0, 8);
RKLLM_FIELD(rkllm13_input, enable_thinking, 8, 1);
RKLLM_FIELD(rkllm13_input, input_type, 12, 4);
RKLLM_FIELD(rkllm13_input, value.prompt_input, 16, 8);
RKLLM_FIELD(rkllm13_input, value.embed_input, 16, 16);
RKLLM_FIELD(rkllm13_input, value.token_input, 16, 16);
RKLLM_FIELD(rkllm13_input, value.multimodal_input, 16, 192);

RKLLM_SIZE(rkllm13_lora_param, 8, 8);
RKLLM_FIELD(rkllm13_lora_param, lora_adapter_name, 0, 8);

RKLLM_SIZE(rkllm13_prompt_cache_param, 16, 8);
RKLLM_FIELD(rkllm13_prompt_cache_param, save_prompt_cache, 0, 4);
RKLLM_FIELD(rkllm13_prompt_cache_param, prompt_cache_path, 8, 8);

RKLLM_SIZE(rkllm13_cross_attn_param, 40, 8);
RKLLM_FIELD(rkllm13_cross_attn_param, encoder_k_cache, 0, 8);
RKLLM_FIELD(rkllm13_cross_attn_param, encoder_v_cache, 8, 8);
RKLLM_FIELD(rkllm13_cross_attn_param, encoder_mask, 16, 8);
RKLLM_FIELD(rkllm13_cross_attn_param, encoder_pos, 24, 8);
RKLLM_FIELD(rkllm13_cross_attn_param, num_tokens, 32, 4);

RKLLM_SIZE(rkllm13_sampling_param, 36, 4);
RKLLM_FIELD(rkllm13_sampling_param, top_k, 0, 4);
RKLLM_FIELD(rkllm13_sampling_param, top_p, 4, 4);
RKLLM_FIELD(rkllm13_sampling_param, temperature, 8, 4);
RKLLM_FIELD(rkllm13_sampling_param, repeat_penalty, 12, 4);
RKLLM_FIELD(rkllm13_sampling_param, frequency_penalty, 16, 4);
RKLLM_FIELD(rkllm13_sampling_param, presence_penalty, 20, 4);
RKLLM_FIELD(rkllm13_sampling_param, mirostat, 24, 4);
RKLLM_FIELD(rkllm13_sampling_param, mirostat_tau, 28, 4);
RKLLM_FIELD(rkllm13_sampling_param, mirostat_eta, 32, 4);

RKLLM_SIZE(rkllm13_infer_param, 40, 8);
RKLLM_FIELD(rkllm13_infer_param, mode, 0, 4);
RKLLM_FIELD(rkllm13_infer_param, lora_params, 8, 8);
RKLLM_FIELD(rkllm13_infer_param, prompt_cache_params, 16, 8);
RKLLM_FIELD(rkllm13_infer_param, sampling_params, 24, 8);
RKLLM_FIELD(rkllm13_infer_param, keep_history, 32, 4);
RKLLM_FIELD(rkllm13_infer_param, max_new_tokens, 36, 4);

RKLLM_SIZE(rkllm13_result_last_hidden_layer, 16, 8);
RKLLM_FIELD(rkllm13_result_last_hidden_layer, hidden_states, 0, 8);
RKLLM_FIELD(rkllm13_result_last_hidden_layer, embd_size, 8, 4);
RKLLM_FIELD(rkllm13_result_last_hidden_layer, num_tokens, 12, 4);

RKLLM_SIZE(rkllm13_result_logits, 16, 8);
RKLLM_FIELD(rkllm13_result_logits, logits, 0, 8);
RKLLM_FIELD(rkllm13_result_logits, vocab_size, 8, 4);
RKLLM_FIELD(rkllm13_result_logits, num_tokens, 12, 4);

RKLLM_SIZE(rkllm13_perf_stat, 20, 4);
RKLLM_FIELD(rkllm13_perf_stat, prefill_time_ms, 0, 4);
RKLLM_FIELD(rkllm13_perf_stat, prefill_tokens, 4, 4);
RKLLM_FIELD(rkllm13_perf_stat, generate_time_ms, 8, 4);
RKLLM_FIELD(rkllm13_perf_stat, generate_tokens, 12, 4);
RKLLM_FIELD(rkllm13_perf_stat, memory_usage_mb, 16, 4);

RKLLM_SIZE(rkllm13_result, 72, 8);
RKLLM_FIELD(rkllm13_result, text, 0, 8);
RKLLM_FIELD(rkllm13_result, token_id, 8, 4);
RKLLM_FIELD(rkllm13_result, last_hidden_layer, 16, 16);
RKLLM_FIELD(rkllm13_result, logits, 32, 16);
RKLLM_FIELD(rkllm13_result, perf, 48, 20);

RKLLM_SIZE(rkllm13_callback, 48, 8);
RKLLM_FIELD(rkllm13_callback, result_callback, 0, 8);
RKLLM_FIELD(rkllm13_callback, result_userdata, 8, 8);
RKLLM_FIELD(rkllm13_callback, tokenizer_callback, 16, 8);
RKLLM_FIELD(rkllm13_callback, tokenizer_userdata, 24, 8);
RKLLM_FIELD(rkllm13_callback, embed_callback, 32, 8);
RKLLM_FIELD(rkllm13_callback, embed_userdata, 40, 8);

/* ---- 1.3.0 ------------------------------------------------------------ */

RKLLM_SIZE(rkllm130_multimodal_input, 144, 8);
RKLLM_FIELD(rkllm130_multimodal_input, prompt, 0, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image, 8, 64);
RKLLM_FIELD(rkllm130_multimodal_input, image.image_embed, 8, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.n_image_tokens, 16, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.n_image, 24, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.image_start, 32, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.image_end, 40, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.image_content, 48, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.image_width, 56, 8);
RKLLM_FIELD(rkllm130_multimodal_input, image.image_height, 64, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video, 72, 72);
RKLLM_FIELD(rkllm130_multimodal_input, video.video_embed, 72, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.n_frame_tokens, 80, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.n_frame_per_video, 88, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.n_video, 96, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.video_start, 104, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.video_end, 112, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.video_content, 120, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.frame_width, 128, 8);
RKLLM_FIELD(rkllm130_multimodal_input, video.frame_height, 136, 8);

RKLLM_SIZE(rkllm130_input, 160, 8);
RKLLM_FIELD(rkllm130_input, role, 0, 8);
RKLLM_FIELD(rkllm130_input, enable_thinking, 8, 1);
RKLLM_FIELD(rkllm130_input, input_type, 12, 4);
RKLLM_FIELD(rkllm130_input, value.prompt_input, 16, 8);
RKLLM_FIELD(rkllm130_input, value.embed_input, 16, 16);
RKLLM_FIELD(rkllm130_input, value.token_input, 16, 16);
RKLLM_FIELD(rkllm130_input, value.multimodal_input, 16, 144);

#endif
