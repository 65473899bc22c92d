// The calls of llama.h that may throw, made safe to call from Rust: an exception becomes a status
// and a message that the calling thread can read. Nothing here keeps state but that message.
#include <sys/random.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "guarded.h"
#include "llama-grammar.h"
#include "llama-kv-cache.h"
#include "llama-model.h"
#include "llama.h"

// What src/saved_cells.rs reads; saved files name this version.
static_assert(LLAMA_STATE_SEQ_VERSION == 4, "llama.cpp writes cells otherwise: see saved_cells.rs");

namespace {

using rkllmjs::guarded;

const char * skip_blank(const char * text) {
    while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n' || *text == '#') {
        if (*text == '#') {
            while (*text != 0 && *text != '\n') {
                text++;
            }
        } else {
            text++;
        }
    }
    return text;
}

// How often llama.cpp looks at rules when it searches a grammar for left recursion: it does not remember where it
// has been, so rules whose alternatives begin with the same rules multiply, and it recurses.
class looks {
public:
    explicit looks(const llama_grammar_rules & rules) : rules(rules), counts(rules.size(), UNKNOWN) {}

    // Throws beyond the bounds.
    void check() {
        for (size_t rule = 0; rule < rules.size(); rule++) {
            of(rule, 0);
        }
    }

private:
    static constexpr double UNKNOWN   = -1;
    static constexpr double LOOKS_MAX = 1e6;
    static constexpr int    DEPTH_MAX = 4096;

    const llama_grammar_rules & rules;
    std::vector<double>         counts;

    double of(size_t rule, int depth) {
        // What is under way counts 0: it is left recursion, which llama.cpp then finds.
        if (counts[rule] != UNKNOWN) {
            return counts[rule];
        }
        if (depth > DEPTH_MAX) {
            throw std::runtime_error("too many rules begin with one another");
        }
        counts[rule]    = 0;
        double count    = 1;
        bool   at_start = true;
        for (const llama_grammar_element & element : rules[rule]) {
            const bool is_end = element.type == LLAMA_GRETYPE_END || element.type == LLAMA_GRETYPE_ALT;
            if (at_start && element.type == LLAMA_GRETYPE_RULE_REF) {
                count += of(element.value, depth + 1);
                at_start = may_be_empty(rules[element.value]);
            } else {
                at_start = is_end;
            }
        }
        if (count > LOOKS_MAX) {
            throw std::runtime_error("too many alternatives begin with the same rules");
        }
        return counts[rule] = count;
    }

    // Whether one of its alternatives has nothing in it.
    static bool may_be_empty(const llama_grammar_rule & rule) {
        bool at_start = true;
        for (const llama_grammar_element & element : rule) {
            const bool is_end = element.type == LLAMA_GRETYPE_END || element.type == LLAMA_GRETYPE_ALT;
            if (is_end && at_start) {
                return true;
            }
            at_start = is_end;
        }
        return false;
    }
};

// Throws what is wrong with a grammar. The library's own entry prints that to stderr, which is the
// user's, and returns nothing but a null pointer.
void check_grammar(const llama_vocab * vocab, const char * grammar, const char * root) {
    llama_grammar_parser parser(vocab);
    for (const char * rest = skip_blank(grammar); *rest != 0;) {
        rest = parser.parse_rule(rest);
    }
    if (parser.symbol_ids.find(root) == parser.symbol_ids.end()) {
        throw std::runtime_error(std::string("there is no rule named ") + root);
    }
    for (const auto & [name, id] : parser.symbol_ids) {
        if (id >= parser.rules.size() || parser.rules[id].empty()) {
            throw std::runtime_error("rule " + name + " is used but not defined");
        }
    }
    looks(parser.rules).check();
}

// What may stop the work of a thread that llama.cpp gives no hook for.
struct interruption {
    bool (*is_wanted)(const void *);
    const void * data;
    bool happened;
};

thread_local interruption * watched = nullptr;

bool starts_with(const char * text, const char * start) {
    return std::strncmp(text, start, std::strlen(start)) == 0;
}

// Quantizing logs these once a tensor from the thread that called it, with no other thread at work and
// nothing but objects with destructors between here and its own handler. They are short, so that the
// logger has allocated nothing for them.
bool is_between_tensors(const char * text) {
    return starts_with(text, "size = ") || starts_with(text, "converting to ");
}

void forward_line(ggml_log_level level, const char * text, void * receiver) {
    reinterpret_cast<ggml_log_callback>(receiver)(level, text, nullptr);
    if (watched != nullptr && !watched->happened && is_between_tensors(text) && watched->is_wanted(watched->data)) {
        watched->happened = true;
        throw std::runtime_error("stopped");
    }
}

}  // namespace

extern "C" {

#if defined(__GLIBC__)
// What the static C++ library takes from glibc 2.36 for its random device. With one of our own the
// addon runs on systems with an older glibc.
uint32_t arc4random(void) {
    uint32_t number = 0;
    while (getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    return number;
}
#endif

const int32_t RKLLMJS_THROWN = rkllmjs::THROWN;

const char * rkllmjs_llama_message(void) {
    return rkllmjs::message;
}

llama_context * rkllmjs_llama_context_new(llama_model * model, const llama_context_params * params) {
    return guarded<llama_context *>(nullptr, [&] { return llama_init_from_model(model, *params); });
}

int32_t rkllmjs_llama_decode(llama_context * context, const llama_batch * batch) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] { return llama_decode(context, *batch); });
}

int32_t rkllmjs_llama_encode(llama_context * context, const llama_batch * batch) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] { return llama_encode(context, *batch); });
}

// 1 removed, 0 refused, RKLLMJS_THROWN.
int32_t rkllmjs_llama_remove(llama_context * context, llama_seq_id sequence, llama_pos from, llama_pos to) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        return llama_memory_seq_rm(llama_get_memory(context), sequence, from, to) ? 1 : 0;
    });
}

// 1 if sequences can share any stretch of cells: other kinds of memory keep states that cannot be cut.
int32_t rkllmjs_llama_can_share(llama_context * context) {
    return guarded<int32_t>(0, [&] {
        return dynamic_cast<llama_kv_cache *>(llama_get_memory(context)) != nullptr ? 1 : 0;
    });
}

// Numbers that say where a token stands.
int32_t rkllmjs_llama_numbers_of_a_place(const llama_model * model) {
    return static_cast<int32_t>(model->hparams.n_pos_per_embd());
}

// 1 shared, 0 refused because a sequence does not have what it should, RKLLMJS_THROWN. What is shared ends with a cell
// at `last`, and the target has nothing behind `before`: rows of images may stand at one place, with none behind it.
int32_t rkllmjs_llama_share(llama_context * context, llama_seq_id source, llama_seq_id target, llama_pos from, llama_pos to,
                            llama_pos before, llama_pos last) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        llama_memory_t memory = llama_get_memory(context);
        const bool has = llama_memory_seq_pos_min(memory, source) == 0 && llama_memory_seq_pos_max(memory, source) >= last;
        if (!has || source == target || from >= to || llama_memory_seq_pos_max(memory, target) != before) {
            return 0;
        }
        llama_memory_seq_cp(memory, source, target, from, to);
        return 1;
    });
}

// Cells that no sequence has, RKLLMJS_THROWN. All sequences share one stream of them.
int32_t rkllmjs_llama_free_cells(llama_context * context) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        const auto * cache = dynamic_cast<const llama_kv_cache *>(llama_get_memory(context));
        if (cache == nullptr) {
            return 0;
        }
        const llama_kv_cells & cells = cache->get_cells(0);
        return static_cast<int32_t>(cells.size() - cells.get_used());
    });
}

// Bytes that a saved cell has beside its position and its owners, RKLLMJS_THROWN.
int32_t rkllmjs_llama_extra_cell_bytes(llama_context * context) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        const llama_hparams & hparams = llama_get_model(context)->hparams;
        const bool has_extra = hparams.n_pos_per_embd() > 1 || hparams.ple_n_heads > 0;
        return has_extra ? static_cast<int32_t>(sizeof(llama_kv_cell_ext)) : 0;
    });
}

int32_t rkllmjs_llama_clear(llama_context * context) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        llama_memory_clear(llama_get_memory(context), true);
        return 0;
    });
}

int32_t rkllmjs_llama_tokenize(const llama_vocab * vocab, const char * text, int32_t length, llama_token * tokens,
                               int32_t most, bool add_special, bool parse_special) {
    return guarded<int32_t>(INT32_MIN, [&] {
        return llama_tokenize(vocab, text, length, tokens, most, add_special, parse_special);
    });
}

llama_sampler * rkllmjs_llama_grammar_new(const llama_vocab * vocab, const char * grammar, const char * root) {
    return guarded<llama_sampler *>(nullptr, [&] {
        check_grammar(vocab, grammar, root);
        return llama_sampler_init_grammar(vocab, grammar, root);
    });
}

llama_sampler * rkllmjs_llama_grammar_lazy_new(const llama_vocab * vocab, const char * grammar, const char * root,
                                               const char ** patterns, size_t count) {
    return guarded<llama_sampler *>(nullptr, [&] {
        check_grammar(vocab, grammar, root);
        return llama_sampler_init_grammar_lazy_patterns(vocab, grammar, root, patterns, count, nullptr, 0);
    });
}

int32_t rkllmjs_llama_sampler_apply(llama_sampler * sampler, llama_token_data_array * candidates) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        llama_sampler_apply(sampler, candidates);
        return 0;
    });
}

int32_t rkllmjs_llama_sampler_accept(llama_sampler * sampler, llama_token token) {
    return guarded<int32_t>(RKLLMJS_THROWN, [&] {
        llama_sampler_accept(sampler, token);
        return 0;
    });
}

llama_adapter_lora * rkllmjs_llama_adapter_new(llama_model * model, const char * path) {
    return guarded<llama_adapter_lora *>(nullptr, [&] { return llama_adapter_lora_init(model, path); });
}

int32_t rkllmjs_llama_set_adapters(llama_context * context, llama_adapter_lora ** adapters, size_t count, float * scales) {
    return guarded<int32_t>(RKLLMJS_THROWN,
                            [&] { return llama_set_adapters_lora(context, adapters, count, scales); });
}

// `data` of null turns control off.
int32_t rkllmjs_llama_set_control(llama_context * context, const float * data, size_t length, int32_t width,
                                  int32_t layers) {
    return guarded<int32_t>(RKLLMJS_THROWN,
                            [&] { return llama_set_adapter_cvec(context, data, length, width, 1, layers); });
}

// `receive` must not throw.
void rkllmjs_llama_log_to(ggml_log_callback receive) {
    llama_log_set(forward_line, reinterpret_cast<void *>(receive));
}

// 0 done, 1 refused or stopped, RKLLMJS_THROWN. Stops before the next tensor once `is_wanted` says so.
int32_t rkllmjs_llama_quantize(const char * input, const char * output, const llama_model_quantize_params * params,
                               bool (*is_wanted)(const void *), const void * data) {
    interruption stop{is_wanted, data, false};
    watched = &stop;
    const int32_t status = guarded<int32_t>(RKLLMJS_THROWN, [&] {
        return static_cast<int32_t>(llama_model_quantize(input, output, params));
    });
    watched = nullptr;
    return status;
}
}
