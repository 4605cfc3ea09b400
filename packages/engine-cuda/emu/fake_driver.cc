// A fake libcuda: as much of the driver API as the engine uses, on the CPU. Work is queued by thread and done when the thread
// waits. The environment shapes the machine: EMU_GPUS, EMU_CC ("9.0"), EMU_DRIVER (13000), EMU_MEMORY (bytes of each GPU),
// EMU_SMS (multiprocessors), EMU_FAIL ("kernel:code" or "kernel:code:GPU": the launch of that kernel fails and, from 700 on, takes the context with it),
// EMU_CHECK (checks.hpp: a wait returns what was found), EMU_IDLE (work takes no time and does nothing, which leaves the host's).
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emu.hpp"
#include "fake.h"

typedef int Result;
using fake::u64;

namespace {
struct Function {
  std::string name;
  emu::Entry entry;
  int arguments;
};
struct Event {
  double ms = 0;
};

std::mutex memory_lock, emulator_lock;
std::map<u64, size_t> pinned;
std::map<u64, int> poisoned;
thread_local u64 context = 0;
typedef std::vector<std::function<void()>> Work;
thread_local Work queue;
/** What a stream is recording; a call that a capture forbids spoils it. */
thread_local bool capturing = false, spoiled = false;
thread_local Work captured;
const u64 FIRST_CONTEXT = 0xC000;
/** What a wait returns where EMU_CHECK found something; `found` is its name then. */
const Result FOUND = 9000;
thread_local const char* found = nullptr;

const char* setting(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value ? value : otherwise;
}
size_t memory_bytes() { return strtoull(setting("EMU_MEMORY", "4294967296"), nullptr, 10); }
int gpus() { return atoi(setting("EMU_GPUS", "1")); }
double now() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
void put(u64 to, const void* from, size_t bytes) {
  memmove((void*)to, from, bytes);
  fake::set_written(to, bytes, true);
}
void work_off() {
  for (auto& work : queue) work();
  queue.clear();
}
bool is_pinned(const void* p, size_t bytes) {
  std::lock_guard<std::mutex> lock(memory_lock);
  auto it = pinned.upper_bound((u64)p);
  return it != pinned.begin() && (--it, (u64)p + bytes <= it->first + it->second);
}
}  // namespace

bool fake::is_poisoned() { return poisoned.count(context) > 0; }
bool fake::is_capturing() { return capturing; }
bool fake::is_idle() {
  static const bool is = atoi(setting("EMU_IDLE", "0")) > 0;
  return is;
}
bool fake::enqueue(std::function<void()> work) {
  if (!context) return false;
  if (is_idle()) return true;
  (capturing ? captured : queue).push_back(std::move(work));
  return true;
}

// CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
#define NOT_IN_CAPTURE \
  if (capturing) return spoiled = true, 900;
#define NEED_CONTEXT                                   \
  if (!context) return 201;                            \
  if (poisoned.count(context)) return poisoned[context];

extern "C" {
Result cuInit(unsigned) { return gpus() > 0 ? 0 : 100; }
Result cuDriverGetVersion(int* version) { return *version = atoi(setting("EMU_DRIVER", "13000")), 0; }
Result cuDeviceGetCount(int* count) { return *count = gpus(), 0; }
Result cuDeviceGet(int* device, int number) { return number < gpus() ? (*device = number, 0) : 101; }
Result cuDeviceGetName(char* name, int length, int device) { return snprintf(name, length, "Emulated GPU %s", setting("EMU_CC", "9.0")), 0; }
Result cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = memory_bytes(), 0; }
Result cuDeviceGetAttribute(int* value, int attribute, int) {
  const char* cc = setting("EMU_CC", "9.0");
  switch (attribute) {
    case 75: return *value = atoi(cc), 0;                    // compute capability, major
    case 76: return *value = atoi(strchr(cc, '.') + 1), 0;   // minor
    case 16: return *value = atoi(setting("EMU_SMS", "132")), 0;  // multiprocessors
    case 97: return *value = 101376, 0;                      // shared memory a block may ask for, the least of sm_80 and later
    default: return 1;
  }
}
Result cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return 0; }
Result cuDevicePrimaryCtxRetain(u64* out, int device) { return *out = FIRST_CONTEXT + device, 0; }
Result cuDevicePrimaryCtxRelease_v2(int) { return 0; }
Result cuCtxSetCurrent(u64 it) { return context = it, 0; }
Result cuMemGetInfo_v2(size_t* free, size_t* total) {
  NEED_CONTEXT
  *total = memory_bytes();
  *free = *total - fake::used_memory(context - FIRST_CONTEXT);
  return 0;
}

Result cuMemAlloc_v2(u64* out, size_t bytes) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  if (!bytes) return 1;
  int device = context - FIRST_CONTEXT;
  if (fake::used_memory(device) + bytes > memory_bytes()) return 2;
  if (!(*out = fake::take_memory(device, bytes))) return 2;
  if (!fake::is_idle()) memset((void*)*out, 0xff, bytes);
  return 0;
}
Result cuMemFree_v2(u64 p) {
  NOT_IN_CAPTURE
  work_off();
  return fake::give_memory(p) ? 0 : 1;
}
Result cuMemHostAlloc(void** out, size_t bytes, unsigned) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  std::lock_guard<std::mutex> lock(memory_lock);
  pinned[(u64)(*out = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095))] = bytes;
  return 0;
}
Result cuMemFreeHost(void* p) {
  work_off();
  std::lock_guard<std::mutex> lock(memory_lock);
  if (!pinned.erase((u64)p)) return 1;
  free(p);
  return 0;
}
Result cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t bytes, u64) {
  NEED_CONTEXT
  if (!fake::is_device_memory(to, bytes)) return 1;
  if (is_pinned(from, bytes)) return fake::enqueue([=] { put(to, from, bytes); }), 0;
  NOT_IN_CAPTURE  // the graph would read this memory at every launch
  std::vector<char> staged((const char*)from, (const char*)from + bytes);
  return fake::enqueue([=, staged = std::move(staged)] { put(to, staged.data(), bytes); }), 0;
}
Result cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t bytes, u64) {
  NEED_CONTEXT
  if (!fake::is_device_memory(from, bytes)) return 1;
  if (!is_pinned(to, bytes)) NOT_IN_CAPTURE
  fake::enqueue([=] {
    if (!fake::is_written(from, bytes)) emu::add_finding("copy of global memory that nothing wrote");
    memcpy(to, (void*)from, bytes);
  });
  if (!is_pinned(to, bytes)) work_off();
  return 0;
}
Result cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, u64) {
  NEED_CONTEXT
  if (!fake::is_device_memory(from, bytes) || !fake::is_device_memory(to, bytes)) return 1;
  return fake::enqueue([=] { put(to, (void*)from, bytes); }), 0;
}
Result cuMemsetD8Async(u64 at, unsigned char value, size_t bytes, u64) {
  NEED_CONTEXT
  if (!fake::is_device_memory(at, bytes)) return 1;
  return fake::enqueue([=] {
    memset((void*)at, value, bytes);
    fake::set_written(at, bytes, value != 0xff);  // NaN marks memory whose numbers are undefined
  }), 0;
}

/** A "cubin" is the shared library that fake_nvrtc.cc made: an ELF file with its section headers at the end. */
Result cuModuleLoadData(u64* out, const void* image) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  auto* header = (const Elf64_Ehdr*)image;
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return 200;
  char path[] = "/tmp/zerogate-module-XXXXXX";
  int file = mkstemp(path);
  size_t bytes = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
  bool written = file >= 0 && write(file, image, bytes) == (ssize_t)bytes;
  close(file);
  void* library = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!library) fprintf(stderr, "emulator: %s\n", dlerror());
  unlink(path);
  auto shared = library ? (char**)dlsym(library, "emu_shared") : nullptr;
  if (shared && shared[0]) {
    std::lock_guard<std::mutex> lock(emulator_lock);
    emu::add_static_shared(shared[0], shared[1]);
  }
  return library ? (*out = (u64)library, 0) : 200;
}
Result cuModuleGetFunction(u64* out, u64 module, const char* name) {
  NEED_CONTEXT
  auto entry = (emu::Entry)dlsym((void*)module, (std::string("emu_call_") + name).c_str());
  auto count = (int*)dlsym((void*)module, (std::string("emu_count_") + name).c_str());
  return entry && count ? (*out = (u64) new Function{name, entry, *count}, 0) : 500;
}
Result cuFuncSetAttribute(u64, int attribute, int value) { return attribute == 8 && value > 101376 ? 1 : 0; }
Result cuLaunchKernel(u64 f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                      u64, void** arguments, void**) {
  NEED_CONTEXT
  auto* function = (Function*)f;
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024 || shared > 101376) return 1;
  std::string fail = setting("EMU_FAIL", "");
  int code = 0, on = -1;
  if (fail.rfind(function->name + ":", 0) == 0) sscanf(fail.c_str() + function->name.size(), ":%d:%d", &code, &on);
  if (code && (on < 0 || context == FIRST_CONTEXT + on)) {
    if (code >= 700) poisoned[context] = code;
    return code;
  }
  // Arguments are copied now, eight bytes each, as the driver does.
  std::vector<u64> values(function->arguments);
  for (int i = 0; i < function->arguments; i++) memcpy(&values[i], arguments[i], 8);
  fake::enqueue([=]() mutable {
    std::vector<void*> table;
    for (auto& value : values) table.push_back(&value);
    std::lock_guard<std::mutex> lock(emulator_lock);
    emu::launch(function->name.c_str(), function->entry, table.data(), {gx, gy, gz}, {bx, by, bz}, shared);
  });
  return 0;
}

Result cuStreamCreate(u64* out, unsigned) {
  NEED_CONTEXT
  return *out = 2, 0;
}
Result cuStreamDestroy_v2(u64) {
  NEED_CONTEXT
  return 0;
}
Result cuStreamSynchronize(u64) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  work_off();
  return (found = emu::take_finding()) ? FOUND : 0;
}
Result cuEventCreate(u64* out, unsigned) { return *out = (u64) new Event, 0; }
Result cuEventRecord(u64 event, u64) {
  NEED_CONTEXT
  return fake::enqueue([=] { ((Event*)event)->ms = now(); }), 0;
}
Result cuEventSynchronize(u64) { return cuStreamSynchronize(0); }
Result cuEventElapsedTime(float* ms, u64 from, u64 to) { return *ms = (float)(((Event*)to)->ms - ((Event*)from)->ms), 0; }
Result cuEventDestroy_v2(u64 event) { return delete (Event*)event, 0; }

Result cuStreamBeginCapture_v2(u64, int mode) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  if (mode != 1) return 1;
  captured.clear();
  spoiled = false;
  return capturing = true, 0;
}
Result cuStreamEndCapture(u64, u64* graph) {
  NEED_CONTEXT
  if (!capturing) return 901;  // CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
  capturing = false;
  if (spoiled) return *graph = 0, 901;
  return *graph = (u64) new Work(std::move(captured)), 0;
}
Result cuGraphInstantiateWithFlags(u64* exec, u64 graph, u64 flags) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  return graph && !flags ? (*exec = (u64) new Work(*(Work*)graph), 0) : 1;
}
Result cuGraphLaunch(u64 exec, u64) {
  NEED_CONTEXT
  NOT_IN_CAPTURE
  for (auto& work : *(Work*)exec) fake::enqueue(work);
  return 0;
}
Result cuGraphDestroy(u64 graph) { return delete (Work*)graph, 0; }
Result cuGraphExecDestroy(u64 exec) { return delete (Work*)exec, 0; }

Result cuGetErrorName(int code, const char** name) {
  if (code == FOUND && found) return *name = found, 0;
  static const std::map<int, const char*> names = {{1, "CUDA_ERROR_INVALID_VALUE"},  {2, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                   {100, "CUDA_ERROR_NO_DEVICE"},    {101, "CUDA_ERROR_INVALID_DEVICE"},
                                                   {200, "CUDA_ERROR_INVALID_IMAGE"}, {201, "CUDA_ERROR_INVALID_CONTEXT"},
                                                   {500, "CUDA_ERROR_NOT_FOUND"},    {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                                                   {719, "CUDA_ERROR_LAUNCH_FAILED"},
                                                   {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
                                                   {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}};
  auto it = names.find(code);
  return *name = it == names.end() ? nullptr : it->second, it == names.end();
}
}
