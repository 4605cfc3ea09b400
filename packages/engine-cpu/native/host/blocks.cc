#include "blocks.h"

#include <stdint.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace zg {

#if defined(__linux__)
static constexpr size_t HUGE_PAGE = 2u << 20;

static size_t whole_pages(size_t bytes) {
  static const size_t page = sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

// Blocks of a megabyte and more come from the kernel, aligned so that huge pages back them, and go back there at once. What
// does not fill a huge page has small ones: rounded up, the activations of a small model would take a third more memory.
static bool is_large(size_t bytes) { return bytes >= HUGE_PAGE / 2; }

static void* map_huge(size_t bytes) {
  const size_t length = whole_pages(bytes);
  void* raw = mmap(nullptr, length + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(raw);
  char* block = begin + (HUGE_PAGE - reinterpret_cast<uintptr_t>(begin) % HUGE_PAGE) % HUGE_PAGE;
  if (block > begin) munmap(begin, block - begin);
  const size_t behind = begin + length + HUGE_PAGE - (block + length);
  if (behind > 0) munmap(block + length, behind);
  madvise(block, length / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
  return block;
}
#else
static size_t whole_pages(size_t bytes) { return bytes; }
static bool is_large(size_t) { return false; }
static void* map_huge(size_t) { return nullptr; }
static void munmap(void*, size_t) {}
#endif

void* block_alloc(size_t bytes) {
  if (is_large(bytes)) return map_huge(bytes);
  return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

void block_free(void* block, size_t bytes) {
  if (!block) return;
  if (is_large(bytes)) munmap(block, whole_pages(bytes));
  else free(block);
}

}  // namespace zg
