// All kernels at every level that this machine (or its emulator) runs, at odd sizes, without Node: for sanitizers and for
// qemu. Truth is float64 for matrix products and attention; everything else, which the table lists, must agree with the portable
// level, which core's conformance suite judges.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels.h"
#include "operations.h"
#include "packed.h"

using namespace zg;
using Numbers = std::vector<float>;
using Outputs = std::vector<std::pair<std::string, Numbers>>;

static int failures = 0;

static Numbers wave(size_t length, double phase) {
  Numbers out(length);
  // Exact in bf16, so that all weight types and both compute types have the same truth.
  for (size_t i = 0; i < length; i++) {
    const float value = (float)(sin(1.7 * i + phase) * (1 + 0.3 * cos(0.37 * i)));
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits &= 0xffff0000;
    memcpy(&out[i], &bits, 4);
  }
  return out;
}

// Of few digits, so that its product with an int8 is exact.
static float int8_scale(long row) { return (float)(3 + 7 * row % 13) / 512; }

// Weights as they lie in a checkpoint; at an address that is a multiple of their size and of nothing more.
struct Stored {
  std::vector<char> bytes;
  Numbers scales;
  Weight weight;
  Stored(const Numbers& values, Type type, long rows, long columns) : bytes(values.size() * bytes_of(type) + 2 * 4) {
    char* at = bytes.data() + bytes_of(type);
    for (size_t i = 0; i < values.size(); i++) {
      uint32_t bits;
      memcpy(&bits, &values[i], 4);
      if (type == Type::F32) memcpy(at + 4 * i, &bits, 4);
      uint16_t half = bits >> 16;
      if (type == Type::F16) {
        const int exponent = (int)(bits >> 23 & 255) - 112;
        half = exponent <= 0 ? 0 : (bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff);
      }
      if (type == Type::BF16 || type == Type::F16) memcpy(at + 2 * i, &half, 2);
      if (type == Type::I8) at[i] = (char)(int8_t)(values[i] / int8_scale(i / columns));  // char has no sign on arm64
    }
    for (long n = 0; n < rows; n++) scales.push_back(int8_scale(n));
    weight = {at, type, rows, columns, scales.data()};
  }
};

static void expect_close(const std::string& what, const Numbers& actual, const Numbers& expected, double tolerance) {
  double scale = 1e-3, worst = 0;
  for (const float x : expected) scale = fmax(scale, fabs(x));
  for (size_t i = 0; i < expected.size(); i++) {
    const double error = fabs((double)actual[i] - expected[i]) / scale;
    if (!(error <= worst)) worst = error;
  }
  if (worst <= tolerance) return;
  failures++;
  printf("%s: error %g, at most %g is allowed\n", what.c_str(), worst, tolerance);
}

// Whether a product that makes the packed copy, and one that finds it, have the bits in `l.y`.
static bool packed_equal(const Kernels& k, Pool* pool, Linear l, long width, bool backward) {
  const Numbers expected(l.y, l.y + l.T * width);
  l.packed = packed_open({&k, l.bf16, backward, l.weight});
  bool isEqual = true;
  for (int i = 0; i < 2; i++) {
    Numbers y(l.T * width);
    l.y = y.data();
    (backward ? k.linear_backward : k.linear)(pool, l);
    isEqual = isEqual && y == expected;
  }
  packed_close(l.packed);
  return isEqual && packed_bytes() == 0;
}

static Outputs linear_outputs(const Kernels& k, Pool* pool, Type type, bool bf16, long T, long N, long K) {
  Numbers w = wave(N * K, 0.7);
  for (long i = 0; i < N * K && type == Type::I8; i++) w[i] = (float)rint(90 * w[i]) * int8_scale(i / K);
  const Numbers x = wave(T * K, 0.1), dy = wave(T * N, 0.9), bias = wave(N, 1.3), past = wave(T * N, 2.1);
  const Stored weight(w, type, N, K), stored_bias(bias, type == Type::I8 ? Type::F32 : type, N, 1);
  Numbers y(T * N), dx(T * K);
  k.linear(pool, {y.data(), x.data(), weight.weight, stored_bias.weight, past.data(), T, bf16});
  k.linear_backward(pool, {dx.data(), dy.data(), weight.weight, {}, nullptr, T, bf16});
  if (packed_equal(k, pool, {y.data(), x.data(), weight.weight, stored_bias.weight, past.data(), T, bf16}, N, false) +
          packed_equal(k, pool, {dx.data(), dy.data(), weight.weight, {}, nullptr, T, bf16}, K, true) < 2) {
    failures++, printf("%s: packed weights give other bits\n", k.name);
  }
  if (type != Type::F16) {  // f16 drops what is too small for it: judged against the portable level
    Numbers y_true(T * N), dx_true(T * K);
    for (long t = 0; t < T; t++) {
      for (long n = 0; n < N; n++) {
        double sum = (double)bias[n] + past[t * N + n];
        for (long i = 0; i < K; i++) sum += (double)x[t * K + i] * w[n * K + i];
        y_true[t * N + n] = (float)sum;
      }
      for (long i = 0; i < K; i++) {
        double sum = 0;
        for (long n = 0; n < N; n++) sum += (double)dy[t * N + n] * w[n * K + i];
        dx_true[t * K + i] = (float)sum;
      }
    }
    expect_close(std::string(k.name) + " linear", y, y_true, 5e-6);
    expect_close(std::string(k.name) + " linear backward", dx, dx_true, 5e-6);
  }
  return {{"linear", y}, {"linear backward", dx}};
}

static Outputs attention_outputs(const Kernels& k, Pool* pool, long d, long window, float cap) {
  const std::vector<int32_t> cu = {0, 75, 76, 76, 117};
  const Heads h = {117, 6, 2, d, window, cap};
  const long X = (h.H + 2 * h.G) * d, Q = h.H * d, Y = 2 * h.G * d, K = 5, S = (long)cu.size() - 1;
  Numbers qkv = wave(h.T * X, 0.4), angles = wave(h.T * d, 0.2), dO = wave(h.T * Q, 2.5), kv = wave(K * Y, 1.7);
  const Numbers gate = {0.3f, -1.2f, 0, 0.01f, 2, 0};
  Numbers o(h.T * Q), lse(h.T * h.H), dqkv(h.T * X), y(h.T * Q), dkv(K * Y), dgate(h.H), cached(h.T * Q);
  k.rope(pool, {qkv.data(), angles.data(), h, false});
  k.attention(pool, {o.data(), lse.data(), qkv.data(), cu.data(), S, h, nullptr, nullptr, nullptr});
  k.attention_backward(pool, {dqkv.data(), dO.data(), qkv.data(), o.data(), lse.data(), cu.data(), S, h});
  const PromptSet set = {kv.data(), gate.data(), K, 0, h.T, dkv.data(), dgate.data()};
  k.prompt_attention(pool, {y.data(), o.data(), qkv.data(), h, &set, 1});
  k.prompt_attention_backward(pool, {dqkv.data(), dO.data(), qkv.data(), h, &set, 1});
  std::vector<Numbers> stored;
  std::vector<float*> caches;
  for (long s = 0; s < S; s++) {
    stored.emplace_back((cu[s + 1] - cu[s]) * Y);
    for (long t = cu[s]; t < cu[s + 1]; t++) memcpy(&stored[s][(t - cu[s]) * Y], &qkv[t * X + Q], 4 * Y);
  }
  for (Numbers& cache : stored) caches.push_back(cache.data());
  const std::vector<int32_t> starts(S, 0);
  k.attention(pool, {cached.data(), nullptr, qkv.data(), cu.data(), S, h, caches.data(), starts.data(), nullptr});
  if (memcmp(cached.data(), o.data(), 4 * o.size()) != 0) failures++, printf("%s: cached attention has other bits\n", k.name);

  Numbers o_true(h.T * Q);
  for (long s = 0; s < S; s++) {
    for (long t = cu[s]; t < cu[s + 1]; t++) {
      for (long head = 0; head < h.H; head++) {
        const long g = head * h.G / h.H;
        double total = 0;
        std::vector<double> sums(d);
        for (long j = cu[s]; j <= t; j++) {
          if (window > 0 && t - j >= window) continue;
          double score = 0;
          for (long i = 0; i < d; i++) score += (double)qkv[t * X + head * d + i] * qkv[j * X + (h.H + g) * d + i];
          score /= sqrt((double)d);
          const double p = exp(cap > 0 ? cap * tanh(score / cap) : score);
          total += p;
          for (long i = 0; i < d; i++) sums[i] += p * qkv[j * X + (h.H + h.G + g) * d + i];
        }
        for (long i = 0; i < d; i++) o_true[t * Q + head * d + i] = (float)(sums[i] / total);
      }
    }
  }
  expect_close(std::string(k.name) + " attention", o, o_true, 5e-6);
  return {{"rope", qkv}, {"o", o}, {"dqkv", dqkv}, {"y", y}, {"dkv", dkv}, {"dgate", dgate}};
}

static Outputs row_outputs(const Kernels& k, Pool* pool, Type type) {
  const long T = 41, D = 131, V = 307;
  const Stored head(wave(V * D, 1.9), type, V, D);
  const Numbers x = wave(T * D, 0.3);
  std::vector<int32_t> ids(T);
  for (long t = 0; t < T; t++) ids[t] = (int32_t)(37 * t + 1) % V;
  Numbers nll(T), hit(T), dz(T * D), e(T * D);
  k.head_loss(pool, {nll.data(), hit.data(), dz.data(), x.data(), head.weight, ids.data(), T, 0.02f, 1.5f, false});
  k.embed(pool, {e.data(), head.weight, ids.data(), x.data(), T, 3.25f});
  return {{"nll", nll}, {"dz", dz}, {"embed", e}};
}

// One operation of the table: its struct, filled field by field with numbers of that reach, and what it points to.
struct Call {
  const Operation& operation;
  SizesByLetter sizes;
  alignas(8) char arguments[MOST_BYTES];
  std::vector<Numbers> arrays;
  std::vector<Stored> vectors;
  std::vector<std::vector<int32_t>> lists;
  std::vector<std::pair<const char*, size_t>> outputs;  // names, and places in `arrays`

  Call(const Operation& operation, Type type, float reach, bool withOptional) : operation(operation) {
    for (int i = 0; i < operation.count; i++) fill(operation.fields[i], type, reach, 0.3 + 0.8 * i, withOptional);
  }

  template <class Value>
  void put(const Field& field, const Value& value) {
    memcpy(arguments + field.offset, &value, sizeof value);
  }
  float* array(Numbers numbers) {
    arrays.push_back(std::move(numbers));
    return arrays.back().data();
  }
  void fill(const Field& field, Type type, float reach, double phase, bool withOptional) {
    const char letter = *field.shape;
    switch (field.kind) {
      // Columns are split into, and joined of, as many as both parts have.
      case Kind::SIZE: return put(field, sizes.of(*field.name) = *field.name == 'T' ? 41 : *field.name == 'X' ? 262 : 131);
      case Kind::NUMBER: return put(field, 1e-5f);
      case Kind::VECTOR:
        vectors.emplace_back(wave(sizes.of(letter), phase), type, sizes.of(letter), 1);
        return put(field, vectors.back().weight);
      case Kind::ROWS: return put(field, rows(field));
      case Kind::COUNT: return put(field, sizes.of(*field.name));
      case Kind::OUT:
        outputs.push_back({field.name, arrays.size()});
        return put(field, array(Numbers(sizes.length(field.shape), NAN)));
      case Kind::MAYBE:
        if (!withOptional) return put(field, (const float*)nullptr);
        [[fallthrough]];
      case Kind::IN: {
        Numbers numbers = wave(sizes.length(field.shape), phase);
        for (float& number : numbers) number *= reach;
        return put(field, array(std::move(numbers)));
      }
    }
  }
  // Distinct rows while there are enough, each third one missing if that is allowed.
  const int32_t* rows(const Field& field) {
    const long limit = sizes.of(field.below);
    long& count = sizes.of(*field.shape);
    if (count < 0) count = limit - 3;
    std::vector<int32_t> list(count);
    for (long i = 0; i < count; i++) list[i] = field.least < 0 && i % 3 == 1 ? -1 : (int32_t)((limit - 1 - i % limit));
    lists.push_back(std::move(list));
    return lists.back().data();
  }
};

static Outputs table_outputs(const Kernels& k, Pool* pool, Type type) {
  Outputs all;
  for (int i = 0; i < k.operationCount; i++) {
    for (const float reach : {1.0f, 9.0f}) {  // the second reaches flat activations
      for (const bool withOptional : {false, true}) {
        Call call(k.operations[i], type, reach, withOptional);
        if (!k.operations[i].run(pool, call.arguments)) failures++, printf("%s: no memory\n", call.operation.name);
        for (const auto& [name, place] : call.outputs) {
          all.push_back({std::string(call.operation.name) + " " + name, call.arrays[place]});
        }
      }
    }
  }
  return all;
}

// Linear maps in float64: every bit is that of a loop whose sums ascend, backward on top of sums that are there.
static void expect_wide_equal(const Kernels& k, Pool* pool, long T, long N, long K) {
  const auto doubles = [](long length, double phase) {
    std::vector<double> out(length);
    for (long i = 0; i < length; i++) out[i] = sin(1.3 * i + phase) / 3;
    return out;
  };
  const std::vector<double> x = doubles(T * K, 0.1), dy = doubles(T * N, 0.8);
  const Numbers w = wave(N * K, 0.5), b = wave(N, 1.1);
  std::vector<double> y(T * N), dx(T * K), dw = doubles(N * K, 2.2), db = doubles(N, 2.9);
  std::vector<double> y_true(T * N), dx_true(T * K), dw_true = dw, db_true = db;
  for (long t = 0; t < T; t++) {
    for (long n = 0; n < N; n++) {
      double sum = b[n];
      for (long i = 0; i < K; i++) sum += x[t * K + i] * w[n * K + i];
      y_true[t * N + n] = sum;
      db_true[n] += dy[t * N + n];
      for (long i = 0; i < K; i++) {
        dx_true[t * K + i] += dy[t * N + n] * w[n * K + i];
        dw_true[n * K + i] += dy[t * N + n] * x[t * K + i];
      }
    }
  }
  k.wide_linear(pool, {y.data(), x.data(), w.data(), b.data(), T, N, K});
  k.wide_linear_backward(pool, {dx.data(), dw.data(), db.data(), dy.data(), x.data(), w.data(), T, N, K});
  if (y != y_true) failures++, printf("%s: wide linear of %ld, %ld, %ld has other bits\n", k.name, T, N, K);
  if (dx != dx_true || dw != dw_true || db != db_true) {
    failures++, printf("%s: wide linear backward of %ld, %ld, %ld has other bits\n", k.name, T, N, K);
  }
}

static Outputs all_outputs(const Kernels& k, int threads) {
  Pool* pool = pool_open(threads);
  Outputs all;
  const auto add = [&](const Outputs& some) { all.insert(all.end(), some.begin(), some.end()); };
  for (const Type type : {Type::F32, Type::BF16, Type::F16}) {
    add(row_outputs(k, pool, type));
    add(table_outputs(k, pool, type));
    for (const long T : {1, 3, 37}) add(linear_outputs(k, pool, type, false, T, 101, 1 + 16 * T));
  }
  add(linear_outputs(k, pool, Type::BF16, false, 19, 53, 1100));
  for (const long T : {1, 3, 4, 37}) add(linear_outputs(k, pool, Type::I8, false, T, 101, 1 + 16 * T));
  add(linear_outputs(k, pool, Type::I8, false, 19, 53, 1100));
  if (k.bf16) linear_outputs(k, pool, Type::BF16, true, 19, 53, 1101);
  expect_wide_equal(k, pool, 1, 3, 5);
  expect_wide_equal(k, pool, 37, 67, 33);
  add(attention_outputs(k, pool, 64, 0, 0));
  add(attention_outputs(k, pool, 10, 7, 0));
  add(attention_outputs(k, pool, 10, 7, 0.75f));
  pool_close(pool);
  return all;
}

int main() {
  int count;
  const Level* levels = cpu_levels(&count);
  const Outputs expected = all_outputs(kernels_portable, 1);
  for (int i = 0; i < count; i++) {
    if (!levels[i].runs) continue;
    const Kernels& k = *levels[i].kernels;
    const Outputs one = all_outputs(k, 1), three = all_outputs(k, 3);
    for (size_t n = 0; n < one.size(); n++) {
      const std::string what = std::string(k.name) + " " + one[n].first;
      expect_close(what, one[n].second, expected[n].second, 5e-6);
      if (one[n].second != three[n].second) failures++, printf("%s: three threads give other bits\n", what.c_str());
    }
    printf("%s: %zu outputs\n", k.name, one.size());
  }
  printf(failures ? "%d FAILURES\n" : "all agree\n", failures);
  return failures ? 1 : 0;
}
