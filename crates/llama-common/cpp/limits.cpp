#include "limits.h"

#include <malloc.h>
#include <time.h>

#include <cstdlib>

namespace rkllmjs {

namespace {

thread_local Limits * limits = nullptr;

// Reading the clock at every allocation would cost more than most allocations.
constexpr unsigned ALLOCATIONS_PER_CLOCK = 64;

std::uint64_t cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

const char * stack_pointer() {
    return static_cast<const char *>(__builtin_frame_address(0));
}

}  // namespace

Limits::Limits(std::size_t bytes, std::uint64_t cpu_ms, std::size_t stack_bytes)
    : bytes_left_(bytes), deadline_ns_(cpu_ns() + cpu_ms * 1'000'000U), stack_end_(stack_pointer() - stack_bytes) {
    limits = this;
}

Limits::~Limits() {
    lift();
}

void Limits::lift() {
    if (limits == this) {
        limits = nullptr;
    }
}

Limits * Limits::current() {
    return limits;
}

void Limits::take(std::size_t bytes) {
    if (passed_ == nullptr) {
        if (bytes > bytes_left_) {
            passed_ = "takes too much memory";
        } else if (stack_pointer() < stack_end_) {
            passed_ = "nests or calls itself too deep";
        } else if (++allocations_ % ALLOCATIONS_PER_CLOCK == 0 && cpu_ns() > deadline_ns_) {
            passed_ = "runs for too long";
        }
    }
    if (passed_ != nullptr) {
        throw limit_passed();
    }
    bytes_left_ -= bytes;
}

void Limits::settle(std::size_t asked, std::size_t got) {
    // What comes back on release is the size the allocator rounded to.
    const std::size_t extra = got > asked ? got - asked : 0;
    bytes_left_ -= extra < bytes_left_ ? extra : bytes_left_;
}

void Limits::give(std::size_t bytes) {
    bytes_left_ += bytes;
}

}  // namespace rkllmjs

// These replace the C++ library's for this addon alone; nothing of them is exported. The array,
// sized and non-throwing forms of the library call these two.
void * operator new(std::size_t bytes) {
    rkllmjs::Limits * limits = rkllmjs::Limits::current();
    if (limits != nullptr) {
        limits->take(bytes);
    }
    void * memory = std::malloc(bytes == 0 ? 1 : bytes);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    if (limits != nullptr) {
        limits->settle(bytes, malloc_usable_size(memory));
    }
    return memory;
}

void operator delete(void * memory) noexcept {
    if (rkllmjs::Limits * limits = rkllmjs::Limits::current()) {
        limits->give(malloc_usable_size(memory));
    }
    std::free(memory);
}
