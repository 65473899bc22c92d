#include "limits.h"

#include <malloc.h>
#include <time.h>

#include <cstdlib>
#include <exception>

namespace rkllmjs {

namespace {

thread_local Limits * limits = nullptr;

// Reading the clock at every allocation would cost more than most allocations.
constexpr unsigned LOOKS_PER_CLOCK = 64;

// The JSON library allocates in its destructors, from which nothing may be thrown: arrays of values, this
// many bytes each. Code that runs away allocates other sizes too.
constexpr std::size_t JSON_VALUE_BYTES = 16;
// Where even such an allocation fails: at so many times the limits of memory and time, and with so much of
// the stack left.
constexpr unsigned    LAST_CALL       = 2;
constexpr std::size_t LAST_STACK_PART = 6;

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
    : bytes_left_(bytes), bytes_reserve_((LAST_CALL - 1) * bytes), deadline_ns_(cpu_ns() + cpu_ms * 1'000'000U),
      last_ns_(deadline_ns_ + (LAST_CALL - 1) * cpu_ms * 1'000'000U), last_stack_(stack_pointer() - stack_bytes),
      stack_end_(last_stack_ + stack_bytes / LAST_STACK_PART) {
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

void Limits::check_stack() {
    if (passed_ == nullptr && stack_pointer() < stack_end_) {
        passed_ = "nests or calls itself too deep";
    }
    if (passed_ != nullptr) {
        throw limit_passed();
    }
}

void check_stack() {
    if (limits != nullptr) {
        limits->check_stack();
    }
}

bool Limits::is_late() {
    return ++looks_ % LOOKS_PER_CLOCK == 0 && cpu_ns() > deadline_ns_;
}

void Limits::check_time() {
    if (passed_ == nullptr && is_late()) {
        passed_ = "runs for too long";
    }
    if (passed_ != nullptr) {
        throw limit_passed();
    }
}

void check_time() {
    if (limits != nullptr) {
        limits->check_time();
    }
}

void Limits::take(std::size_t bytes) {
    if (passed_ == nullptr) {
        if (bytes > bytes_left_) {
            passed_ = "takes too much memory";
        } else if (stack_pointer() < stack_end_) {
            passed_ = "nests or calls itself too deep";
        } else if (is_late()) {
            passed_ = "runs for too long";
        }
    }
    if (passed_ != nullptr && !is_excused(bytes)) {
        throw limit_passed();
    }
    const std::size_t extra = bytes > bytes_left_ ? bytes - bytes_left_ : 0;
    bytes_left_ -= bytes - extra;
    bytes_reserve_ -= extra < bytes_reserve_ ? extra : bytes_reserve_;
}

// Whether an allocation past a limit may be one of a destructor.
bool Limits::is_excused(std::size_t bytes) {
    if (std::uncaught_exceptions() > 0) {
        return true;
    }
    const bool has_room = bytes <= bytes_left_ || bytes - bytes_left_ <= bytes_reserve_;
    return bytes % JSON_VALUE_BYTES == 0 && has_room && stack_pointer() >= last_stack_ && cpu_ns() < last_ns_;
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
