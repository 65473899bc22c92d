// Attention over a cache that many sequences share: what its two ways of computing it have in common.
#pragma once

#include <cstdint>
#include <cstring>

#include "ggml-cpu-impl.h"

namespace attention {

constexpr int LANES = 16;
// GCC 12 does not know the other name on arm64.
#ifdef __ARM_FP16_FORMAT_IEEE
typedef __fp16 Half;
#else
typedef _Float16 Half;
#endif
typedef float   Floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef Half    Halves __attribute__((vector_size(LANES * sizeof(Half))));

// What a mask holds for a cell that a token must not see: minus infinity in half precision.
constexpr uint16_t HIDDEN = 0xFC00;

template <typename Value> const Value * row(const ggml_tensor * tensor, int64_t place, int64_t head) {
    const char * data = static_cast<const char *>(tensor->data);
    return reinterpret_cast<const Value *>(data + place * tensor->nb[1] + head * tensor->nb[2]);
}

// The tensors of one operation.
struct Step {
    const ggml_tensor * q;
    const ggml_tensor * k;
    const ggml_tensor * v;
    const ggml_tensor * mask;
    float *             out;
    float               scale;

    explicit Step(const ggml_tensor * op)
        : q(op->src[0]), k(op->src[1]), v(op->src[2]), mask(op->src[3]), out(static_cast<float *>(op->data)) {
        std::memcpy(&scale, op->op_params, sizeof scale);
    }

    int64_t tokens() const { return q->ne[1]; }
    int64_t heads() const { return q->ne[2]; }
    int64_t cells() const { return k->ne[1]; }
    int64_t key_size() const { return k->ne[0]; }
    int64_t value_size() const { return v->ne[0]; }
    // How many heads look at the same keys and values.
    int64_t group() const { return heads() / k->ne[2]; }

    float * out_of(int64_t token, int64_t head) const { return out + (token * heads() + head) * value_size(); }
};

template <typename Vector> Vector load(const void * from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

inline Floats load_halves(const Half * from) {
#ifdef __AVX512F__
    // GCC would convert one by one.
    const __m512 floats = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
    return load<Floats>(&floats);
#else
    return __builtin_convertvector(load<Halves>(from), Floats);
#endif
}

// One token and one head after the other, each over the cells that the token sees.
class TokenByToken {
  public:
    static size_t bytes(const Step & step);

    TokenByToken(const Step & step, char * memory);

    void compute(int64_t token, int64_t head);

  private:
    float weigh(int64_t token, int64_t head) const;
    void  gather(int64_t head, float total, float * out) const;
    template <int PARTS> void gather_part(int64_t v_head, float scale, int64_t from, float * out) const;

    const Step & step;
    int32_t *    cells;
    float *      scores;
    int64_t      of_token = -1;
    int64_t      count    = 0;
};

// Neighbouring tokens of a step together, for they mostly see the same cells.
class TileByTile {
  public:
    static size_t bytes(const Step & step);

    TileByTile(const Step & step, char * memory);

    int64_t tiles() const { return (step.tokens() + tokens_of_tile - 1) / tokens_of_tile; }
    // A tile's heads are computed in so many parts.
    int64_t parts() const { return step.heads() / heads_of_tile; }
    // Looks at what the tokens of a tile see. Whether it pays to compute them together.
    bool see(int64_t tile);
    // Computes one part of the tile that was seen last.
    void compute(int64_t part);

    // The tokens of a tile and the heads of a part.
    int64_t first_token(int64_t tile) const { return tile * tokens_of_tile; }
    int64_t end_token(int64_t tile) const;
    int64_t first_head(int64_t part) const { return part * heads_of_tile; }
    int64_t end_head(int64_t part) const { return first_head(part) + heads_of_tile; }

  private:
    int64_t lanes() const { return (last - first) * heads_of_tile; }
    void    fill_queries(int64_t part) const;
    void    fill_scores(int64_t from, int64_t count) const;
    void    load_cells(const ggml_tensor * tensor, int64_t head, int64_t from, int64_t count) const;
    void    weigh(int64_t count, int64_t vectors) const;
    void    store(int64_t part) const;

    const Step & step;
    int64_t      heads_of_tile;
    int64_t      tokens_of_tile;
    // Of the tile that was seen last.
    int64_t   first  = 0;
    int64_t   last   = 0;
    int64_t   plain  = 0;  // So many cells, the first ones, are seen by all its tokens.
    int64_t   count  = 0;
    int32_t * cells;
    uint16_t * hidden;  // For each cell of the cache: all ones if no token sees it.
    uint16_t * biased;  // For each cell of the cache: zero if all tokens see it as it is.
    float *   queries;  // A row for each value of a head, a lane for each token and head; so are the next three.
    float *   scores;   // A row for each cell.
    float *   sums;     // A row for each value of a head.
    float *   totals;   // The highest score, the sum of weights and what the last highest came to.
    float *   rows;     // Keys or values of some cells.
};

}  // namespace attention
