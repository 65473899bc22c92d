// What every shim needs: an exception becomes a status and a message that the calling thread can read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>

namespace rkllmjs {

// Far from llama.cpp's own codes, which lie between -3 and 2.
constexpr int32_t THROWN = -1000;

inline thread_local char message[512] = "";

inline void remember(const char * what) {
    std::snprintf(message, sizeof message, "%s", what);
}

// What `work` returns, or `otherwise` after an exception.
template <typename Result, typename Work> Result guarded(Result otherwise, Work work) noexcept {
    message[0] = 0;
    try {
        return work();
    } catch (const std::exception & error) {
        remember(error.what());
    } catch (...) {
        remember("an exception that is not a std::exception");
    }
    return otherwise;
}

}  // namespace rkllmjs
