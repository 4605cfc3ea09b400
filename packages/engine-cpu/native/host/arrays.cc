#include "arrays.h"

#include "blocks.h"

namespace zg {

namespace {
// Handles go through JavaScript numbers: 20 bits of slot, 33 of generation.
constexpr uint64_t SLOT_BITS = 20;

// Sizes in steps of an eighth of a power of two: cells of nearly the same length share their blocks.
size_t size_class(size_t bytes) {
  if (bytes <= 4096) return 4096;
  const size_t step = (size_t)1 << (63 - __builtin_clzll(bytes - 1) - 3);
  return (bytes + step - 1) / step * step;
}
}  // namespace

Arrays::~Arrays() {
  for (const Slot& slot : slots_) block_free(slot.data, slot.bytes);
  for (const auto& [bytes, idle] : idle_) block_free(idle.block, bytes);
}

uint64_t Arrays::take(size_t length) {
  size_t bytes = size_class(4 * length);
  if (empty_.empty() && slots_.size() >> SLOT_BITS) return 0;
  float* data;
  // Half as large again is near enough: cells differ in length.
  const auto idle = idle_.lower_bound(bytes);
  if (idle != idle_.end() && idle->first <= bytes + bytes / 2) {
    data = static_cast<float*>(idle->second.block);
    bytes = idle->first;
    idle_.erase(idle);
  } else {
    make_room(bytes);
    data = static_cast<float*>(block_alloc(bytes));
    if (!data) return 0;
    bytes_ += bytes;
    if (bytes_ > peak_) peak_ = bytes_;
  }
  if (empty_.empty()) {
    empty_.push_back((uint32_t)slots_.size());
    slots_.push_back({nullptr, 0, 0, 0});
  }
  const uint32_t at = empty_.back();
  empty_.pop_back();
  Slot& slot = slots_[at];
  slot = {data, length, bytes, slot.generation + 1};
  return slot.generation << SLOT_BITS | at;
}

Arrays::Slot* Arrays::find(uint64_t handle) {
  const uint64_t at = handle & ((1u << SLOT_BITS) - 1);
  if (at >= slots_.size()) return nullptr;
  Slot& slot = slots_[at];
  return slot.data && slot.generation == handle >> SLOT_BITS ? &slot : nullptr;
}

float* Arrays::data(uint64_t handle, size_t* length) {
  const Slot* slot = find(handle);
  if (!slot) return nullptr;
  *length = slot->length;
  return slot->data;
}

bool Arrays::release(uint64_t handle) {
  Slot* slot = find(handle);
  if (!slot) return false;
  idle_.insert({slot->bytes, {slot->data, arena_}});
  slot->data = nullptr;
  empty_.push_back((uint32_t)(handle & ((1u << SLOT_BITS) - 1)));
  return true;
}

void Arrays::make_room(size_t bytes) {
  size_t freed = 0;
  for (auto it = idle_.end(); it != idle_.begin() && freed < bytes;) {
    --it;
    if (it->second.arena == arena_) continue;
    block_free(it->second.block, it->first);
    bytes_ -= it->first;
    freed += it->first;
    it = idle_.erase(it);
  }
}

void Arrays::end_arena() {
  for (auto it = idle_.begin(); it != idle_.end();) {
    if (it->second.arena == arena_) {
      ++it;
      continue;
    }
    block_free(it->second.block, it->first);
    bytes_ -= it->first;
    it = idle_.erase(it);
  }
  arena_++;
}

}  // namespace zg
