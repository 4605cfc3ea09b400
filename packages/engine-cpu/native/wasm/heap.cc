// Best fit over free blocks in the order of their addresses; neighbours are joined when one is released.
#include "heap.h"

#include <stdint.h>

extern "C" char __heap_base;  // where wasm-ld ends stack and data

namespace zg {

namespace {
constexpr size_t PAGE = 1u << 16, ALIGNMENT = 64;
constexpr size_t LEAST_GROWTH = 16 * PAGE;

// In front of every block, free or not; as large as the alignment.
struct alignas(ALIGNMENT) Header {
  size_t bytes;  // with the header
  Header* next;  // free blocks only
};

Header* first = nullptr;
uintptr_t end = 0;  // of the part of memory that the heap has; 0 before it has any
size_t held = 0;    // bytes of blocks in use, with their headers

uintptr_t end_of(const Header* block) { return reinterpret_cast<uintptr_t>(block) + block->bytes; }
bool touches(const Header* a, const Header* b) { return end_of(a) == reinterpret_cast<uintptr_t>(b); }

void insert(Header* block) {
  Header* before = nullptr;
  Header* behind = first;
  while (behind && behind < block) before = behind, behind = behind->next;
  block->next = behind;
  if (behind && touches(block, behind)) {
    block->bytes += behind->bytes;
    block->next = behind->next;
  }
  if (before && touches(before, block)) {
    before->bytes += block->bytes;
    before->next = block->next;
  } else {
    (before ? before->next : first) = block;
  }
}

// The link to the smallest free block that is large enough.
Header** best(size_t bytes) {
  Header** found = nullptr;
  for (Header** link = &first; *link; link = &(*link)->next) {
    if ((*link)->bytes >= bytes && (!found || (*link)->bytes < (*found)->bytes)) found = link;
  }
  return found;
}

bool grow(size_t bytes) {
  if (end == 0) end = (reinterpret_cast<uintptr_t>(&__heap_base) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  const size_t size = __builtin_wasm_memory_size(0) * PAGE;  // below 4 GiB: scripts/wasm.mjs sets the maximum
  // What is free at the end of memory is a part of what is needed.
  Header* last = first;
  while (last && last->next) last = last->next;
  const bool joins = last && end_of(last) == end;
  const size_t there = (joins ? last->bytes : 0) + (size - end);
  const size_t missing = bytes > there ? bytes - there : 0;
  size_t pages = (missing + PAGE - 1) / PAGE;
  if (pages > 0) {
    const size_t more = pages < LEAST_GROWTH / PAGE ? LEAST_GROWTH / PAGE : pages;
    if (__builtin_wasm_memory_grow(0, more) != SIZE_MAX) pages = more;
    else if (more == pages || __builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return false;
  }
  Header* block = reinterpret_cast<Header*>(end);
  block->bytes = size + pages * PAGE - end;
  end += block->bytes;
  insert(block);
  return true;
}
}  // namespace

__attribute__((export_name("allocate"))) void* allocate(size_t bytes) {
  if (bytes > SIZE_MAX - 2 * PAGE) return nullptr;
  const size_t wanted = sizeof(Header) + (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  Header** link = best(wanted);
  if (!link && grow(wanted)) link = best(wanted);
  if (!link) return nullptr;
  Header* block = *link;
  if (block->bytes - wanted > sizeof(Header)) {
    Header* rest = reinterpret_cast<Header*>(reinterpret_cast<char*>(block) + wanted);
    *rest = {block->bytes - wanted, block->next};
    block->bytes = wanted;
    *link = rest;
  } else {
    *link = block->next;
  }
  held += block->bytes;
  return block + 1;
}

__attribute__((export_name("release"))) void release(void* block) {
  if (!block) return;
  Header* header = static_cast<Header*>(block) - 1;
  held -= header->bytes;
  insert(header);
}

// Bytes in use, with stack and data.
__attribute__((export_name("held"))) size_t held_bytes() { return reinterpret_cast<uintptr_t>(&__heap_base) + held; }

}  // namespace zg
