// What becomes of memory that is given back, for a process that runs for days.
#pragma once

namespace zg {

// See src/steady_memory.ts; false if the C library has nothing like it.
bool steady_memory();

}  // namespace zg
