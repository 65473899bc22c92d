// Attention of steps of few tokens over a cache that many sequences share. ggml's own looks at every cell of the
// cache for every head, though most belong to other sequences: at 16 sequences it spends more on those than on all
// else. This one notes the cells of a token once and then walks only those.
#include "operations.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "common.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu-impl.h"
#include "traits.h"
#include "vec.h"

namespace {

// From so many tokens on ggml computes tiles of them, and skips cells by tiles.
constexpr int64_t TOKENS_OF_A_TILE = GGML_FA_TILE_Q;

constexpr int LANES = 16;
// GCC 12 does not know the other name on arm64.
#ifdef __ARM_FP16_FORMAT_IEEE
typedef __fp16 Half;
#else
typedef _Float16 Half;
#endif
typedef float Floats __attribute__((vector_size(LANES * sizeof(float))));
typedef Half  Halves __attribute__((vector_size(LANES * sizeof(Half))));

// The tensors of one operation.
struct Attention {
    const ggml_tensor * q;
    const ggml_tensor * k;
    const ggml_tensor * v;
    const ggml_tensor * mask;
    float               scale;

    explicit Attention(const ggml_tensor * op) : q(op->src[0]), k(op->src[1]), v(op->src[2]), mask(op->src[3]) {
        std::memcpy(&scale, op->op_params, sizeof scale);
    }

    int64_t tokens() const { return q->ne[1]; }
    int64_t heads() const { return q->ne[2]; }
    int64_t cells() const { return k->ne[1]; }
};

bool has_plain_rows(const ggml_tensor * tensor, ggml_type type) {
    return tensor != nullptr && tensor->type == type && tensor->nb[0] == ggml_type_size(type) && tensor->ne[3] == 1;
}

// Whether the processor converts half precision itself; ggml has tables for those that do not.
#if defined(__F16C__) || defined(__aarch64__)
constexpr bool CONVERTS = true;
#else
constexpr bool CONVERTS = false;
#endif

// Whether an operation is one that this file computes. The rest is ggml's: other types, sinks, biases, caps.
bool is_ours(const ggml_tensor * op) {
    if (!CONVERTS || op->op != GGML_OP_FLASH_ATTN_EXT || op->src[4] != nullptr) {
        return false;
    }
    const Attention at(op);
    float           others[2];  // The largest bias and the cap of scores, after the scale.
    std::memcpy(others, reinterpret_cast<const char *>(op->op_params) + sizeof(float), sizeof others);
    return others[0] == 0.0F && others[1] == 0.0F && has_plain_rows(at.q, GGML_TYPE_F32) &&
           has_plain_rows(at.k, GGML_TYPE_F16) && has_plain_rows(at.v, GGML_TYPE_F16) &&
           has_plain_rows(at.mask, GGML_TYPE_F16) && at.mask->ne[2] == 1 && at.tokens() < TOKENS_OF_A_TILE &&
           at.k->ne[0] % LANES == 0 && at.v->ne[0] % LANES == 0 && at.k->ne[2] == at.v->ne[2] &&
           at.heads() % at.k->ne[2] == 0;
}

template <typename Value> const Value * row(const ggml_tensor * tensor, int64_t place, int64_t head) {
    const char * data = static_cast<const char *>(tensor->data);
    return reinterpret_cast<const Value *>(data + place * tensor->nb[1] + head * tensor->nb[2]);
}

template <typename Vector> Vector load(const void * from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

Floats load_halves(const Half * from) {
#ifdef __AVX512F__
    // GCC would convert one by one.
    const __m512 floats = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
    return load<Floats>(&floats);
#else
    return __builtin_convertvector(load<Halves>(from), Floats);
#endif
}

// Adds halves of what is left: one after the other would be a chain of sixteen.
float sum_of(Floats values) {
    values += __builtin_shufflevector(values, values, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    values += __builtin_shufflevector(values, values, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    values += __builtin_shufflevector(values, values, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return values[0] + values[1];
}

// What a thread needs beside the tensors.
struct Scratch {
    int32_t * cells;
    float *   scores;

    // Threads do not share lines of the processor's cache.
    static size_t bytes(int64_t cells) { return 2 * GGML_PAD(cells * sizeof(float), 64); }

    Scratch(const ggml_compute_params * params, int64_t count) {
        char * own = static_cast<char *>(params->wdata) + params->ith * bytes(count);
        cells      = reinterpret_cast<int32_t *>(own);
        scores     = reinterpret_cast<float *>(own + bytes(count) / 2);
    }
};

// The cells that a token sees.
int64_t visible_cells(const Attention & at, int64_t token, int32_t * cells) {
    constexpr uint16_t MINUS_INFINITY = 0xFC00;
    const auto *       mask           = row<uint16_t>(at.mask, token, 0);
    int64_t            count          = 0;
    for (int64_t cell = 0; cell < at.cells(); cell++) {
        cells[count] = static_cast<int32_t>(cell);
        count += mask[cell] != MINUS_INFINITY ? 1 : 0;
    }
    return count;
}

// How much a token looks at each of its cells; the sum of it.
float weigh(const Attention & at, int64_t token, int64_t head, const Scratch & scratch, int64_t count) {
    const int64_t size    = at.k->ne[0];
    const int64_t k_head  = head / (at.heads() / at.k->ne[2]);
    const float * query   = row<float>(at.q, token, head);
    const auto *  mask    = row<Half>(at.mask, token, 0);
    float         highest = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < count; i++) {
        const int32_t cell = scratch.cells[i];
        const auto *  key  = row<Half>(at.k, cell, k_head);
        Floats        sums = {};
        for (int64_t j = 0; j < size; j += LANES) {
            sums += load<Floats>(query + j) * load_halves(key + j);
        }
        const float score = sum_of(sums) * at.scale + static_cast<float>(mask[cell]);
        scratch.scores[i] = score;
        highest           = score > highest ? score : highest;
    }
    const int length = static_cast<int>(count);
    return static_cast<float>(ggml_vec_soft_max_f32(length, scratch.scores, scratch.scores, highest));
}

// So many lanes of the values from `from` on, each cell's by its weight.
template <int PARTS>
void gather_part(const Attention & at, int64_t v_head, const Scratch & scratch, int64_t count, float scale,
                 int64_t from, float * out) {
    Floats sums[PARTS] = {};
    for (int64_t i = 0; i < count; i++) {
        const auto * value  = row<Half>(at.v, scratch.cells[i], v_head) + from;
        const float  weight = scratch.scores[i];
        for (int part = 0; part < PARTS; part++) {
            sums[part] += weight * load_halves(value + part * LANES);
        }
    }
    for (Floats & sum : sums) {
        sum *= scale;
    }
    std::memcpy(out + from, sums, sizeof sums);
}

// The values of the cells, each by its weight out of `total`. As many lanes at once as stay in registers.
void gather(const Attention & at, int64_t head, const Scratch & scratch, int64_t count, float total, float * out) {
    const int64_t size   = at.v->ne[0];
    const int64_t v_head = head / (at.heads() / at.v->ne[2]);
    const float   scale  = total > 0 ? 1 / total : 0;
    int64_t       from   = 0;
    for (; from + 8 * LANES <= size; from += 8 * LANES) {
        gather_part<8>(at, v_head, scratch, count, scale, from, out);
    }
    for (; from + 4 * LANES <= size; from += 4 * LANES) {
        gather_part<4>(at, v_head, scratch, count, scale, from, out);
    }
    for (; from < size; from += LANES) {
        gather_part<1>(at, v_head, scratch, count, scale, from, out);
    }
}

class SparseAttention : public ggml::cpu::tensor_traits {
  public:
    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        size = threads * Scratch::bytes(Attention(op).cells());
        return true;
    }

    // Pairs of a token and a head go round the threads, so that long sequences are spread like short ones.
    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        const Attention at(op);
        const Scratch   scratch(params, at.cells());
        int64_t         of_token = -1;
        int64_t         count    = 0;
        for (int64_t pair = params->ith; pair < at.tokens() * at.heads(); pair += params->nth) {
            const int64_t token = pair / at.heads();
            const int64_t head  = pair % at.heads();
            if (token != of_token) {
                count    = visible_cells(at, token, scratch.cells);
                of_token = token;
            }
            float * out = static_cast<float *>(op->data) + (token * at.heads() + head) * at.v->ne[0];
            const float total = count > 0 ? weigh(at, token, head, scratch, count) : 0;
            gather(at, head, scratch, count, total, out);
        }
        return true;
    }
};

}  // namespace

ggml::cpu::tensor_traits * attention_for(const ggml_tensor * op) {
    static SparseAttention attention;
    return is_ours(op) ? &attention : nullptr;
}
