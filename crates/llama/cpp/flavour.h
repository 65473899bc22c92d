// One copy of ggml's CPU part, compiled for one level of CPU. `crates/llama/src/flavour.rs` has the same struct.
#pragma once

#include "ggml-backend.h"
#include "ggml-cpu.h"

extern "C" {

struct rkllmjs_flavour {
    const char * name;
    // Names of features as Linux prints them, with spaces between.
    const char * needs;
    // Whether products of tokens with weights in eight bits are computed here, and not by ggml.
    bool own_products;
    ggml_backend_reg_t (*registry)(void);
    // Once, before anything is computed, and after the types of buffers for weights were asked for.
    void (*register_operations)(void);
    ggml_threadpool * (*new_pool)(ggml_threadpool_params * params);
    void (*free_pool)(ggml_threadpool * pool);
};

}
