// Device memory of the fake driver: allocations that never touch, at addresses that are never used again, and which of their
// bytes have been written.
#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "checks.hpp"
#include "fake.h"

using fake::u64;

namespace {
struct Allocation {
  size_t bytes;
  int device;
  /** While checking: of each byte. */
  std::vector<bool> written;
};
/** Address space, of which pages are taken as they are touched. */
const size_t SPACE = 1ull << 42;
const size_t PAGE = 4096, GAP = 64 << 10;

std::mutex lock;
std::map<u64, Allocation> allocations;
std::map<int, size_t> used;
u64 space = 0, next = 0;

u64 aligned(u64 bytes) { return (bytes + PAGE - 1) & ~(u64)(PAGE - 1); }
/** The allocation that [at, at + bytes) lies in, or null. */
Allocation* find(u64 at, size_t bytes, size_t* offset) {
  auto it = allocations.upper_bound(at);
  if (it == allocations.begin()) return nullptr;
  --it;
  *offset = at - it->first;
  return at + bytes <= it->first + it->second.bytes ? &it->second : nullptr;
}
}  // namespace

u64 fake::take_memory(int device, size_t bytes) {
  std::lock_guard<std::mutex> guard(lock);
  if (!space) {
    void* all = mmap(nullptr, SPACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) return 0;
    next = space = (u64)all;
  }
  if (next + bytes + GAP > space + SPACE) return 0;
  u64 at = next;
  next += aligned(bytes) + GAP;
  allocations[at] = {bytes, device, std::vector<bool>(emu::is_checking() ? bytes : 0)};
  used[device] += bytes;
  return at;
}
bool fake::give_memory(u64 at) {
  std::lock_guard<std::mutex> guard(lock);
  auto it = allocations.find(at);
  if (it == allocations.end()) return false;
  used[it->second.device] -= it->second.bytes;
  madvise((void*)at, aligned(it->second.bytes), MADV_DONTNEED);
  allocations.erase(it);
  return true;
}
size_t fake::used_memory(int device) {
  std::lock_guard<std::mutex> guard(lock);
  return used[device];
}
/** For tests. */
extern "C" u64 emu_used_memory(int device) { return fake::used_memory(device); }
bool fake::is_device_address(u64 at) { return space && at >= space && at < space + SPACE; }
bool fake::is_device_memory(u64 at, size_t bytes) {
  std::lock_guard<std::mutex> guard(lock);
  size_t offset;
  return find(at, bytes, &offset) != nullptr;
}
void fake::set_written(u64 at, size_t bytes, bool is) {
  if (!emu::is_checking()) return;
  std::lock_guard<std::mutex> guard(lock);
  size_t offset;
  if (auto* own = find(at, bytes, &offset)) std::fill_n(own->written.begin() + offset, bytes, is);
}
bool fake::is_written(u64 at, size_t bytes) {
  if (!emu::is_checking()) return true;
  std::lock_guard<std::mutex> guard(lock);
  size_t offset;
  auto* own = find(at, bytes, &offset);
  if (!own) return false;
  for (size_t i = offset; i < offset + bytes; i++)
    if (!own->written[i]) return false;
  return true;
}
