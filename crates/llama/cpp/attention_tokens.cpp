// Attention token by token: notes the cells of a token once for all heads, then walks only those. Fits steps of few
// tokens, each of another sequence.
#include <algorithm>
#include <cmath>
#include <limits>

#include "attention.h"
#include "vec.h"

namespace attention {

namespace {

// Adds halves of what is left: one after the other would be a chain of sixteen.
float sum_of(Floats values) {
    values += __builtin_shufflevector(values, values, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    values += __builtin_shufflevector(values, values, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    values += __builtin_shufflevector(values, values, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return values[0] + values[1];
}

// Cells that are passed over at once where a token sees none of them: kept beginnings lie in long runs.
constexpr int64_t RUN = 64;

bool sees_any(const uint16_t * mask, int64_t count) {
    uint16_t differs = 0;
    for (int64_t i = 0; i < count; i++) {
        differs |= mask[i] ^ HIDDEN;
    }
    return differs != 0;
}

// The cells that a token sees.
int64_t visible_cells(const Step & step, int64_t token, int32_t * cells) {
    const auto * mask  = row<uint16_t>(step.mask, token, 0);
    int64_t      count = 0;
    for (int64_t from = 0; from < step.cells(); from += RUN) {
        const int64_t end = std::min(from + RUN, step.cells());
        for (int64_t cell = sees_any(mask + from, end - from) ? from : end; cell < end; cell++) {
            cells[count] = static_cast<int32_t>(cell);
            count += mask[cell] != HIDDEN ? 1 : 0;
        }
    }
    return count;
}

}  // namespace

size_t TokenByToken::bytes(const Step & step) { return step.cells() * (sizeof(int32_t) + sizeof(float)); }

TokenByToken::TokenByToken(const Step & step, char * memory)
    : step(step), cells(reinterpret_cast<int32_t *>(memory)), scores(reinterpret_cast<float *>(cells + step.cells())) {}

void TokenByToken::compute(int64_t token, int64_t head) {
    if (token != of_token) {
        count    = visible_cells(step, token, cells);
        of_token = token;
    }
    const float total = count > 0 ? weigh(token, head) : 0;
    gather(head, total, step.out_of(token, head));
}

// How much a token looks at each of its cells; the sum of it.
float TokenByToken::weigh(int64_t token, int64_t head) const {
    const int64_t size    = step.key_size();
    const int64_t k_head  = head / step.group();
    const float * query   = row<float>(step.q, token, head);
    const auto *  mask    = row<Half>(step.mask, token, 0);
    float         highest = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < count; i++) {
        const int32_t cell = cells[i];
        const auto *  key  = row<Half>(step.k, cell, k_head);
        Floats        sums = {};
        for (int64_t j = 0; j < size; j += LANES) {
            sums += load<Floats>(query + j) * load_halves(key + j);
        }
        const float score = sum_of(sums) * step.scale + static_cast<float>(mask[cell]);
        scores[i]         = score;
        highest           = score > highest ? score : highest;
    }
    const int length = static_cast<int>(count);
    return static_cast<float>(ggml_vec_soft_max_f32(length, scores, scores, highest));
}

// So many lanes of the values from `from` on, each cell's by its weight.
template <int PARTS>
void TokenByToken::gather_part(int64_t v_head, float scale, int64_t from, float * out) const {
    Floats sums[PARTS] = {};
    for (int64_t i = 0; i < count; i++) {
        const auto * value  = row<Half>(step.v, cells[i], v_head) + from;
        const float  weight = scores[i];
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
void TokenByToken::gather(int64_t head, float total, float * out) const {
    const int64_t size   = step.value_size();
    const int64_t v_head = head / step.group();
    const float   scale  = total > 0 ? 1 / total : 0;
    int64_t       from   = 0;
    for (; from + 8 * LANES <= size; from += 8 * LANES) {
        gather_part<8>(v_head, scale, from, out);
    }
    for (; from + 4 * LANES <= size; from += 4 * LANES) {
        gather_part<4>(v_head, scale, from, out);
    }
    for (; from < size; from += LANES) {
        gather_part<1>(v_head, scale, from, out);
    }
}

}  // namespace attention
