//! Tests of the operations that are computed in place of ggml's own, `cpp/attention*.cpp` and `cpp/product.cpp`: in
//! every flavour that this machine runs.

use std::ffi::c_void;

use llama_cpp_sys_2 as sys;

use crate::flavour::{Flavour, runnable};

/// Numbers between -1 and 1 that look random.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Computes a graph by a flavour.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the calls live off one backend")]
fn compute(flavour: &Flavour, graph: *mut sys::ggml_cgraph, threads: i32) {
    let set_threads = flavour.function(c"ggml_backend_set_n_threads");
    assert!(!set_threads.is_null());
    // SAFETY: the backend lives until it is freed at the end; the function of this name has this type,
    // `ggml_backend_set_n_threads_t`.
    unsafe {
        let backend = sys::ggml_backend_dev_init(flavour.device(), std::ptr::null());
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(sys::ggml_backend_t, i32)>(set_threads)(
            backend, threads,
        );
        let status = sys::ggml_backend_graph_compute(backend, graph);
        assert_eq!(status, sys::GGML_STATUS_SUCCESS);
        sys::ggml_backend_free(backend);
    }
}

/// Weights in q8_0, `rows` of `width` values, times as many tokens as `tokens` holds, by a flavour on `threads`.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "the calls live off one context")]
fn product(
    flavour: &Flavour,
    width: usize,
    rows: usize,
    weights: &[f32],
    tokens: &[f32],
    threads: i32,
) -> Vec<f32> {
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
        compute(flavour, graph, threads);
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
    runnable().iter().copied().for_each(assert_multiplies);
}

fn assert_multiplies(flavour: &Flavour) {
    for (width, rows) in [(32, 1), (64, 15), (96, 16), (960, 17), (32, 33), (2560, 100)] {
        let weights = values(width * rows, 1);
        for count in [2, 3, 5, 8, 16, 17, 33, 70] {
            let tokens = values(width * count, 2);
            let alone: Vec<f32> = tokens
                .chunks(width)
                .flat_map(|token| product(flavour, width, rows, &weights, token, 1))
                .collect();
            for (token, sums) in tokens.chunks(width).zip(alone.chunks(rows)) {
                for (row, got) in weights.chunks(width).zip(sums) {
                    assert_near(*got, row, token);
                }
            }
            for threads in [1, 2, 3] {
                let together = product(flavour, width, rows, &weights, &tokens, threads);
                // Where ggml computes them, they may differ in the last bits.
                let most = if flavour.owns_products() { 0.0 } else { width as f32 * 1e-6 };
                let off = together.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(
                    off <= most,
                    "{}, {width} by {rows}, {count} tokens, {threads} threads: off by {off}",
                    flavour.name(),
                );
            }
        }
    }
}

/// The sizes of one attention.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Values of a head.
    size: usize,
    heads: usize,
    /// Heads of keys and values.
    kv_heads: usize,
    tokens: usize,
    cells: usize,
}

/// Queries, keys and values of a shape: a row for each head of each token or cell, tokens and cells outermost.
struct Inputs {
    shape: Shape,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Inputs {
    fn new(shape: Shape) -> Self {
        let rows = shape.kv_heads * shape.cells * shape.size;
        let queries = values(shape.heads * shape.tokens * shape.size, 3).iter().map(|x| x * 4.0).collect();
        Self { shape, queries, keys: values(rows, 4), values: values(rows, 5) }
    }

    /// Attention by a flavour on `threads`: a row of values for each head of each token, tokens outermost.
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "the calls live off one context")]
    fn attend(&self, flavour: &Flavour, sees: &dyn Fn(usize, usize) -> bool, threads: i32) -> Vec<f32> {
        let Shape { size, heads, kv_heads, tokens, cells } = self.shape;
        let [d, h, g, t, c] =
            [size, heads, kv_heads, tokens, cells].map(|n| i64::try_from(n).expect("small"));
        let memory =
            sys::ggml_init_params { mem_size: 256 << 20, mem_buffer: std::ptr::null_mut(), no_alloc: false };
        let mask: Vec<f32> = (0..tokens)
            .flat_map(|token| (0..cells).map(move |cell| (token, cell)))
            .map(|(token, cell)| if sees(token, cell) { 0.0 } else { f32::NEG_INFINITY })
            .collect();
        // SAFETY: the context holds all tensors until it is freed at the end, and each has room for the rows
        // that are written to it: the shapes are those of the vectors.
        unsafe {
            let context = sys::ggml_init(memory);
            let fill_halves = |tensor: *mut sys::ggml_tensor, from: &[f32]| {
                let count = i64::try_from(from.len()).expect("small");
                sys::ggml_fp32_to_fp16_row(from.as_ptr(), sys::ggml_get_data(tensor).cast(), count);
                tensor
            };
            let q = sys::ggml_new_tensor_3d(context, sys::GGML_TYPE_F32, d, h, t);
            sys::ggml_get_data_f32(q).copy_from_nonoverlapping(self.queries.as_ptr(), self.queries.len());
            let k = fill_halves(sys::ggml_new_tensor_3d(context, sys::GGML_TYPE_F16, d, g, c), &self.keys);
            let v = fill_halves(sys::ggml_new_tensor_3d(context, sys::GGML_TYPE_F16, d, g, c), &self.values);
            let m = fill_halves(sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F16, c, t), &mask);
            let turned = |tensor| sys::ggml_permute(context, tensor, 0, 2, 1, 3);
            let scale = 1.0 / (size as f32).sqrt();
            let out = sys::ggml_flash_attn_ext(context, turned(q), turned(k), turned(v), m, scale, 0.0, 0.0);
            let graph = sys::ggml_new_graph(context);
            sys::ggml_build_forward_expand(graph, out);
            compute(flavour, graph, threads);
            let result = std::slice::from_raw_parts(sys::ggml_get_data_f32(out), self.queries.len()).to_vec();
            sys::ggml_free(context);
            result
        }
    }

    /// What attention is: the values of the cells that a token sees, by the softmax of its scores.
    fn wanted(&self, sees: &dyn Fn(usize, usize) -> bool, token: usize, head: usize) -> Vec<f32> {
        let Shape { size, heads, kv_heads, cells, .. } = self.shape;
        let row = |from: &'_ [f32], place: usize, all: usize, head: usize| {
            from[(place * all + head) * size..][..size].to_vec()
        };
        let (query, kv_head) = (row(&self.queries, token, heads, head), head / (heads / kv_heads));
        let seen: Vec<usize> = (0..cells).filter(|cell| sees(token, *cell)).collect();
        let weight = |cell: &usize| {
            let key = row(&self.keys, *cell, kv_heads, kv_head);
            let score: f32 = query.iter().zip(&key).map(|(a, b)| a * b).sum();
            f64::from(score / (size as f32).sqrt()).exp()
        };
        let weights: Vec<f64> = seen.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let value = |i: usize| {
            let sum: f64 = seen
                .iter()
                .zip(&weights)
                .map(|(cell, weight)| weight * f64::from(row(&self.values, *cell, kv_heads, kv_head)[i]))
                .sum();
            if total > 0.0 { (sum / total) as f32 } else { 0.0 }
        };
        (0..size).map(value).collect()
    }

    fn assert_attends(&self, flavour: &Flavour, what: &str, sees: &dyn Fn(usize, usize) -> bool) {
        let Shape { size, heads, tokens, .. } = self.shape;
        let name = flavour.name();
        // A CPU that does not convert half precision leaves this to ggml, which then adds up in it.
        let most = if cfg!(target_arch = "x86_64") && name == "baseline" { 1e-2 } else { 2e-3 };
        for threads in [1, 3] {
            let got = self.attend(flavour, sees, threads);
            for (i, got) in got.chunks(size).enumerate().step_by(tokens / 16 + 1) {
                let wanted = self.wanted(sees, i / heads, i % heads);
                let off = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(
                    off < most,
                    "{name}, {what}, {:?}, {threads} threads, row {i}: off by {off}",
                    self.shape
                );
            }
        }
    }
}

/// Shapes of known models and odd ones, in steps of few tokens and of many.
const SHAPES: [Shape; 8] = [
    Shape { size: 64, heads: 15, kv_heads: 5, tokens: 1, cells: 256 },
    Shape { size: 64, heads: 15, kv_heads: 5, tokens: 63, cells: 512 },
    Shape { size: 64, heads: 15, kv_heads: 5, tokens: 64, cells: 512 },
    Shape { size: 64, heads: 15, kv_heads: 5, tokens: 200, cells: 300 },
    Shape { size: 64, heads: 32, kv_heads: 4, tokens: 130, cells: 256 },
    Shape { size: 128, heads: 4, kv_heads: 4, tokens: 97, cells: 128 },
    Shape { size: 16, heads: 17, kv_heads: 1, tokens: 70, cells: 129 },
    Shape { size: 80, heads: 6, kv_heads: 2, tokens: 65, cells: 77 },
];

#[test]
fn tokens_look_at_the_cells_that_they_see_and_at_no_others() {
    runnable().iter().copied().for_each(assert_looks);
}

fn assert_looks(flavour: &Flavour) {
    for shape in SHAPES {
        let inputs = Inputs::new(shape);
        let Shape { tokens, cells, .. } = shape;
        inputs.assert_attends(flavour, "all", &|_, _| true);
        inputs.assert_attends(flavour, "what came before", &|token, cell| cell <= token * cells / tokens);
        inputs
            .assert_attends(flavour, "a few of them each", &|token, cell| (cell * 7 + token * 13) % 11 == 0);
        inputs.assert_attends(flavour, "one cell each", &|token, cell| cell == token % cells);
        inputs.assert_attends(flavour, "two conversations", &|token, cell| {
            (token < tokens / 3) == (cell < cells / 2) && cell % 5 != 3
        });
        inputs.assert_attends(flavour, "a window", &|token, cell| (token..token + 40).contains(&cell));
    }
}

#[test]
fn high_scores_do_not_overflow() {
    for (flavour, tokens) in runnable().iter().flat_map(|flavour| [(flavour, 3), (flavour, 80)]) {
        let mut inputs = Inputs::new(Shape { size: 32, heads: 2, kv_heads: 1, tokens, cells: 200 });
        inputs.queries.iter_mut().for_each(|value| *value *= 1000.0);
        let got = inputs.attend(flavour, &|_, _| true, 2);
        assert!(got.iter().all(|value| value.is_finite() && value.abs() <= 1.001));
    }
}
