// Limits for code that has none of its own. A chat template is somebody's program, and the engine
// that runs it bounds neither its time nor its memory nor its recursion. It does nothing of length
// without allocating, though, so `operator new` is where the limits are enforced: while a `Limits`
// lives on a thread, an allocation of that thread past any limit throws, and keeps throwing until
// the `Limits` is gone, whatever the code in between catches. Destructors are spared: a throw from one
// would end the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace rkllmjs {

class Limits {
  public:
    // `bytes` that may be allocated at once, `cpu_ms` of this thread's processor time and
    // `stack_bytes` below the caller's frame.
    Limits(std::size_t bytes, std::uint64_t cpu_ms, std::size_t stack_bytes);
    ~Limits();
    Limits(const Limits &)             = delete;
    Limits & operator=(const Limits &) = delete;

    // Ends the limits early, so that what went wrong can be reported.
    void lift();
    // Which limit was passed, or null.
    const char * passed() const { return passed_; }

    // Throws where the stack is at its limit.
    void check_stack();
    // Throws where the time is up.
    void check_time();

    // For `operator new` and `operator delete` only.
    void take(std::size_t bytes);
    void settle(std::size_t asked, std::size_t got);
    void give(std::size_t bytes);
    static Limits * current();

  private:
    bool is_late();
    bool is_excused(std::size_t bytes);

    std::size_t   bytes_left_;
    std::size_t   bytes_reserve_;
    std::uint64_t deadline_ns_;
    std::uint64_t last_ns_;
    const char *  last_stack_;
    const char *  stack_end_;
    const char *  passed_      = nullptr;
    unsigned      looks_       = 0;
};

// For code that calls itself without allocating: throws where the stack of limited code is at its limit.
void check_stack();

// For loops without allocations: throws where the time of limited code is up.
void check_time();

// What an allocation past a limit throws.
struct limit_passed : std::bad_alloc {
    const char * what() const noexcept override { return "a limit was passed"; }
};

}  // namespace rkllmjs
