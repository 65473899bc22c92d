// Products of weights in q8_0 with tokens, on processors that multiply bytes 64 at a time (AVX-512 VNNI).
//
// ggml computes them in half of a register and one block of a row after the other, with the scales at each. Here
// sixteen rows are computed at once, a row a lane: within a block nothing but multiply-and-add is left, and the scales
// come in once for sixteen rows. The weights stay as they are in the file. Sixteen rows are put side by side as they
// are needed, which costs less than to fetch them from memory, and serves all tokens of the step.
//
// What a token comes to is the same to the last bit in every step, however many are with it.
#include "operations.h"

#include "ggml-cpu-impl.h"
#include "quants.h"
#include "simd-mappings.h"

#ifdef __AVX512VNNI__

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace {

// Rows of weights at once, one in each lane of a register.
constexpr int64_t ROWS = 16;
// Tokens at once: their sums, the weights of a block and its scales fit into the 32 registers.
constexpr int TOKENS = 16;
// Values of a block, and how many of them a lane multiplies at once.
constexpr int64_t BLOCK = QK8_0;
constexpr int     STEPS = BLOCK / 4;
constexpr size_t  LINE  = 64;

// Bytes are multiplied unsigned by signed. Weights are made unsigned by adding this; what that adds to a sum is
// this times the sum of the token's values, and is taken off at its start.
constexpr int OFFSET = 128;

int64_t blocks_of(const ggml_tensor * op) { return op->src[0]->ne[0] / BLOCK; }

// The tokens of a step in eight bits, in runs of those that are multiplied together. Of a run the first blocks of all
// its tokens come first, then all second ones, in the order in which they are read.
struct Tokens {
    int8_t *  values;
    float *   scales;
    int32_t * starts;  // What a block's sum begins with.
    int64_t   count;
    int64_t   blocks;
    int64_t   each;  // Tokens of a run; of equal length, for a short one at the end would wait for each sum.

    static size_t bytes(int64_t count, int64_t blocks) {
        return GGML_PAD(count * blocks * (BLOCK + sizeof(float) + sizeof(int32_t)), LINE);
    }

    Tokens(char * memory, int64_t count, int64_t blocks) : count(count), blocks(blocks) {
        values             = reinterpret_cast<int8_t *>(memory);
        scales             = reinterpret_cast<float *>(memory + count * blocks * BLOCK);
        starts             = reinterpret_cast<int32_t *>(scales + count * blocks);
        const int64_t runs = (count + TOKENS - 1) / TOKENS;
        each               = (count + runs - 1) / runs;
    }

    // How many tokens the run has that begins with this one.
    int64_t length(int64_t first) const { return std::min(each, count - first); }

    // Quantizes some blocks of one token as ggml does.
    void fill(const float * from, int64_t token, int64_t begin, int64_t end) const {
        const int64_t first = token / each * each;
        block_q8_0    block;
        for (int64_t i = begin; i < end; i++) {
            const int64_t place = first * blocks + i * length(first) + token - first;
            quantize_row_q8_0(from + i * BLOCK, &block, BLOCK);
            int sum = 0;
            for (int j = 0; j < BLOCK; j++) {
                sum += block.qs[j];
            }
            std::memcpy(values + place * BLOCK, block.qs, BLOCK);
            scales[place] = GGML_CPU_COMPUTE_FP16_TO_FP32(block.d);
            starts[place] = -OFFSET * sum;
        }
    }
};

// Sixteen rows side by side: for each block eight registers, of which a lane holds four values of a row, and one
// with the rows' scales.
struct Rows {
    char *  weights;
    float * scales;

    static constexpr int64_t WEIGHT_BYTES = STEPS * LINE;

    static size_t bytes(int64_t blocks) { return blocks * (WEIGHT_BYTES + ROWS * sizeof(float)); }

    Rows(char * memory, int64_t blocks)
        : weights(memory), scales(reinterpret_cast<float *>(memory + blocks * WEIGHT_BYTES)) {}
};

// Of two registers: the quarters 0 and 2 of each, or 1 and 3.
constexpr int EVEN_QUARTERS = _MM_SHUFFLE(2, 0, 2, 0);
constexpr int ODD_QUARTERS  = _MM_SHUFFLE(3, 1, 3, 1);

// From four registers of two rows each (r and r + 4) to four that hold values 4i to 4i + 3 of all eight in their even
// quarters, and 4i + 16 to 4i + 19 in their odd ones.
void turn_quarters(const __m512i (&rows)[4], __m512i (&turned)[4]) {
    const __m512i low01  = _mm512_unpacklo_epi32(rows[0], rows[1]);
    const __m512i high01 = _mm512_unpackhi_epi32(rows[0], rows[1]);
    const __m512i low23  = _mm512_unpacklo_epi32(rows[2], rows[3]);
    const __m512i high23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
    turned[0]            = _mm512_unpacklo_epi64(low01, low23);
    turned[1]            = _mm512_unpackhi_epi64(low01, low23);
    turned[2]            = _mm512_unpacklo_epi64(high01, high23);
    turned[3]            = _mm512_unpackhi_epi64(high01, high23);
}

// Where sixteen rows of the weights lie. Beyond the last row it stands again; what comes of it is not stored.
struct Source {
    const block_q8_0 * row[ROWS];
    // How far ahead this thread will probably read next. Sixteen rows at once are too many for the processor to see.
    size_t ahead;

    Source(const ggml_tensor * weights, int64_t first, int threads) : ahead(threads * ROWS * weights->nb[1]) {
        for (int64_t i = 0; i < ROWS; i++) {
            const char * data = static_cast<const char *>(weights->data);
            row[i] = reinterpret_cast<const block_q8_0 *>(data + std::min(first + i, weights->ne[1] - 1) * weights->nb[1]);
        }
    }

    void fetch_ahead(int64_t block) const {
        if (block % 2 == 0) {
            for (const block_q8_0 * one : row) {
                _mm_prefetch(reinterpret_cast<const char *>(one + block) + ahead, _MM_HINT_T1);
            }
        }
    }

    // Two rows of a block in the halves of a register.
    __m512i two(int64_t low, int64_t high, int64_t block) const {
        const __m256i lower = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row[low][block].qs));
        const __m256i upper = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row[high][block].qs));
        const __m512i both  = _mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1);
        return _mm512_xor_si512(both, _mm512_set1_epi8(static_cast<char>(OFFSET)));
    }

    __m512 scales(int64_t block) const {
        uint16_t halves[ROWS];
        for (int i = 0; i < ROWS; i++) {
            halves[i] = row[i][block].d;
        }
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(halves)));
    }
};

void pack(const Source & source, int64_t blocks, const Rows & rows) {
    for (int64_t block = 0; block < blocks; block++) {
        source.fetch_ahead(block);
        __m512i first[4];
        __m512i second[4];
        for (int i = 0; i < 4; i++) {
            first[i]  = source.two(i, i + 4, block);
            second[i] = source.two(i + 8, i + 12, block);
        }
        __m512i low[4];
        __m512i high[4];
        turn_quarters(first, low);
        turn_quarters(second, high);
        char * to = rows.weights + block * Rows::WEIGHT_BYTES;
        for (int i = 0; i < 4; i++) {
            _mm512_store_si512(to + i * LINE, _mm512_shuffle_i64x2(low[i], high[i], EVEN_QUARTERS));
            _mm512_store_si512(to + (i + 4) * LINE, _mm512_shuffle_i64x2(low[i], high[i], ODD_QUARTERS));
        }
        _mm512_store_ps(rows.scales + block * ROWS, source.scales(block));
    }
}

// Four values of a token in each lane.
__m512i four(const int8_t * values) {
    int32_t bytes;
    std::memcpy(&bytes, values, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

// Adds what a block comes to, by its scales. The same for every count of tokens, so that what a token comes to does not
// depend on who is in the step with it.
__m512 add_scaled(__m512 total, __m512i sum, __m512 scales, float scale) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scales, _mm512_set1_ps(scale)), total);
}

// A block of sixteen rows times a block of a token, added to a sum.
__m512 add_block(__m512 total, const __m512i (&weights)[STEPS], __m512 scales, const Tokens & tokens, int64_t place) {
    const int8_t * values = tokens.values + place * BLOCK;
    __m512i        sum    = _mm512_set1_epi32(tokens.starts[place]);
    for (int i = 0; i < STEPS; i++) {
        sum = _mm512_dpbusd_epi32(sum, weights[i], four(values + i * 4));
    }
    return add_scaled(total, sum, scales, tokens.scales[place]);
}

// Sixteen rows times as many tokens as there are indices, written out so that each sum stays in a register.
template <int... T>
void multiply(std::integer_sequence<int, T...>, const Rows & rows, const Tokens & tokens, int64_t first,
              __m512 (&out)[TOKENS]) {
    __m512 sums[] = { (static_cast<void>(T), _mm512_setzero_ps())... };
    for (int64_t block = 0; block < tokens.blocks; block++) {
        const char * from = rows.weights + block * Rows::WEIGHT_BYTES;
        __m512i      weights[STEPS];
        for (int i = 0; i < STEPS; i++) {
            weights[i] = _mm512_load_si512(from + i * LINE);
        }
        const __m512  scales = _mm512_load_ps(rows.scales + block * ROWS);
        const int64_t place  = first * tokens.blocks + block * static_cast<int64_t>(sizeof...(T));
        ((sums[T] = add_block(sums[T], weights, scales, tokens, place + T)), ...);
    }
    ((out[T] = sums[T]), ...);
}

template <int COUNT> void multiply(const Rows & rows, const Tokens & tokens, int64_t first, __m512 (&out)[TOKENS]) {
    multiply(std::make_integer_sequence<int, COUNT>(), rows, tokens, first, out);
}

// From four registers of two rows each (r and r + 4) to one whose quarters hold, of rows 0 to 3 and then of rows 4 to 7,
// two halves of the sums.
__m512i add_up(const __m512i (&rows)[4]) {
    const __m512i first  = _mm512_add_epi32(_mm512_unpacklo_epi32(rows[0], rows[1]), _mm512_unpackhi_epi32(rows[0], rows[1]));
    const __m512i second = _mm512_add_epi32(_mm512_unpacklo_epi32(rows[2], rows[3]), _mm512_unpackhi_epi32(rows[2], rows[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
}

// Sixteen rows times a single token. To put rows side by side for one would take longer than to add up along them.
__m512 multiply_one(const Source & source, const Tokens & tokens) {
    __m512 total = _mm512_setzero_ps();
    for (int64_t block = 0; block < tokens.blocks; block++) {
        source.fetch_ahead(block);
        const auto *  from   = reinterpret_cast<const __m256i *>(tokens.values + block * BLOCK);
        const __m512i values = _mm512_broadcast_i64x4(_mm256_loadu_si256(from));
        __m512i       first[4];
        __m512i       second[4];
        for (int i = 0; i < 4; i++) {
            first[i]  = _mm512_dpbusd_epi32(_mm512_setzero_si512(), source.two(i, i + 4, block), values);
            second[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), source.two(i + 8, i + 12, block), values);
        }
        const __m512i low  = add_up(first);
        const __m512i high = add_up(second);
        const __m512i sum  = _mm512_add_epi32(_mm512_shuffle_i64x2(low, high, EVEN_QUARTERS),
                                              _mm512_shuffle_i64x2(low, high, ODD_QUARTERS));
        const __m512i whole = _mm512_add_epi32(sum, _mm512_set1_epi32(tokens.starts[block]));
        total = add_scaled(total, whole, source.scales(block), tokens.scales[block]);
    }
    return total;
}

using Multiply = void (*)(const Rows &, const Tokens &, int64_t, __m512 (&)[TOKENS]);

// One for each count of tokens, so that all of their sums stay in registers.
constexpr Multiply MULTIPLY[TOKENS] = {
    multiply<1>, multiply<2>,  multiply<3>,  multiply<4>,  multiply<5>,  multiply<6>,  multiply<7>,  multiply<8>,
    multiply<9>, multiply<10>, multiply<11>, multiply<12>, multiply<13>, multiply<14>, multiply<15>, multiply<16>,
};

void store(ggml_tensor * op, int64_t token, int64_t first_row, __m512 sums) {
    const int64_t   left  = op->ne[0] - first_row;
    const __mmask16 lanes = left >= ROWS ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1);
    auto *          out   = reinterpret_cast<float *>(static_cast<char *>(op->data) + token * op->nb[1]);
    _mm512_mask_storeu_ps(out + first_row, lanes, sums);
}

// All tokens of a step times sixteen rows.
void multiply_all(const Source & source, const Rows & rows, const Tokens & tokens, int64_t first_row, ggml_tensor * op) {
    if (tokens.count == 1) {
        store(op, 0, first_row, multiply_one(source, tokens));
        return;
    }
    pack(source, tokens.blocks, rows);
    __m512 sums[TOKENS];
    for (int64_t first = 0; first < tokens.count; first += tokens.each) {
        const int64_t length = tokens.length(first);
        MULTIPLY[length - 1](rows, tokens, first, sums);
        for (int64_t t = 0; t < length; t++) {
            store(op, first + t, first_row, sums[t]);
        }
    }
}

class Product : public ggml::cpu::tensor_traits {
  public:
    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        const int64_t blocks = blocks_of(op);
        size = LINE + Tokens::bytes(op->src[1]->ne[1], blocks) + threads * Rows::bytes(blocks);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        const ggml_tensor * from   = op->src[1];
        const int64_t       blocks = blocks_of(op);
        const int64_t       count  = from->ne[1];
        char *              memory = reinterpret_cast<char *>(GGML_PAD(reinterpret_cast<uintptr_t>(params->wdata), LINE));
        const Tokens        tokens(memory, count, blocks);
        memory += Tokens::bytes(count, blocks);
        const Rows rows(memory + params->ith * Rows::bytes(blocks), blocks);

        const int64_t begin = blocks * params->ith / params->nth;
        const int64_t end   = blocks * (params->ith + 1) / params->nth;
        for (int64_t token = 0; token < count; token++) {
            const char * values = static_cast<const char *>(from->data) + token * from->nb[1];
            tokens.fill(reinterpret_cast<const float *>(values), token, begin, end);
        }
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);

        // A thread that is held up leaves its share to the others.
        int64_t tile = params->ith;
        while (tile * ROWS < op->ne[0]) {
            multiply_all(Source(op->src[0], tile * ROWS, params->nth), rows, tokens, tile * ROWS, op);
            tile = ggml_threadpool_chunk_add(params->threadpool, 1);
        }
        return true;
    }
};

bool is_matrix(const ggml_tensor * tensor, ggml_type type) {
    return tensor->type == type && tensor->nb[0] == ggml_type_size(type) && tensor->ne[2] == 1 && tensor->ne[3] == 1;
}

// What lies in memory of another kind is left to those who put it there.
bool is_ours(const ggml_tensor * op) {
    const ggml_tensor * weights = op->src[0];
    const ggml_tensor * tokens  = op->src[1];
    const bool          is_here = weights->buffer == nullptr || ggml_backend_buffer_is_host(weights->buffer);
    return is_here && is_matrix(weights, GGML_TYPE_Q8_0) && is_matrix(tokens, GGML_TYPE_F32) &&
           op->nb[0] == sizeof(float) && ggml_get_op_params_i32(op, 1) == 0;
}

}  // namespace

ggml::cpu::tensor_traits * product_for(const ggml_tensor * op) {
    static Product product;
    return is_ours(op) ? &product : nullptr;
}

#else

ggml::cpu::tensor_traits * product_for(const ggml_tensor *) { return nullptr; }

#endif
