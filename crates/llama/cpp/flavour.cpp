// What the rest of the addon sees of a flavour: this one symbol. All others of its object are local, so that no two
// flavours share a function that one of them compiled for a better CPU.
#include "flavour.h"

#include "operations.h"

#define FLAVOUR_OF(name) rkllmjs_flavour_##name
#define FLAVOUR(name) FLAVOUR_OF(name)
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

#ifdef __AVX512VNNI__
static constexpr bool OWN_PRODUCTS = true;
#else
static constexpr bool OWN_PRODUCTS = false;
#endif

extern "C" const rkllmjs_flavour FLAVOUR(RKLLMJS_FLAVOUR) = {
    TEXT(RKLLMJS_FLAVOUR), RKLLMJS_NEEDS,         OWN_PRODUCTS,         ggml_backend_cpu_reg,
    register_operations,   ggml_threadpool_new,   ggml_threadpool_free,
};
