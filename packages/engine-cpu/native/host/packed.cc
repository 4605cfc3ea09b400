#include "packed.h"

#include <pthread.h>

#include <atomic>
#include <vector>

#include "blocks.h"

namespace zg {

namespace {
enum State { EMPTY, FILLING, READY };

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
std::atomic<size_t> held{0};

class Lock {
 public:
  Lock() { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
};
}  // namespace

struct Packed {
  PackedKey key;
  long users = 0;
  std::atomic<int> state{EMPTY};
  float* data = nullptr;
  size_t bytes = 0;
};

static std::vector<Packed*>& copies() {
  static std::vector<Packed*>& all = *new std::vector<Packed*>;  // outlives whatever ends with the process
  return all;
}

bool packed_fits(const Packed* packed, const PackedKey& key) {
  const PackedKey& own = packed->key;
  const Weight &a = own.weight, &b = key.weight;
  return own.kernels == key.kernels && own.bf16 == key.bf16 && own.backward == key.backward && a.data == b.data &&
         a.type == b.type && a.rows == b.rows && a.columns == b.columns;
}

Packed* packed_open(const PackedKey& key) {
  const Lock lock;
  for (Packed* packed : copies()) {
    if (!packed_fits(packed, key)) continue;
    packed->users++;
    return packed;
  }
  Packed* packed = new Packed;
  packed->key = key;
  packed->users = 1;
  copies().push_back(packed);
  return packed;
}

void packed_close(Packed* packed) {
  const Lock lock;
  if (--packed->users > 0) return;
  for (Packed*& each : copies()) {
    if (each != packed) continue;
    each = copies().back();
    copies().pop_back();
    break;
  }
  block_free(packed->data, packed->bytes);
  held -= packed->bytes;
  delete packed;
}

size_t packed_bytes() { return held; }

const float* packed_data(const Packed* packed) { return packed->state.load() == READY ? packed->data : nullptr; }

float* packed_claim(Packed* packed, size_t floats) {
  int empty = EMPTY;
  if (!packed->state.compare_exchange_strong(empty, FILLING)) return nullptr;
  if (!packed->data) {
    packed->data = static_cast<float*>(block_alloc(4 * floats));
    if (!packed->data) {
      packed->state = EMPTY;
      return nullptr;
    }
    packed->bytes = 4 * floats;
    held += packed->bytes;
  }
  return packed->data;
}

void packed_settle(Packed* packed, bool isWhole) { packed->state = isWhole ? READY : EMPTY; }

}  // namespace zg
