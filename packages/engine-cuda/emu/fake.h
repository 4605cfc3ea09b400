// What the fake libraries share: one queue of work in the process, done when somebody waits, as late as a GPU may do it; and
// device memory (memory.cc).
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace fake {
typedef uint64_t u64;
/** Allocates device memory; 0 where there is no address left. */
u64 take_memory(int device, size_t bytes);
bool give_memory(u64 at);
size_t used_memory(int device);
/** Whether an address is one that device memory has, had or will have. */
bool is_device_address(u64 at);
/** Whether [at, at + bytes) lies inside one allocation of device memory. */
bool is_device_memory(u64 at, size_t bytes);
/** While checking: notes that bytes were written, or are undefined again. */
void set_written(u64 at, size_t bytes, bool is);
bool is_written(u64 at, size_t bytes);
/** Whether a fault has taken the context of the current thread with it; whether its stream is capturing. */
bool is_poisoned();
bool is_capturing();
/** Whether enqueued work is dropped. */
bool is_idle();
/** Adds work to the current thread's stream; false where the thread has no context. */
bool enqueue(std::function<void()> work);
}  // namespace fake
