/*
 * The data layouts and function types of Rockchip's RKLLM runtime, in our own words.
 *
 * Two interfaces live behind the same symbol names:
 *   rkllm12_*  the releases 1.2.1, 1.2.2 and 1.2.3
 *   rkllm13_*  the release 1.3.1; 1.3.0 differs in its input alone, which is rkllm130_*
 *
 * Functions are pointer types only, since the library is opened at run time. Flags are bytes, not bool:
 * a library may write any value. Every size and offset is asserted at the end of this file.
 */
#ifndef RKLLMJS_RKLLM_ABI_H
#define RKLLMJS_RKLLM_ABI_H

#include <stddef.h>
#include <stdint.h>

/* ---- Both families --------------------------------------------------------------------------------- */

/** A loaded model. Null until rkllm_init succeeds, invalid after rkllm_destroy. */
typedef void *rkllm_handle;

/** One bit for each processor that `enabled_cpus_mask` may name. */
typedef enum rkllm_cpu {
  RKLLM_CPU0 = 0x01,
  RKLLM_CPU1 = 0x02,
  RKLLM_CPU2 = 0x04,
  RKLLM_CPU3 = 0x08,
  RKLLM_CPU4 = 0x10,
  RKLLM_CPU5 = 0x20,
  RKLLM_CPU6 = 0x40,
  RKLLM_CPU7 = 0x80
} rkllm_cpu;

/** Why the result callback is called. */
typedef enum rkllm_call_state {
  RKLLM_RUN_NORMAL = 0,  /**< A token, or the output that another mode asked for. */
  RKLLM_RUN_WAITING = 1, /**< A token whose character is not complete yet. */
  RKLLM_RUN_FINISH = 2,  /**< The run is over; the measurements are filled in. */
  RKLLM_RUN_ERROR = 3    /**< The run failed. */
} rkllm_call_state;

/** What the result callback wants next. */
typedef enum rkllm_callback_answer {
  RKLLM_CALLBACK_CONTINUE = 0,
  RKLLM_CALLBACK_PAUSE = 1,  /**< End the run and keep its cache; for single turns. */
  RKLLM_CALLBACK_RELEASE = 2 /**< Free the buffer of hidden states or logits; 1.3 and newer. */
} rkllm_callback_answer;

/** Which member of an input is meant. */
typedef enum rkllm_input_type {
  RKLLM_INPUT_PROMPT = 0,
  RKLLM_INPUT_TOKEN = 1,
  RKLLM_INPUT_EMBED = 2,
  RKLLM_INPUT_MULTIMODAL = 3
} rkllm_input_type;

/** What a run computes. */
typedef enum rkllm_infer_mode {
  RKLLM_INFER_GENERATE = 0,
  RKLLM_INFER_GET_LAST_HIDDEN_LAYER = 1,
  RKLLM_INFER_GET_LOGITS = 2
} rkllm_infer_mode;

/* ---- 1.2.1 to 1.2.3 -------------------------------------------------------------------------------- */

/** Settings of the device, inside the settings of a model. */
typedef struct rkllm12_extend_param {
  int32_t base_domain_id;     /**< First memory domain of the NPU to use. */
  int8_t embed_flash;         /**< 1 leaves the token embeddings on disk. */
  int8_t enabled_cpus_num;    /**< Processors to use; as many as the mask has bits. */
  uint32_t enabled_cpus_mask; /**< Bits of rkllm_cpu. */
  uint8_t n_batch;            /**< Inputs of one run. */
  int8_t use_cross_attn;      /**< 1 for models with cross attention. */
  uint8_t reserved[104];
} rkllm12_extend_param;

/** Settings of a model, fixed when it is loaded. */
typedef struct rkllm12_param {
  const char *model_path;
  int32_t max_context_len;
  int32_t max_new_tokens; /**< -1 has no limit but the context. */
  int32_t top_k;
  int32_t n_keep; /**< Positions at the start that survive a full context; -1 for none. */
  float top_p;
  float temperature;
  float repeat_penalty;
  float frequency_penalty;
  float presence_penalty;
  int32_t mirostat;
  float mirostat_tau;
  float mirostat_eta;
  uint8_t skip_special_token;
  uint8_t is_async;
  const char *img_start;
  const char *img_end;
  const char *img_content;
  rkllm12_extend_param extend_param;
} rkllm12_param;

/** An adapter to load. */
typedef struct rkllm12_lora_adapter {
  const char *lora_adapter_path;
  const char *lora_adapter_name;
  float scale;
} rkllm12_lora_adapter;

/** An input of embeddings, n_tokens rows. */
typedef struct rkllm12_embed_input {
  float *embed;
  size_t n_tokens;
} rkllm12_embed_input;

/** An input of token ids. */
typedef struct rkllm12_token_input {
  int32_t *input_ids;
  size_t n_tokens;
} rkllm12_token_input;

/** An input of text with images already encoded. */
typedef struct rkllm12_multimodal_input {
  char *prompt;
  float *image_embed;
  size_t n_image_tokens;
  size_t n_image;
  size_t image_width;
  size_t image_height;
} rkllm12_multimodal_input;

/** The member of an input that its input_type names. */
typedef union rkllm12_input_value {
  const char *prompt_input;
  rkllm12_embed_input embed_input;
  rkllm12_token_input token_input;
  rkllm12_multimodal_input multimodal_input;
} rkllm12_input_value;

/** What a run reads. */
typedef struct rkllm12_input {
  const char *role; /**< "user" or "tool". */
  uint8_t enable_thinking;
  rkllm_input_type input_type;
  rkllm12_input_value value;
} rkllm12_input;

/** Which loaded adapter a run uses. */
typedef struct rkllm12_lora_param {
  const char *lora_adapter_name;
} rkllm12_lora_param;

/** Whether and where a run saves its cache. */
typedef struct rkllm12_prompt_cache_param {
  int save_prompt_cache;
  const char *prompt_cache_path;
} rkllm12_prompt_cache_param;

/** What an encoder made for a model with cross attention. */
typedef struct rkllm12_cross_attn_param {
  float *encoder_k_cache;
  float *encoder_v_cache;
  float *encoder_mask;
  int32_t *encoder_pos;
  int num_tokens;
} rkllm12_cross_attn_param;

/** How one run goes. */
typedef struct rkllm12_infer_param {
  rkllm_infer_mode mode;
  rkllm12_lora_param *lora_params;
  rkllm12_prompt_cache_param *prompt_cache_params;
  int keep_history;
} rkllm12_infer_param;

/** Hidden states, num_tokens rows of embd_size. */
typedef struct rkllm12_result_last_hidden_layer {
  const float *hidden_states;
  int embd_size;
  int num_tokens;
} rkllm12_result_last_hidden_layer;

/** Logits, num_tokens rows of vocab_size. */
typedef struct rkllm12_result_logits {
  const float *logits;
  int vocab_size;
  int num_tokens;
} rkllm12_result_logits;

/** Measurements of a finished run. */
typedef struct rkllm12_perf_stat {
  float prefill_time_ms;
  int prefill_tokens;
  float generate_time_ms;
  int generate_tokens;
  float memory_usage_mb;
} rkllm12_perf_stat;

/** What the result callback is shown; valid until it returns. */
typedef struct rkllm12_result {
  const char *text;
  int32_t token_id;
  rkllm12_result_last_hidden_layer last_hidden_layer;
  rkllm12_result_logits logits;
  rkllm12_perf_stat perf;
} rkllm12_result;

/** Takes results; answers with an rkllm_callback_answer. */
typedef int (*rkllm12_result_callback)(rkllm12_result *result, void *userdata, rkllm_call_state state);

/** rkllm_createDefaultParam: writes most fields, not all. */
typedef rkllm12_param (*rkllm12_create_default_param_fn)(void);
/** rkllm_init: loads a model; here the callback is a function. */
typedef int (*rkllm12_init_fn)(rkllm_handle *handle, rkllm12_param *param, rkllm12_result_callback callback);
/** rkllm_load_lora */
typedef int (*rkllm12_load_lora_fn)(rkllm_handle handle, rkllm12_lora_adapter *adapter);
/** rkllm_load_prompt_cache */
typedef int (*rkllm12_load_prompt_cache_fn)(rkllm_handle handle, const char *prompt_cache_path);
/** rkllm_release_prompt_cache */
typedef int (*rkllm12_release_prompt_cache_fn)(rkllm_handle handle);
/** rkllm_destroy */
typedef int (*rkllm12_destroy_fn)(rkllm_handle handle);
/** rkllm_run: blocks, and calls back on the calling thread. */
typedef int (*rkllm12_run_fn)(rkllm_handle handle, rkllm12_input *input, rkllm12_infer_param *param, void *userdata);
/** rkllm_run_async: unreliable in every release of 1.2. */
typedef int (*rkllm12_run_async_fn)(rkllm_handle handle, rkllm12_input *input, rkllm12_infer_param *param,
                                    void *userdata);
/** rkllm_abort: the one function that another thread may call during a run. */
typedef int (*rkllm12_abort_fn)(rkllm_handle handle);
/** rkllm_is_running: 0 while running. */
typedef int (*rkllm12_is_running_fn)(rkllm_handle handle);
/** rkllm_clear_kv_cache: positions are arrays with one entry for each input of a batch, or null. */
typedef int (*rkllm12_clear_kv_cache_fn)(rkllm_handle handle, int keep_system_prompt, int *start_pos, int *end_pos);
/** rkllm_set_chat_template */
typedef int (*rkllm12_set_chat_template_fn)(rkllm_handle handle, const char *system_prompt,
                                            const char *prompt_prefix, const char *prompt_postfix);
/** rkllm_get_kv_cache_size: writes one entry for each input of a batch. */
typedef int (*rkllm12_get_kv_cache_size_fn)(rkllm_handle handle, int *cache_sizes);
/** rkllm_set_function_tools */
typedef int (*rkllm12_set_function_tools_fn)(rkllm_handle handle, const char *system_prompt, const char *tools,
                                             const char *tool_response_str);
/** rkllm_set_cross_attn_params */
typedef int (*rkllm12_set_cross_attn_params_fn)(rkllm_handle handle, rkllm12_cross_attn_param *param);

/* ---- 1.3.1, and 1.3.0 where nothing else is said --------------------------------------------------- */

typedef rkllm12_extend_param rkllm13_extend_param;
typedef rkllm12_lora_adapter rkllm13_lora_adapter;
typedef rkllm12_embed_input rkllm13_embed_input;
typedef rkllm12_token_input rkllm13_token_input;
typedef rkllm12_lora_param rkllm13_lora_param;
typedef rkllm12_prompt_cache_param rkllm13_prompt_cache_param;
typedef rkllm12_cross_attn_param rkllm13_cross_attn_param;
typedef rkllm12_result_last_hidden_layer rkllm13_result_last_hidden_layer;
typedef rkllm12_result_logits rkllm13_result_logits;
typedef rkllm12_perf_stat rkllm13_perf_stat;
typedef rkllm12_result rkllm13_result;
typedef rkllm12_result_callback rkllm13_result_callback;

/** Settings of a model. Those of images went to the input, so that everything after is_async moved. */
typedef struct rkllm13_param {
  const char *model_path;
  int32_t max_context_len;
  int32_t max_new_tokens;
  int32_t top_k;
  int32_t n_keep;
  float top_p;
  float temperature;
  float repeat_penalty;
  float frequency_penalty;
  float presence_penalty;
  int32_t mirostat;
  float mirostat_tau;
  float mirostat_eta;
  uint8_t skip_special_token;
  uint8_t ignore_eos_token;
  uint8_t is_async;
  rkllm13_extend_param extend_param;
} rkllm13_param;

/** Images already encoded, and the text round them. */
typedef struct rkllm13_image_input {
  float *image_embed;
  size_t n_image_tokens;
  size_t n_image;
  const char *image_start;
  const char *image_end;
  const char *image_content;
  size_t image_width;
  size_t image_height;
} rkllm13_image_input;

/** Videos already encoded, and the text round them. */
typedef struct rkllm13_video_input {
  float *video_embed;
  size_t n_frame_tokens;
  size_t n_frame_per_video;
  size_t n_video;
  const char *video_start;
  const char *video_end;
  const char *video_content;
  size_t frame_width;
  size_t frame_height;
} rkllm13_video_input;

/** Sounds already encoded, and the text round them. */
typedef struct rkllm13_audio_input {
  float *audio_embed;
  size_t n_audio_tokens;
  size_t n_audio;
  const char *audio_start;
  const char *audio_end;
  const char *audio_content;
} rkllm13_audio_input;

/** An input of text with images, videos or sounds. */
typedef struct rkllm13_multimodal_input {
  char *prompt;
  rkllm13_image_input image;
  rkllm13_video_input video;
  rkllm13_audio_input audio;
} rkllm13_multimodal_input;

/** The member of an input that its input_type names. */
typedef union rkllm13_input_value {
  const char *prompt_input;
  rkllm13_embed_input embed_input;
  rkllm13_token_input token_input;
  rkllm13_multimodal_input multimodal_input;
} rkllm13_input_value;

/** What a run reads. A single one may be given to 1.3.0 too, which does not look at its end. */
typedef struct rkllm13_input {
  const char *role;
  uint8_t enable_thinking;
  rkllm_input_type input_type;
  rkllm13_input_value value;
} rkllm13_input;

/** The multimodal input of 1.3.0, which knows no sounds. */
typedef struct rkllm130_multimodal_input {
  char *prompt;
  rkllm13_image_input image;
  rkllm13_video_input video;
} rkllm130_multimodal_input;

/** The member of a 1.3.0 input that its input_type names. */
typedef union rkllm130_input_value {
  const char *prompt_input;
  rkllm13_embed_input embed_input;
  rkllm13_token_input token_input;
  rkllm130_multimodal_input multimodal_input;
} rkllm130_input_value;

/** The input of 1.3.0: what an array of inputs for that release is made of. */
typedef struct rkllm130_input {
  const char *role;
  uint8_t enable_thinking;
  rkllm_input_type input_type;
  rkllm130_input_value value;
} rkllm130_input;

/** Sampling of one run. */
typedef struct rkllm13_sampling_param {
  int32_t top_k;
  float top_p;
  float temperature;
  float repeat_penalty;
  float frequency_penalty;
  float presence_penalty;
  int32_t mirostat;
  float mirostat_tau;
  float mirostat_eta;
} rkllm13_sampling_param;

/** How one run goes. */
typedef struct rkllm13_infer_param {
  rkllm_infer_mode mode;
  rkllm13_lora_param *lora_params;
  rkllm13_prompt_cache_param *prompt_cache_params;
  rkllm13_sampling_param *sampling_params; /**< Null samples as the model was loaded. */
  int keep_history;
  int32_t max_new_tokens;
} rkllm13_infer_param;

/** Turns text into at most n_tokens_max token ids. */
typedef int (*rkllm13_tokenizer_callback)(void *userdata, const char *text, int32_t text_len, int32_t *tokens,
                                          int32_t n_tokens_max);
/** Writes the embeddings of tokens, len bytes at most. */
typedef int (*rkllm13_embed_callback)(void *userdata, int32_t *tokens, uint64_t num_tokens, void *embed,
                                      uint64_t len);

/** The callbacks of a model; keep it alive as long as the model. */
typedef struct rkllm13_callback {
  rkllm13_result_callback result_callback;
  void *result_userdata; /**< Used by runs whose own userdata is null. */
  rkllm13_tokenizer_callback tokenizer_callback;
  void *tokenizer_userdata;
  rkllm13_embed_callback embed_callback;
  void *embed_userdata;
} rkllm13_callback;

/** rkllm_createDefaultParam: writes most fields, not all. */
typedef rkllm13_param (*rkllm13_create_default_param_fn)(void);
/** rkllm_init: loads a model; here the callback is a pointer to a struct. */
typedef int (*rkllm13_init_fn)(rkllm_handle *handle, rkllm13_param *param, rkllm13_callback *callback);
/** rkllm_run: blocks, and calls back on the calling thread. */
typedef int (*rkllm13_run_fn)(rkllm_handle handle, rkllm13_input *input, rkllm13_infer_param *param, void *userdata);
/** rkllm_run_async */
typedef int (*rkllm13_run_async_fn)(rkllm_handle handle, rkllm13_input *input, rkllm13_infer_param *param,
                                    void *userdata);
/** rkllm_is_running: 1 while running, the opposite of 1.2. */
typedef int (*rkllm13_is_running_fn)(rkllm_handle handle);

typedef rkllm12_load_lora_fn rkllm13_load_lora_fn;
typedef rkllm12_load_prompt_cache_fn rkllm13_load_prompt_cache_fn;
typedef rkllm12_release_prompt_cache_fn rkllm13_release_prompt_cache_fn;
typedef rkllm12_destroy_fn rkllm13_destroy_fn;
typedef rkllm12_abort_fn rkllm13_abort_fn;
typedef rkllm12_clear_kv_cache_fn rkllm13_clear_kv_cache_fn;
typedef rkllm12_set_chat_template_fn rkllm13_set_chat_template_fn;
typedef rkllm12_get_kv_cache_size_fn rkllm13_get_kv_cache_size_fn;
typedef rkllm12_set_function_tools_fn rkllm13_set_function_tools_fn;
typedef rkllm12_set_cross_attn_params_fn rkllm13_set_cross_attn_params_fn;

#include "rkllm_layout.h"

#endif
