// The emulator's scheduler (emu.hpp).
#include "emu.hpp"

#include <algorithm>

namespace emu {
Fiber* current;
Index block, block_size, grid_size;
unsigned char* dynamic_shared;
Warp* warps;
int at_barrier, in_block;
unsigned barrier_generation;
long progress;

static void* scheduler_stack_pointer;
static Entry running;
static void** running_arguments;

extern "C" void emu_switch(void** from, void* to);
#if defined(__x86_64__)
static const int SAVED = 6;
asm(".text\n.globl emu_switch\nemu_switch:\n push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n mov %rsi,%rsp\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
#else
#error "The emulator switches fibers on x64 only"
#endif

void yield() { emu_switch(&current->stack_pointer, scheduler_stack_pointer); }

static void fiber_main() {
  running(running_arguments);
  Fiber* fiber = current;
  fiber->done = true;
  progress++;
  // Threads that have ended do not hold up the others.
  Warp& warp = warps[fiber->number >> 5];
  if (--warp.live && warp.arrived == warp.live) {
    warp.arrived = 0;
    warp.generation++;
  }
  if (--in_block && at_barrier == in_block) {
    at_barrier = 0;
    barrier_generation++;
  }
  emu_switch(&fiber->stack_pointer, scheduler_stack_pointer);
  abort();
}

static unsigned random_state = getenv("EMU_SEED") ? atoi(getenv("EMU_SEED")) : 1;
static int random_below(int n) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 16) % n;
}

static void run_block(std::vector<Fiber>& fibers, int threads) {
  int warp_count = (threads + 31) / 32, left = threads;
  std::vector<int> order(warp_count);
  for (int i = 0; i < warp_count; i++) order[i] = i;
  while (left) {
    long before = progress;
    for (int i = warp_count - 1; i > 0; i--) std::swap(order[i], order[random_below(i + 1)]);
    left = 0;
    for (int w : order) {
      for (;;) {  // as far ahead as it can
        long at = progress;
        int alive = 0;
        for (int i = w * 32; i < std::min(threads, w * 32 + 32); i++) {
          if (fibers[i].done) continue;
          current = &fibers[i];
          emu_switch(&scheduler_stack_pointer, current->stack_pointer);
          if (!fibers[i].done) alive++;
        }
        if (progress == at || !alive) {
          left += alive;
          break;
        }
      }
    }
    if (left && progress == before) {
      fprintf(stderr, "emulator: threads of one block wait at different barriers (block %u, %u, %u)\n", block.x, block.y, block.z);
      abort();
    }
  }
}

void begin_copy(const Copy& copy) {
  if (copy.valid) touch(copy.from, 16, false);
  touch(copy.to, 16, true);
  set_pending(copy.to, true);
  current->copies.push_back(copy);
  memset(copy.to, 0xff, 16);
}
void end_copies(int pending) {
  auto& copies = current->copies;
  size_t left = 0;
  for (auto& copy : copies) {
    if (copy.group >= current->group - pending) {
      copies[left++] = copy;
      continue;
    }
    set_pending(copy.to, false);
    touch(copy.to, 16, true);
    if (copy.valid) memcpy(copy.to, copy.from, 16);
    else memset(copy.to, 0, 16);
  }
  copies.resize(left);
}

void launch(const char* name, Entry entry, void** arguments, Index grid, Index size, unsigned shared_bytes) {
  static std::vector<Fiber> fibers;
  static std::vector<Warp> own_warps;
  static std::vector<unsigned char> shared;
  int threads = size.x * size.y * size.z;
  for (size_t have = fibers.size(); (int)have < threads; have++) {
    fibers.emplace_back();
    fibers.back().stack = (char*)aligned_alloc(64, STACK_BYTES);
  }
  own_warps.resize(std::max<size_t>(own_warps.size(), (threads + 31) / 32));
  warps = own_warps.data();
  shared.resize(shared_bytes + 128 + SHARED_MARGIN);
  dynamic_shared = (unsigned char*)(((uintptr_t)shared.data() + 127) & ~(uintptr_t)127);
  running = entry;
  running_arguments = arguments;
  grid_size = grid;
  block_size = size;
  begin_launch(name);
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        block = {x, y, z};
        begin_block(dynamic_shared, shared_bytes);
        at_barrier = 0;
        in_block = threads;
        for (auto& warp : own_warps) warp.arrived = warp.live = 0;
        for (int i = 0; i < threads; i++) {
          Fiber& fiber = fibers[i];
          warps[i >> 5].live++;
          fiber.number = i;
          fiber.thread = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
          fiber.done = false;
          fiber.exchanges = fiber.barriers = fiber.warp_syncs = 0;
          fiber.copies.clear();
          fiber.group = 0;
          void** top = (void**)(fiber.stack + STACK_BYTES - 64);
          *--top = nullptr;
          *--top = (void*)fiber_main;
          for (int r = 0; r < SAVED; r++) *--top = nullptr;
          fiber.stack_pointer = top;
        }
        run_block(fibers, threads);
      }
  end_launch();
}
}  // namespace emu
