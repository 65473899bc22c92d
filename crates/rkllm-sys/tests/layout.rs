//! The layout Rust sees, field by field, against what was measured of the vendor's headers.

use std::mem::{align_of, offset_of, size_of};

use rkllmjs_rkllm_sys::*;

/// The bytes of the field a function reads; it is never called.
fn field_bytes<T, F>(_read: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// One test for each struct: its bytes and alignment, then the offset and the bytes of every field.
macro_rules! layout {
    ($($type:ident, $bytes:literal, $align:literal {
        $($($field:ident).+ @ $offset:literal, $size:literal;)*
    })*) => {
        $(
            #[test]
            fn $type() {
                assert_eq!(size_of::<rkllmjs_rkllm_sys::$type>(), $bytes);
                assert_eq!(align_of::<rkllmjs_rkllm_sys::$type>(), $align);
                $(
                    let name = stringify!($($field).+);
                    let offset = offset_of!(rkllmjs_rkllm_sys::$type, $($field).+);
                    assert_eq!(offset, $offset, "offset of {name}");
                    let bytes = field_bytes(|value: &rkllmjs_rkllm_sys::$type| &value.$($field).+);
                    assert_eq!(bytes, $size, "bytes of {name}");
                )*
            }
        )*
    };
}

layout! {
    rkllm12_extend_param, 120, 4 {
        base_domain_id @ 0, 4;
        embed_flash @ 4, 1;
        enabled_cpus_num @ 5, 1;
        enabled_cpus_mask @ 8, 4;
        n_batch @ 12, 1;
        use_cross_attn @ 13, 1;
        reserved @ 14, 104;
    }
    rkllm12_param, 208, 8 {
        model_path @ 0, 8;
        max_context_len @ 8, 4;
        max_new_tokens @ 12, 4;
        top_k @ 16, 4;
        n_keep @ 20, 4;
        top_p @ 24, 4;
        temperature @ 28, 4;
        repeat_penalty @ 32, 4;
        frequency_penalty @ 36, 4;
        presence_penalty @ 40, 4;
        mirostat @ 44, 4;
        mirostat_tau @ 48, 4;
        mirostat_eta @ 52, 4;
        skip_special_token @ 56, 1;
        is_async @ 57, 1;
        img_start @ 64, 8;
        img_end @ 72, 8;
        img_content @ 80, 8;
        extend_param @ 88, 120;
    }
    rkllm12_lora_adapter, 24, 8 {
        lora_adapter_path @ 0, 8;
        lora_adapter_name @ 8, 8;
        scale @ 16, 4;
    }
    rkllm12_embed_input, 16, 8 {
        embed @ 0, 8;
        n_tokens @ 8, 8;
    }
    rkllm12_token_input, 16, 8 {
        input_ids @ 0, 8;
        n_tokens @ 8, 8;
    }
    rkllm12_multimodal_input, 48, 8 {
        prompt @ 0, 8;
        image_embed @ 8, 8;
        n_image_tokens @ 16, 8;
        n_image @ 24, 8;
        image_width @ 32, 8;
        image_height @ 40, 8;
    }
    rkllm12_input, 64, 8 {
        role @ 0, 8;
        enable_thinking @ 8, 1;
        input_type @ 12, 4;
        value @ 16, 48;
    }
    rkllm12_lora_param, 8, 8 {
        lora_adapter_name @ 0, 8;
    }
    rkllm12_prompt_cache_param, 16, 8 {
        save_prompt_cache @ 0, 4;
        prompt_cache_path @ 8, 8;
    }
    rkllm12_cross_attn_param, 40, 8 {
        encoder_k_cache @ 0, 8;
        encoder_v_cache @ 8, 8;
        encoder_mask @ 16, 8;
        encoder_pos @ 24, 8;
        num_tokens @ 32, 4;
    }
    rkllm12_infer_param, 32, 8 {
        mode @ 0, 4;
        lora_params @ 8, 8;
        prompt_cache_params @ 16, 8;
        keep_history @ 24, 4;
    }
    rkllm12_result_last_hidden_layer, 16, 8 {
        hidden_states @ 0, 8;
        embd_size @ 8, 4;
        num_tokens @ 12, 4;
    }
    rkllm12_result_logits, 16, 8 {
        logits @ 0, 8;
        vocab_size @ 8, 4;
        num_tokens @ 12, 4;
    }
    rkllm12_perf_stat, 20, 4 {
        prefill_time_ms @ 0, 4;
        prefill_tokens @ 4, 4;
        generate_time_ms @ 8, 4;
        generate_tokens @ 12, 4;
        memory_usage_mb @ 16, 4;
    }
    rkllm12_result, 72, 8 {
        text @ 0, 8;
        token_id @ 8, 4;
        last_hidden_layer @ 16, 16;
        logits @ 32, 16;
        perf @ 48, 20;
    }
    rkllm13_extend_param, 120, 4 {
        base_domain_id @ 0, 4;
        embed_flash @ 4, 1;
        enabled_cpus_num @ 5, 1;
        enabled_cpus_mask @ 8, 4;
        n_batch @ 12, 1;
        use_cross_attn @ 13, 1;
        reserved @ 14, 104;
    }
    rkllm13_param, 184, 8 {
        model_path @ 0, 8;
        max_context_len @ 8, 4;
        max_new_tokens @ 12, 4;
        top_k @ 16, 4;
        n_keep @ 20, 4;
        top_p @ 24, 4;
        temperature @ 28, 4;
        repeat_penalty @ 32, 4;
        frequency_penalty @ 36, 4;
        presence_penalty @ 40, 4;
        mirostat @ 44, 4;
        mirostat_tau @ 48, 4;
        mirostat_eta @ 52, 4;
        skip_special_token @ 56, 1;
        ignore_eos_token @ 57, 1;
        is_async @ 58, 1;
        extend_param @ 60, 120;
    }
    rkllm13_lora_adapter, 24, 8 {
        lora_adapter_path @ 0, 8;
        lora_adapter_name @ 8, 8;
        scale @ 16, 4;
    }
    rkllm13_embed_input, 16, 8 {
        embed @ 0, 8;
        n_tokens @ 8, 8;
    }
    rkllm13_token_input, 16, 8 {
        input_ids @ 0, 8;
        n_tokens @ 8, 8;
    }
    rkllm13_multimodal_input, 192, 8 {
        prompt @ 0, 8;
        image @ 8, 64;
        image.image_embed @ 8, 8;
        image.n_image_tokens @ 16, 8;
        image.n_image @ 24, 8;
        image.image_start @ 32, 8;
        image.image_end @ 40, 8;
        image.image_content @ 48, 8;
        image.image_width @ 56, 8;
        image.image_height @ 64, 8;
        video @ 72, 72;
        video.video_embed @ 72, 8;
        video.n_frame_tokens @ 80, 8;
        video.n_frame_per_video @ 88, 8;
        video.n_video @ 96, 8;
        video.video_start @ 104, 8;
        video.video_end @ 112, 8;
        video.video_content @ 120, 8;
        video.frame_width @ 128, 8;
        video.frame_height @ 136, 8;
        audio @ 144, 48;
        audio.audio_embed @ 144, 8;
        audio.n_audio_tokens @ 152, 8;
        audio.n_audio @ 160, 8;
        audio.audio_start @ 168, 8;
        audio.audio_end @ 176, 8;
        audio.audio_content @ 184, 8;
    }
    rkllm13_input, 208, 8 {
        role @ 0, 8;
        enable_thinking @ 8, 1;
        input_type @ 12, 4;
        value @ 16, 192;
    }
    rkllm13_lora_param, 8, 8 {
        lora_adapter_name @ 0, 8;
    }
    rkllm13_prompt_cache_param, 16, 8 {
        save_prompt_cache @ 0, 4;
        prompt_cache_path @ 8, 8;
    }
    rkllm13_cross_attn_param, 40, 8 {
        encoder_k_cache @ 0, 8;
        encoder_v_cache @ 8, 8;
        encoder_mask @ 16, 8;
        encoder_pos @ 24, 8;
        num_tokens @ 32, 4;
    }
    rkllm13_sampling_param, 36, 4 {
        top_k @ 0, 4;
        top_p @ 4, 4;
        temperature @ 8, 4;
        repeat_penalty @ 12, 4;
        frequency_penalty @ 16, 4;
        presence_penalty @ 20, 4;
        mirostat @ 24, 4;
        mirostat_tau @ 28, 4;
        mirostat_eta @ 32, 4;
    }
    rkllm13_infer_param, 40, 8 {
        mode @ 0, 4;
        lora_params @ 8, 8;
        prompt_cache_params @ 16, 8;
        sampling_params @ 24, 8;
        keep_history @ 32, 4;
        max_new_tokens @ 36, 4;
    }
    rkllm13_result_last_hidden_layer, 16, 8 {
        hidden_states @ 0, 8;
        embd_size @ 8, 4;
        num_tokens @ 12, 4;
    }
    rkllm13_result_logits, 16, 8 {
        logits @ 0, 8;
        vocab_size @ 8, 4;
        num_tokens @ 12, 4;
    }
    rkllm13_perf_stat, 20, 4 {
        prefill_time_ms @ 0, 4;
        prefill_tokens @ 4, 4;
        generate_time_ms @ 8, 4;
        generate_tokens @ 12, 4;
        memory_usage_mb @ 16, 4;
    }
    rkllm13_result, 72, 8 {
        text @ 0, 8;
        token_id @ 8, 4;
        last_hidden_layer @ 16, 16;
        logits @ 32, 16;
        perf @ 48, 20;
    }
    rkllm13_callback, 48, 8 {
        result_callback @ 0, 8;
        result_userdata @ 8, 8;
        tokenizer_callback @ 16, 8;
        tokenizer_userdata @ 24, 8;
        embed_callback @ 32, 8;
        embed_userdata @ 40, 8;
    }
    rkllm130_multimodal_input, 144, 8 {
        prompt @ 0, 8;
        image @ 8, 64;
        image.image_embed @ 8, 8;
        image.n_image_tokens @ 16, 8;
        image.n_image @ 24, 8;
        image.image_start @ 32, 8;
        image.image_end @ 40, 8;
        image.image_content @ 48, 8;
        image.image_width @ 56, 8;
        image.image_height @ 64, 8;
        video @ 72, 72;
        video.video_embed @ 72, 8;
        video.n_frame_tokens @ 80, 8;
        video.n_frame_per_video @ 88, 8;
        video.n_video @ 96, 8;
        video.video_start @ 104, 8;
        video.video_end @ 112, 8;
        video.video_content @ 120, 8;
        video.frame_width @ 128, 8;
        video.frame_height @ 136, 8;
    }
    rkllm130_input, 160, 8 {
        role @ 0, 8;
        enable_thinking @ 8, 1;
        input_type @ 12, 4;
        value @ 16, 144;
    }
}

#[test]
fn every_member_of_an_input_begins_at_its_value() {
    assert_eq!(offset_of!(rkllm12_input, value.prompt_input), 16);
    assert_eq!(offset_of!(rkllm12_input, value.embed_input), 16);
    assert_eq!(offset_of!(rkllm12_input, value.token_input), 16);
    assert_eq!(offset_of!(rkllm12_input, value.multimodal_input), 16);
    assert_eq!(offset_of!(rkllm13_input, value.prompt_input), 16);
    assert_eq!(offset_of!(rkllm13_input, value.embed_input), 16);
    assert_eq!(offset_of!(rkllm13_input, value.token_input), 16);
    assert_eq!(offset_of!(rkllm13_input, value.multimodal_input), 16);
    assert_eq!(offset_of!(rkllm130_input, value.prompt_input), 16);
    assert_eq!(offset_of!(rkllm130_input, value.embed_input), 16);
    assert_eq!(offset_of!(rkllm130_input, value.token_input), 16);
    assert_eq!(offset_of!(rkllm130_input, value.multimodal_input), 16);
}

#[test]
fn the_numbers_of_the_interface_are_the_vendors() {
    let cpus =
        [RKLLM_CPU0, RKLLM_CPU1, RKLLM_CPU2, RKLLM_CPU3, RKLLM_CPU4, RKLLM_CPU5, RKLLM_CPU6, RKLLM_CPU7];
    assert_eq!(cpus, [1, 2, 4, 8, 16, 32, 64, 128]);
    assert_eq!([RKLLM_RUN_NORMAL, RKLLM_RUN_WAITING, RKLLM_RUN_FINISH, RKLLM_RUN_ERROR], [0, 1, 2, 3]);
    let inputs = [RKLLM_INPUT_PROMPT, RKLLM_INPUT_TOKEN, RKLLM_INPUT_EMBED, RKLLM_INPUT_MULTIMODAL];
    assert_eq!(inputs, [0, 1, 2, 3]);
    let modes = [RKLLM_INFER_GENERATE, RKLLM_INFER_GET_LAST_HIDDEN_LAYER, RKLLM_INFER_GET_LOGITS];
    assert_eq!(modes, [0, 1, 2]);
    assert_eq!([RKLLM_CALLBACK_CONTINUE, RKLLM_CALLBACK_PAUSE, RKLLM_CALLBACK_RELEASE], [0, 1, 2]);
}

#[test]
fn functions_are_as_large_as_a_pointer_and_may_be_absent() {
    assert_eq!(size_of::<rkllm12_init_fn>(), size_of::<usize>());
    assert_eq!(size_of::<rkllm13_init_fn>(), size_of::<usize>());
    assert!(rkllm13_callback::default().result_callback.is_none());
}

#[test]
fn a_default_is_all_zero() {
    let param = rkllm12_param::default();
    assert!(param.model_path.is_null() && param.img_start.is_null());
    assert_eq!((param.max_context_len, param.extend_param.reserved), (0, [0; 104]));
    let sampling = rkllm13_infer_param::default().sampling_params;
    assert!(sampling.is_null());
}
