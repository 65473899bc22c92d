// Attention over a cache that many sequences share. ggml's own looks at every cell of the cache for every head, though
// most belong to other sequences: it spends more on those than on all else.
#include "attention.h"

#include "ggml-backend-impl.h"
#include "operations.h"
#include "traits.h"

namespace {

using attention::LANES;
using attention::Step;
using attention::TileByTile;
using attention::TokenByToken;

// From so many tokens on a step holds prompts, whose tokens see the same cells. Steps of fewer, which guesses and
// neighbours make longer, give each token to the last bit what it gets alone.
constexpr int64_t TOKENS_OF_PROMPTS = 64;
constexpr size_t  LINE              = 64;

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
    const Step step(op);
    float      others[2];  // The largest bias and the cap of scores, after the scale.
    std::memcpy(others, reinterpret_cast<const char *>(op->op_params) + sizeof(float), sizeof others);
    return others[0] == 0.0F && others[1] == 0.0F && has_plain_rows(step.q, GGML_TYPE_F32) &&
           has_plain_rows(step.k, GGML_TYPE_F16) && has_plain_rows(step.v, GGML_TYPE_F16) &&
           has_plain_rows(step.mask, GGML_TYPE_F16) && step.mask->ne[2] == 1 && step.key_size() % LANES == 0 &&
           step.value_size() % LANES == 0 && step.k->ne[2] == step.v->ne[2] && step.heads() % step.k->ne[2] == 0;
}

// Pairs of a token and a head go round the threads, so that long sequences are spread like short ones.
void compute_tokens(const ggml_compute_params * params, const Step & step, TokenByToken & tokens) {
    for (int64_t pair = params->ith; pair < step.tokens() * step.heads(); pair += params->nth) {
        tokens.compute(pair / step.heads(), pair % step.heads());
    }
}

// So do the parts of tiles.
void compute_tiles(const ggml_compute_params * params, TileByTile & tiles, TokenByToken & tokens) {
    int64_t seen       = -1;
    bool    is_together = false;
    for (int64_t i = params->ith; i < tiles.tiles() * tiles.parts(); i += params->nth) {
        const int64_t tile = i / tiles.parts();
        const int64_t part = i % tiles.parts();
        if (tile != seen) {
            is_together = tiles.see(tile);
            seen        = tile;
        }
        if (is_together) {
            tiles.compute(part);
            continue;
        }
        for (int64_t token = tiles.first_token(tile); token < tiles.end_token(tile); token++) {
            for (int64_t head = tiles.first_head(part); head < tiles.end_head(part); head++) {
                tokens.compute(token, head);
            }
        }
    }
}

class OwnAttention : public ggml::cpu::tensor_traits {
  public:
    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        const Step step(op);
        size = threads * (bytes_of_tokens(step) + bytes_of_tiles(step)) + LINE;
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        const Step step(op);
        char *     memory = static_cast<char *>(params->wdata);
        memory += GGML_PAD(reinterpret_cast<uintptr_t>(memory), LINE) - reinterpret_cast<uintptr_t>(memory);
        char *       own = memory + params->ith * (bytes_of_tokens(step) + bytes_of_tiles(step));
        TokenByToken tokens(step, own);
        if (step.tokens() < TOKENS_OF_PROMPTS) {
            compute_tokens(params, step, tokens);
        } else {
            TileByTile tiles(step, own + bytes_of_tokens(step));
            compute_tiles(params, tiles, tokens);
        }
        return true;
    }

  private:
    // Threads do not share lines of the processor's cache.
    static size_t bytes_of_tokens(const Step & step) { return GGML_PAD(TokenByToken::bytes(step), LINE); }

    static size_t bytes_of_tiles(const Step & step) {
        return step.tokens() < TOKENS_OF_PROMPTS ? 0 : GGML_PAD(TileByTile::bytes(step), LINE);
    }
};

}  // namespace

ggml::cpu::tensor_traits * attention_for(const ggml_tensor * op) {
    static OwnAttention own;
    return is_ours(op) ? &own : nullptr;
}
