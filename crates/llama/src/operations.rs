//! Operations that are computed here in place of ggml's own: `cpp/attention.cpp`, `cpp/product.cpp`.

use crate::ffi;

/// Makes ggml ask for them. To be called once, before anything is computed.
pub(crate) fn register() {
    // SAFETY: the caller sees to it that nothing is computed yet, which would read the list that this adds to.
    unsafe { ffi::rkllmjs_llama_register_operations() };
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use llama_cpp_sys_2 as sys;

    use crate::backend::backend;

    /// Numbers between -1 and 1 that look random.
    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Weights in q8_0, `rows` of `width` values, times as many tokens as `tokens` holds, by ggml on `threads`.
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "the calls live off one context")]
    fn product(width: usize, rows: usize, weights: &[f32], tokens: &[f32], threads: i32) -> Vec<f32> {
        let count = tokens.len() / width;
        let [w, r, n] = [width, rows, count].map(|size| i64::try_from(size).expect("small"));
        let memory =
            sys::ggml_init_params { mem_size: 64 << 20, mem_buffer: std::ptr::null_mut(), no_alloc: false };
        // SAFETY: the context holds all tensors until it is freed at the end, and they have room for what is
        // written and read: `rows` rows in q8_0, `count` rows of floats, and `rows` floats for each of those.
        unsafe {
            let context = sys::ggml_init(memory);
            let a = sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_Q8_0, w, r);
            let b = sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F32, w, n);
            let data: *mut c_void = sys::ggml_get_data(a);
            sys::ggml_quantize_chunk(sys::GGML_TYPE_Q8_0, weights.as_ptr(), data, 0, r, w, std::ptr::null());
            sys::ggml_get_data_f32(b).copy_from_nonoverlapping(tokens.as_ptr(), tokens.len());
            let out = sys::ggml_mul_mat(context, a, b);
            let graph = sys::ggml_new_graph(context);
            sys::ggml_build_forward_expand(graph, out);
            let status = sys::ggml_graph_compute_with_ctx(context, graph, threads);
            assert_eq!(status, sys::GGML_STATUS_SUCCESS);
            let result = std::slice::from_raw_parts(sys::ggml_get_data_f32(out), rows * count).to_vec();
            sys::ggml_free(context);
            result
        }
    }

    /// What it should be but for the eight bits: two roundings of a value, each by a 254th at most, the errors of
    /// `width` products of which tell up and down alike.
    fn assert_near(got: f32, weights: &[f32], token: &[f32]) {
        let wanted: f32 = weights.iter().zip(token).map(|(weight, value)| weight * value).sum();
        let most = 0.02 * (token.len() as f32).sqrt();
        assert!((got - wanted).abs() < most, "{got} for {wanted}");
    }

    #[test]
    fn what_a_token_comes_to_is_right_and_the_same_in_every_step() {
        backend().expect("llama.cpp");
        for (width, rows) in [(32, 1), (64, 15), (96, 16), (960, 17), (32, 33), (2560, 100)] {
            let weights = values(width * rows, 1);
            for count in [2, 3, 5, 8, 16, 17, 33, 70] {
                let tokens = values(width * count, 2);
                let alone: Vec<f32> =
                    tokens.chunks(width).flat_map(|token| product(width, rows, &weights, token, 1)).collect();
                for (token, sums) in tokens.chunks(width).zip(alone.chunks(rows)) {
                    for (row, got) in weights.chunks(width).zip(sums) {
                        assert_near(*got, row, token);
                    }
                }
                for threads in [1, 2, 3] {
                    let together = product(width, rows, &weights, &tokens, threads);
                    // Where ggml computes them, they may differ in the last bits.
                    let most = if cfg!(own_products) { 0.0 } else { width as f32 * 1e-6 };
                    let off = together.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(
                        off <= most,
                        "{width} by {rows}, {count} tokens, {threads} threads: off by {off}"
                    );
                }
            }
        }
    }
}
