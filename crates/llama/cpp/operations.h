// What is computed here in place of ggml's own. Each gives what computes an operation, or nullptr where ggml is to.
#pragma once

#include "ggml-backend-impl.h"
#include "traits.h"

ggml::cpu::tensor_traits * attention_for(const ggml_tensor * op);
ggml::cpu::tensor_traits * product_for(const ggml_tensor * op);

// Makes ggml ask for them: once, before anything is computed, and after the types of buffers for weights were asked for.
void register_operations(void);
