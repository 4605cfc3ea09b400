// The arrays of one engine: blocks of memory behind handles, used again by size.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <map>
#include <vector>

namespace zg {

class Arrays {
 public:
  Arrays() = default;
  Arrays(const Arrays&) = delete;
  ~Arrays();

  // A handle never names two arrays: a freed one is recognised. 0 if memory is lacking. Contents are undefined.
  uint64_t take(size_t length);
  // Null if the handle names no live array.
  float* data(uint64_t handle, size_t* length);
  bool release(uint64_t handle);
  // Gives memory that this arena did not need back to the system; what it used waits for the next.
  void end_arena();
  // Bytes held, in use or waiting, now and at most.
  size_t bytes() const { return bytes_; }
  size_t peak() const { return peak_; }

 private:
  struct Slot {
    float* data;
    size_t length, bytes;
    uint64_t generation;
  };
  struct Idle {
    void* block;
    uint64_t arena;  // that used it last
  };
  Slot* find(uint64_t handle);
  // Gives up to `bytes` of what only earlier arenas used back, so that growing does not add to what lies idle.
  void make_room(size_t bytes);

  std::vector<Slot> slots_;
  std::vector<uint32_t> empty_;
  std::multimap<size_t, Idle> idle_;
  uint64_t arena_ = 1;
  size_t bytes_ = 0, peak_ = 0;
};

}  // namespace zg
