// The flavours in this addon, best first. The build names them: RKLLMJS_FLAVOURS(EACH) is EACH(amx) EACH(avx512) ...
#include "flavour.h"

#define DECLARE(name) extern "C" const rkllmjs_flavour rkllmjs_flavour_##name;
#define ADDRESS(name) &rkllmjs_flavour_##name,

RKLLMJS_FLAVOURS(DECLARE)

// Ends in a null.
extern "C" const rkllmjs_flavour * const rkllmjs_flavours[] = { RKLLMJS_FLAVOURS(ADDRESS) nullptr };
