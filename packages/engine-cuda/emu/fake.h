// What the fake libraries share: one queue of work in the process, done when somebody waits, as late as a GPU may do it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace fake {
typedef uint64_t u64;
/** Whether [at, at + bytes) lies inside one allocation of device memory. */
bool is_device_memory(u64 at, size_t bytes);
/** Adds work to the current thread's stream; false where the thread has no context. */
bool enqueue(std::function<void()> work);
}  // namespace fake
