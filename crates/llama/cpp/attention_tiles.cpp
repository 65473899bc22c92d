// Attention of many tokens together. The tokens of a tile and the heads that look at the same keys fill the lanes of
// registers; cells come one after the other, and only those that one of the tokens sees. What a softmax needs runs along
// the cells, so that no sum is taken across lanes: a score that tops all before scales down what was summed so far.
#include <algorithm>
#include <limits>

#include "attention.h"

namespace attention {

namespace {

// Lanes of a tile and cells at once: keys, values, scores and sums stay in a processor's second cache.
constexpr int64_t ROWS  = 64;
constexpr int64_t CELLS = 64;
// Cells that may be computed for tokens that do not see them, for each that all of them see, beside one round.
constexpr int64_t WASTE = 2;

constexpr int64_t VECTORS = ROWS / LANES;
// Rows and vectors of a product that fit into the registers together.
constexpr int PARTS = 4;
#ifdef __AVX512F__
constexpr int WIDTH = 4;
#else
constexpr int WIDTH = 1;
#endif

constexpr float INFINITE = std::numeric_limits<float>::infinity();

// e to the power of each, with 2^n apart and the rest, at most half of ln 2, by Cephes' polynomial (expf.c): off by
// two units in the last place at most. Zero where single precision ends.
Floats exponential(Floats x) {
    constexpr float LOWEST = -87.0F;
    constexpr float ROUND  = 12582912.0F;  // 1.5 * 2^23: adding it leaves no place for fractions.
    const Ints      low    = x < LOWEST;
    x                      = low ? Floats{} : x;
    const Floats shifted   = x * 1.44269504F + ROUND;
    const Floats n         = shifted - ROUND;
    const Floats rest      = (x - n * 0.693359375F) + n * 2.12194440e-4F;
    Floats       power     = Floats{} + 1.9875691500e-4F;
    for (const float factor : {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
        power = power * rest + factor;
    }
    power          = power * rest * rest + rest + 1.0F;
    const Ints two = (load<Ints>(&shifted) << 23) + load<Ints>(&power);  // Adds n to the exponent.
    return low ? Floats{} : load<Floats>(&two);
}

// A matrix whose rows and columns lie so many floats apart.
struct Matrix {
    const float * values;
    int64_t       row;
    int64_t       column;
};

// Adds to PARTS rows of `out`, WIDE vectors of each: those of `left`, from its row `from` on, times `right`.
template <int WIDE> void multiply_part(Matrix left, int64_t from, const float * right, int64_t steps, float * out) {
    Floats sums[PARTS][WIDE];
    for (int part = 0; part < PARTS; part++) {
        std::memcpy(sums[part], out + (from + part) * ROWS, sizeof sums[part]);
    }
    const float * at = left.values + from * left.row;
    for (int64_t i = 0; i < steps; i++) {
        for (int part = 0; part < PARTS; part++) {
            const float value = at[part * left.row + i * left.column];
            for (int j = 0; j < WIDE; j++) {
                sums[part][j] += value * load<Floats>(right + i * ROWS + j * LANES);
            }
        }
    }
    for (int part = 0; part < PARTS; part++) {
        std::memcpy(out + (from + part) * ROWS, sums[part], sizeof sums[part]);
    }
}

// Adds `left` times `right` to `out`, of which so many vectors of each row are of use. `count` goes up to full PARTS.
void multiply(Matrix left, int64_t count, const float * right, int64_t steps, int64_t vectors, float * out) {
    for (int64_t from = 0; from < count; from += PARTS) {
        int64_t i = 0;
        for (; i + WIDTH <= vectors; i += WIDTH) {
            multiply_part<WIDTH>(left, from, right + i * LANES, steps, out + i * LANES);
        }
        for (; i < vectors; i++) {
            multiply_part<1>(left, from, right + i * LANES, steps, out + i * LANES);
        }
    }
}

// As many heads of a group as divide it and leave room for several tokens.
int64_t heads_at_once(int64_t group) {
    int64_t heads = std::min<int64_t>(group, LANES);
    while (group % heads != 0) {
        heads--;
    }
    return heads;
}

Floats highest_of(Floats a, Floats b) { return a > b ? a : b; }

}  // namespace

size_t TileByTile::bytes(const Step & step) {
    const int64_t size   = std::max(step.key_size(), step.value_size());
    const int64_t floats = (step.key_size() + step.value_size() + CELLS + 3) * ROWS + CELLS * size;
    return floats * sizeof(float) + step.cells() * (sizeof(int32_t) + 2 * sizeof(uint16_t));
}

TileByTile::TileByTile(const Step & step, char * memory)
    : step(step), heads_of_tile(heads_at_once(step.group())), tokens_of_tile(ROWS / heads_of_tile) {
    queries = reinterpret_cast<float *>(memory);
    scores  = queries + step.key_size() * ROWS;
    sums    = scores + CELLS * ROWS;
    totals  = sums + step.value_size() * ROWS;
    rows    = totals + 3 * ROWS;
    cells   = reinterpret_cast<int32_t *>(rows + CELLS * std::max(step.key_size(), step.value_size()));
    hidden  = reinterpret_cast<uint16_t *>(cells + step.cells());
    biased  = hidden + step.cells();
}

int64_t TileByTile::end_token(int64_t tile) const {
    return std::min(first_token(tile) + tokens_of_tile, step.tokens());
}

bool TileByTile::see(int64_t tile) {
    first = first_token(tile);
    last  = end_token(tile);
    std::memset(hidden, 0xFF, step.cells() * sizeof *hidden);
    std::memset(biased, 0, step.cells() * sizeof *biased);
    for (int64_t token = first; token < last; token++) {
        const auto * mask = row<uint16_t>(step.mask, token, 0);
        for (int64_t cell = 0; cell < step.cells(); cell++) {
            hidden[cell] &= mask[cell] == HIDDEN ? 0xFFFF : 0;
            biased[cell] |= mask[cell];
        }
    }
    count = 0;
    for (int64_t cell = 0; cell < step.cells(); cell++) {
        cells[count] = static_cast<int32_t>(cell);
        count += biased[cell] == 0 ? 1 : 0;
    }
    plain = count;
    for (int64_t cell = 0; cell < step.cells() && count < step.cells(); cell++) {
        cells[count] = static_cast<int32_t>(cell);
        count += biased[cell] != 0 && hidden[cell] == 0 ? 1 : 0;
    }
    return count - plain <= WASTE * plain + CELLS;
}

void TileByTile::compute(int64_t part) {
    const int64_t vectors = (lanes() + LANES - 1) / LANES;
    const int64_t head    = first_head(part) / step.group();
    fill_queries(part);
    std::memset(sums, 0, step.value_size() * ROWS * sizeof *sums);
    std::fill(totals, totals + ROWS, -INFINITE);
    std::fill(totals + ROWS, totals + 2 * ROWS, 0.0F);
    for (int64_t from = 0; from < count; from += CELLS) {
        const int64_t some = std::min(CELLS, count - from);
        fill_scores(from, some);
        load_cells(step.k, head, from, some);
        multiply({rows, step.key_size(), 1}, some, queries, step.key_size(), vectors, scores);
        weigh(some, vectors);
        load_cells(step.v, head, from, some);
        multiply({rows, 1, step.value_size()}, step.value_size(), scores, some, vectors, sums);
    }
    store(part);
}

// The queries, scaled. A lane that stands for nothing looks at everything alike.
void TileByTile::fill_queries(int64_t part) const {
    std::memset(queries, 0, step.key_size() * ROWS * sizeof *queries);
    for (int64_t lane = 0; lane < lanes(); lane++) {
        const float * query = row<float>(step.q, first + lane / heads_of_tile, first_head(part) + lane % heads_of_tile);
        for (int64_t i = 0; i < step.key_size(); i++) {
            queries[i * ROWS + lane] = query[i] * step.scale;
        }
    }
}

// What the scores of some cells begin with: the mask.
void TileByTile::fill_scores(int64_t from, int64_t some) const {
    std::memset(scores, 0, CELLS * ROWS * sizeof *scores);
    for (int64_t i = std::max<int64_t>(plain - from, 0); i < some; i++) {
        for (int64_t token = first; token < last; token++) {
            const auto bias = static_cast<float>(row<Half>(step.mask, token, 0)[cells[from + i]]);
            std::fill_n(scores + i * ROWS + (token - first) * heads_of_tile, heads_of_tile, bias);
        }
    }
}

// The keys or values of some cells, in single precision.
void TileByTile::load_cells(const ggml_tensor * tensor, int64_t head, int64_t from, int64_t some) const {
    const int64_t size = tensor->ne[0];
    for (int64_t i = 0; i < some; i++) {
        const Half * values = row<Half>(tensor, cells[from + i], head);
        for (int64_t j = 0; j < size; j += LANES) {
            const Floats floats = load_halves(values + j);
            std::memcpy(rows + i * size + j, &floats, sizeof floats);
        }
    }
}

// Makes weights of the scores of some cells, and scales down what was summed before.
void TileByTile::weigh(int64_t some, int64_t vectors) const {
    for (int64_t vector = 0; vector < vectors; vector++) {
        float *      own     = scores + vector * LANES;
        float *      total   = totals + vector * LANES;
        const Floats before  = load<Floats>(total);
        Floats       highest = before;
        for (int64_t i = 0; i < some; i++) {
            highest = highest_of(highest, load<Floats>(own + i * ROWS));
        }
        // Where nothing was seen yet, all differences are to stay minus infinity.
        const Floats base  = highest_of(highest, Floats{} + std::numeric_limits<float>::lowest());
        const Floats scale = exponential(before - base);
        Floats       sum   = load<Floats>(total + ROWS) * scale;
        for (int64_t i = 0; i < some; i++) {
            const Floats weight = exponential(load<Floats>(own + i * ROWS) - base);
            std::memcpy(own + i * ROWS, &weight, sizeof weight);
            sum += weight;
        }
        std::memcpy(total, &highest, sizeof highest);
        std::memcpy(total + ROWS, &sum, sizeof sum);
        for (int64_t i = 0; i < step.value_size(); i++) {
            float *      at     = sums + i * ROWS + vector * LANES;
            const Floats scaled = load<Floats>(at) * scale;
            std::memcpy(at, &scaled, sizeof scaled);
        }
    }
}

// The sums, each out of its lane's total.
void TileByTile::store(int64_t part) const {
    for (int64_t lane = 0; lane < lanes(); lane++) {
        const float total = totals[ROWS + lane];
        const float scale = total > 0 ? 1 / total : 0;
        float *     out   = step.out_of(first + lane / heads_of_tile, first_head(part) + lane % heads_of_tile);
        for (int64_t i = 0; i < step.value_size(); i++) {
            out[i] = sums[i * ROWS + lane] * scale;
        }
    }
}

}  // namespace attention
