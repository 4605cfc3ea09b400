// A file that is cut short under its mapping kills a process that reads behind its end (SIGBUS). Here such a page becomes
// zeros instead, and the arena that read it fails: `changed_file`.
#include "mapped_files.h"

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

namespace zg {

// In a fixed table, which a signal handler may read at any time.
struct MappedFile {
  std::atomic<uintptr_t> begin{0};  // 0: not in use
  std::atomic<size_t> bytes{0};
  std::atomic<bool> unreadable{false};
  int descriptor = -1;
  struct stat status = {};
  char* path = nullptr;
  long users = 0;
};

namespace {
constexpr int MOST_FILES = 512;
#if !defined(MADV_POPULATE_READ)
constexpr int MADV_POPULATE_READ = 22;
#endif

MappedFile files[MOST_FILES];
std::atomic<int> used{0};  // entries that were ever in use
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
struct sigaction before;  // who handled SIGBUS before us
const uintptr_t page = sysconf(_SC_PAGESIZE);

class Lock {
 public:
  Lock() { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
};

MappedFile* file_at(uintptr_t address) {
  for (int i = 0; i < used.load(); i++) {
    const uintptr_t begin = files[i].begin.load();
    if (begin && address >= begin && address < begin + files[i].bytes.load()) return &files[i];
  }
  return nullptr;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr) / page * page;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  MappedFile* file = file_at(address);
  if (file && mmap(reinterpret_cast<void*>(address), page, PROT_READ, flags, -1, 0) != MAP_FAILED) {
    file->unreadable = true;
    return;
  }
  if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(signal, info, context);
  else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(signal);
  else sigaction(signal, &before, nullptr);  // it happens again, and ends the process
}

bool same_content(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

MappedFile* find(const struct stat& status) {
  for (int i = 0; i < used.load(); i++) {
    MappedFile& file = files[i];
    if (file.users > 0 && file.status.st_dev == status.st_dev && file.status.st_ino == status.st_ino) return &file;
  }
  return nullptr;
}

MappedFile* add(const char* path, int descriptor, const struct stat& status) {
  int at = 0;
  while (at < MOST_FILES && files[at].users > 0) at++;
  if (at == MOST_FILES) {
    errno = ENOMEM;
    return nullptr;
  }
  if (used.load() == 0) {
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGBUS, &action, &before);
  }
  void* begin = mmap(nullptr, status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (begin == MAP_FAILED) return nullptr;
  MappedFile& file = files[at];
  file.descriptor = descriptor;
  file.status = status;
  file.path = strdup(path);
  file.unreadable = false;
  file.bytes = status.st_size;
  file.begin = reinterpret_cast<uintptr_t>(begin);
  if (at >= used.load()) used = at + 1;
  return &file;
}
}  // namespace

bool can_map_files() { return true; }

const char* map_file(const char* path, size_t offset, size_t length, MappedFile** out, const char** problem) {
  const Lock lock;
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status) != 0) {
    *problem = strerror(errno);
    if (descriptor >= 0) close(descriptor);
    return nullptr;
  }
  MappedFile* file = find(status);
  const bool isNew = !file;
  if (length == 0 || offset > (size_t)status.st_size || length > (size_t)status.st_size - offset) {
    *problem = "it ends before";
  } else if (!isNew && !same_content(file->status, status)) {
    *problem = "it was changed while it is in use";
  } else if (isNew && !(file = add(path, descriptor, status))) {
    *problem = strerror(errno);
  } else {
    if (!isNew) close(descriptor);
    file->users++;
    *out = file;
    const uintptr_t begin = file->begin.load() + offset, from = begin / page * page;
    // One call instead of a fault for every few pages. It is only a hint.
    madvise(reinterpret_cast<void*>(from), begin + length - from, MADV_POPULATE_READ);
    return reinterpret_cast<const char*>(begin);
  }
  close(descriptor);
  return nullptr;
}

void unmap_file(MappedFile* file) {
  const Lock lock;
  if (--file->users > 0) return;
  const uintptr_t begin = file->begin.exchange(0);
  munmap(reinterpret_cast<void*>(begin), file->bytes.load());
  close(file->descriptor);
  free(file->path);
}

const char* changed_file() {
  if (used.load() == 0) return nullptr;
  const Lock lock;
  for (int i = 0; i < used.load(); i++) {
    const MappedFile& file = files[i];
    struct stat now;
    if (file.users == 0) continue;
    const bool isSame = fstat(file.descriptor, &now) == 0 && same_content(file.status, now);
    if (!isSame || file.unreadable.load()) return file.path;
  }
  return nullptr;
}

}  // namespace zg
#else
namespace zg {
bool can_map_files() { return false; }
const char* map_file(const char*, size_t, size_t, MappedFile**, const char** problem) {
  *problem = "files are mapped on Linux only";
  return nullptr;
}
void unmap_file(MappedFile*) {}
const char* changed_file() { return nullptr; }
}  // namespace zg
#endif
