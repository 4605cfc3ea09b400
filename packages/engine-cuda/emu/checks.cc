#include "checks.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "emu.hpp"
#include "fake.h"

namespace emu {
namespace {
/** Barriers and warp barriers that a thread had passed at an access: what orders it before accesses of others. */
struct Moment {
  int block = -1, thread = -1;
  unsigned barriers = 0, warp_syncs = 0;
};
/** Two bytes: who wrote them last, and who has read them since the last barrier. */
struct Cell {
  Moment write, read;
  /** Warp of all readers, −1 if there are several; `read.thread` is −1 likewise, `read.block` −2. */
  int warp = -1;
  bool is_pending = false;
};
struct Range {
  unsigned char* begin;
  size_t bytes;
  std::vector<Cell> cells;
};
const int SEVERAL = -1, SEVERAL_BLOCKS = -2, NOBODY = -1;

std::vector<Range> statics;
Range dynamic;
std::unordered_map<uint64_t, Cell> global_cells;
bool is_running = false;
int block_number;
const char* kernel;
std::set<std::string> launched;
thread_local const char* finding = nullptr;

void report(const char* what, const void* at, const Cell* cell) {
  if (!finding) finding = what;
  static const bool prints = getenv("EMU_CHECK") && atoi(getenv("EMU_CHECK")) > 1;
  static std::set<std::string> printed;
  if (!prints || !printed.insert(std::string(kernel) + what).second) return;
  fprintf(stderr, "emulator: %s: %s at %p, block %d thread %d", kernel, what, at, block_number, current->number);
  if (cell) fprintf(stderr, "; written by block %d thread %d, read by block %d thread %d", cell->write.block, cell->write.thread, cell->read.block, cell->read.thread);
  fprintf(stderr, "\n");
}

int warp_of(int thread) { return thread >> 5; }
bool is_before(const Moment& then, const Moment& now) {
  return then.thread == now.thread || then.barriers < now.barriers ||
         (warp_of(then.thread) == warp_of(now.thread) && then.warp_syncs < now.warp_syncs);
}
bool readers_are_before(const Cell& cell, const Moment& now) {
  return cell.read.barriers < now.barriers || cell.read.thread == now.thread ||
         (cell.warp == warp_of(now.thread) && cell.read.warp_syncs < now.warp_syncs);
}
void note_read(Cell& cell, const Moment& now) {
  Moment& read = cell.read;
  if (read.block == SEVERAL_BLOCKS) return;
  if (read.block != NOBODY && read.block != now.block) {
    read.block = SEVERAL_BLOCKS;
  } else if (read.block == NOBODY || read.barriers != now.barriers) {
    read = now;
    cell.warp = warp_of(now.thread);
  } else {
    if (read.thread != now.thread) read.thread = SEVERAL;
    if (cell.warp != warp_of(now.thread)) cell.warp = SEVERAL;
    read.warp_syncs = std::max(read.warp_syncs, now.warp_syncs);
  }
}
void check_order(Cell& cell, const void* at, bool is_write) {
  Moment now{block_number, current->number, current->barriers, current->warp_syncs};
  if (cell.write.block != NOBODY) {
    if (cell.write.block != now.block) report(is_write ? "race: write of what another block writes" : "race: read of what another block writes", at, &cell);
    else if (!is_before(cell.write, now)) report(is_write ? "race: write not ordered after a write" : "race: read not ordered after a write", at, &cell);
  }
  if (!is_write) return note_read(cell, now);
  if (cell.read.block != NOBODY) {
    if (cell.read.block != now.block) report("race: write of what another block reads", at, &cell);
    else if (!readers_are_before(cell, now)) report("race: write not ordered after a read", at, &cell);
  }
  cell.write = now;
}

Range* shared_range(const unsigned char* at) {
  if (at >= dynamic.begin && at < dynamic.begin + dynamic.bytes + SHARED_MARGIN) return &dynamic;
  for (auto& range : statics)
    if (at >= range.begin && at < range.begin + range.bytes) return &range;
  return nullptr;
}
void touch_shared(Range& range, const unsigned char* at, size_t bytes, bool is_write) {
  size_t from = at - range.begin;
  if (from + bytes > range.bytes) return report(is_write ? "write out of bounds of shared memory" : "read out of bounds of shared memory", at, nullptr);
  for (size_t i = from / 2; i < (from + bytes + 1) / 2; i++) {
    Cell& cell = range.cells[i];
    if (cell.is_pending) report("access to the target of a copy before its wait", at, &cell);
    else if (!is_write && cell.write.block == NOBODY) report("read of shared memory that nothing wrote", at, &cell);
    check_order(cell, at, is_write);
  }
}
void touch_global(const unsigned char* at, size_t bytes, bool is_write) {
  if ((bytes & (bytes - 1)) == 0 && bytes <= 16 && (uint64_t)at % bytes) report("misaligned access to global memory", at, nullptr);
  if (!fake::is_device_memory((uint64_t)at, bytes)) return report(is_write ? "write out of bounds of global memory" : "read out of bounds of global memory", at, nullptr);
  if (is_write) fake::set_written((uint64_t)at, bytes, true);
  else if (!fake::is_written((uint64_t)at, bytes)) report("read of global memory that nothing wrote", at, nullptr);
  for (uint64_t i = (uint64_t)at / 2; i < ((uint64_t)at + bytes + 1) / 2; i++) check_order(global_cells[i], at, is_write);
}
}  // namespace

bool is_checking() {
  static const bool is = getenv("EMU_CHECK") && atoi(getenv("EMU_CHECK")) > 0;
  return is;
}
void add_static_shared(void* begin, void* end) { statics.push_back({(unsigned char*)begin, (size_t)((char*)end - (char*)begin), {}}); }
void begin_launch(const char* name) {
  kernel = name;
  block_number = -1;
  global_cells.clear();
  is_running = is_checking();
  if (is_running) launched.insert(name);
}
void begin_block(unsigned char* at, size_t bytes) {
  block_number++;
  dynamic.begin = at;
  dynamic.bytes = bytes;
  memset(at, 0xff, bytes);
  for (auto& range : statics) memset(range.begin, 0xff, range.bytes);
  if (!is_running) return;
  dynamic.cells.assign((bytes + 1) / 2, Cell{});
  for (auto& range : statics) range.cells.assign((range.bytes + 1) / 2, Cell{});
}
void end_launch() { is_running = false; }

void touch(const void* where, size_t bytes, bool is_write) {
  if (!is_running) return;
  auto* at = (const unsigned char*)where;
  auto* stack = (const unsigned char*)current->stack;
  if (at >= stack && at < stack + STACK_BYTES) return;
  if (auto* range = shared_range(at)) touch_shared(*range, at, bytes, is_write);
  else if (fake::is_device_address((uint64_t)at)) touch_global(at, bytes, is_write);
  else if ((uint64_t)at < 4096) {
    fprintf(stderr, "emulator: %s: access through a null pointer\n", kernel);
    abort();
  }
}
void set_pending(const void* at, bool is) {
  if (!is_running) return;
  auto* range = shared_range((const unsigned char*)at);
  if (!range) return report("cp.async to what is not shared memory", at, nullptr);
  size_t from = (const unsigned char*)at - range->begin;
  if (from + 16 > range->bytes) return;  // `touch` reports it
  for (size_t i = from / 2; i < from / 2 + 8; i++) range->cells[i].is_pending = is;
}
void add_finding(const char* what) {
  if (!finding) finding = what;
}
const char* take_finding() {
  const char* found = finding;
  finding = nullptr;
  return found;
}
}  // namespace emu

#define ACCESS(size)                                                                   \
  void __tsan_read##size(void* at) { emu::touch(at, size, false); }                    \
  void __tsan_write##size(void* at) { emu::touch(at, size, true); }                    \
  void __tsan_unaligned_read##size(void* at) { emu::touch(at, size, false); }          \
  void __tsan_unaligned_write##size(void* at) { emu::touch(at, size, true); }
extern "C" {
/** For tests: whether a kernel was launched under these checks. */
int emu_was_checked(const char* kernel) { return emu::launched.count(kernel); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
void __tsan_read_range(void* at, size_t bytes) { emu::touch(at, bytes, false); }
void __tsan_write_range(void* at, size_t bytes) { emu::touch(at, bytes, true); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
