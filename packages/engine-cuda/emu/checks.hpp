// What EMU_CHECK=1 looks for in every launch: races by happens-before, whatever the order of threads happened to be; shared and
// global memory that nothing wrote; targets of asynchronous copies touched before their wait; accesses outside of an allocation.
// fake_nvrtc.cc compiles the kernels with -fsanitize=thread then, and checks.cc receives the calls that g++ puts at each access.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emu {
/** Bytes behind dynamic shared memory whose use is reported. */
const size_t SHARED_MARGIN = 256;
/** Whether EMU_CHECK is set; 2 prints each finding with its threads to stderr. */
bool is_checking();
/** Memory of `SHARED` variables of a module. */
void add_static_shared(void* begin, void* end);
void begin_launch(const char* kernel);
/** Makes all shared memory undefined: NaN, and written by nobody. */
void begin_block(unsigned char* dynamic, size_t bytes);
void end_launch();
/** An access of the current thread. */
void touch(const void* at, size_t bytes, bool is_write);
/** Whether a copy to these 16 bytes of shared memory is under way. */
void set_pending(const void* at, bool is);
/** Adds what was found elsewhere. */
void add_finding(const char* what);
/** Returns what was found first since the last call in this thread, at most 63 characters, or null. */
const char* take_finding();
}  // namespace emu
