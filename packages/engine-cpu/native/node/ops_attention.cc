// Rotation and attention as JavaScript calls them. Sizes come first, then outputs, then inputs. Every argument is checked
// before anything runs; core's engine.ts says what each does.
#include <string.h>

#include <vector>

#include "args.h"

namespace zg {

namespace {

Heads heads(Args& args, long least_window = 0) {
  const Heads h = {args.size("T", 0), args.size("H", 1),           args.size("G", 1),
                   args.size("d", 1), args.size("window", least_window), (float)args.number("cap")};
  if (h.H % h.G != 0) args.fail(Wrong::RANGE, "%ld query heads do not share %ld key heads evenly", h.H, h.G);
  if (!(h.cap >= 0)) args.fail(Wrong::RANGE, "cap is %g, 0 or more is needed", h.cap);
  return h;
}
long floats_q(const Heads& h) { return times(h.T, h.H, h.d); }
long floats_x(const Heads& h) { return times(h.T, h.H + 2 * h.G, h.d); }

// Leading tokens of each sequence that have no query, null for an empty list.
const int32_t* skips(Args& args, const int32_t* cu, long S) {
  long length = -1;
  const int32_t* list = args.ints("skips_S", &length);
  if (!args.ok() || length == 0) return nullptr;
  bool good = length == S;
  for (long s = 0; good && s < S; s++) good = list[s] >= 0 && list[s] <= cu[s + 1] - cu[s];
  if (!good) args.fail(Wrong::RANGE, "skips_S must have 0 to all tokens of each of %ld sequences", S);
  return list;
}

// (engine, T, H, G, d, window, cap, inverse, qkv, cosSin)
napi_value rope(napi_env env, napi_callback_info info) {
  Args args(env, info, "run rope");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  if (h.d % 2 != 0) args.fail(Wrong::RANGE, "the head dimension is %ld, an even one is needed", h.d);
  const bool inverse = args.flag();
  float *qkv = args.array("qkv_TX", floats_x(h)), *cosSin = args.array("cosSin_Td", times(h.T, h.d));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->rope(engine->pool, {qkv, cosSin, h, inverse}));
}

// (engine, T, H, G, d, window, cap, cuSeqlens, skips, o, lse, qkv)
napi_value attention(napi_env env, napi_callback_info info) {
  Args args(env, info, "run attention");
  Engine* engine = args.engine();
  const Heads h = heads(args, UNMASKED);
  long S;
  const int32_t* cu = offsets(args, h.T, &S);
  const int32_t* skipped = skips(args, cu, S);
  float *o = args.array("o_TQ", floats_q(h)), *lse = args.array("lse_TH", times(h.T, h.H));
  float* qkv = args.array("qkv_TX", floats_x(h));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->attention(engine->pool, {o, lse, qkv, cu, S, h, nullptr, nullptr, skipped}));
}

// (engine, T, H, G, d, window, cap, cuSeqlens, skips, dqkv, do, qkv, o, lse)
napi_value attention_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run attentionBackward");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  long S;
  const int32_t* cu = offsets(args, h.T, &S);
  const int32_t* skipped = skips(args, cu, S);
  float *dqkv = args.array("dqkv_TX", floats_x(h)), *dO = args.array("do_TQ", floats_q(h));
  float *qkv = args.array("qkv_TX", floats_x(h)), *o = args.array("o_TQ", floats_q(h));
  float* lse = args.array("lse_TH", times(h.T, h.H));
  if (!args.ok()) return nullptr;
  return done(args, engine->kernels->attention_backward(engine->pool, {dqkv, dO, qkv, o, lse, cu, S, h, skipped}));
}

// (engine, T, H, G, d, window, cap, cuSeqlens, o, qkv, starts, capacities, handles of the caches)
napi_value cached_attention(napi_env env, napi_callback_info info) {
  Args args(env, info, "run cachedAttention");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  const long Y = times(2, h.G, h.d), X = times(h.H + 2 * h.G, h.d);
  long S;
  const int32_t* cu = offsets(args, h.T, &S);
  float *o = args.array("o_TQ", floats_q(h)), *qkv = args.array("qkv_TX", floats_x(h));
  const int32_t* starts = args.ints("starts", &S);
  const int32_t* capacities = args.ints("capacities", &S);
  const double* handles = args.doubles("caches", &S);
  std::vector<float*> caches;
  for (long s = 0; args.ok() && s < S; s++) {
    const long count = (long)starts[s] + cu[s + 1] - cu[s];
    if (starts[s] < 0 || count > capacities[s]) {
      args.attempt("keep %ld tokens", count);
      args.fail(Wrong::RANGE, "the cache was made for %d", capacities[s]);
    }
    caches.push_back(args.array_of("a cache", handles[s], times(capacities[s], Y)));
  }
  if (!args.ok()) return nullptr;
  for (long s = 0; s < S; s++) {
    float* behind = caches[s] + starts[s] * Y;
    for (long t = cu[s]; t < cu[s + 1]; t++, behind += Y) memcpy(behind, qkv + t * X + h.H * h.d, 4 * Y);
  }
  return done(args, engine->kernels->attention(engine->pool, {o, nullptr, qkv, cu, S, h, caches.data(), starts, nullptr}));
}

// Numbers of one set in `sets`: rows of its keys and values in all, its first and the one behind its last, its tokens.
constexpr long SET_FIELDS = 5;

// (sets, gates, keys and values of each): their tokens ascend and do not overlap.
std::vector<PromptSet> prompt_sets(Args& args, const Heads& h) {
  const long Y = times(2, h.G, h.d);
  long fields = -1;
  const int32_t* bounds = args.ints("sets", &fields);
  const long S = fields / SET_FIELDS;
  long gateCount = times(S, h.H), handles = S;
  const float* gates = args.floats("gate_SH", &gateCount);
  const double* kvs = args.doubles("kv_RY", &handles);
  std::vector<PromptSet> sets;
  if (args.ok() && fields % SET_FIELDS != 0) args.fail(Wrong::RANGE, "sets has %ld numbers, %ld a set are needed", fields, SET_FIELDS);
  long next = 0;
  for (long s = 0; args.ok() && s < S; s++) {
    const int32_t* at = bounds + s * SET_FIELDS;
    const long R = at[0], first = at[1], end = at[2], from = at[3], to = at[4];
    if (from < 0 || from > to || to > h.T) args.fail(Wrong::RANGE, "tokens %ld to %ld are asked for, there are %ld", from, to, h.T);
    else if (from < next) args.fail(Wrong::RANGE, "a set begins at token %ld, the one before it ends at %ld", from, next);
    else if (first < 0 || first >= end || end > R) args.fail(Wrong::RANGE, "rows %ld to %ld are asked for, there are %ld", first, end, R);
    const float* kv = args.array_of("kv_RY", kvs[s], times(R, Y));
    sets.push_back({kv + first * Y, gates + s * h.H, end - first, from, to, nullptr, nullptr});
    next = to;
  }
  return sets;
}

// (engine, T, H, G, d, window, cap, sets, gates, kvs, y, o, qkv)
napi_value prompt_attention(napi_env env, napi_callback_info info) {
  Args args(env, info, "run promptAttention");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  const std::vector<PromptSet> sets = prompt_sets(args, h);
  float *y = args.array("y_TQ", floats_q(h)), *o = args.array("o_TQ", floats_q(h));
  float* qkv = args.array("qkv_TX", floats_x(h));
  if (!args.ok()) return nullptr;
  const PromptAttention forward = {y, o, qkv, h, sets.data(), (long)sets.size()};
  return done(args, engine->kernels->prompt_attention(engine->pool, forward));
}

// (engine, T, H, G, d, window, cap, sets, gates, kvs, dkvs, dgates, do, qkv, dqkv?)
napi_value prompt_attention_backward(napi_env env, napi_callback_info info) {
  Args args(env, info, "run promptAttentionBackward");
  Engine* engine = args.engine();
  const Heads h = heads(args);
  std::vector<PromptSet> sets = prompt_sets(args, h);
  long S = (long)sets.size();
  const double* dkvs = args.doubles("dkv_KY", &S);
  const double* dgates = args.doubles("dgate_H", &S);
  for (long s = 0; args.ok() && s < S; s++) {
    sets[s].dkv_KY = args.array_of("dkv_KY", dkvs[s], times(sets[s].K, 2, h.G, h.d));
    sets[s].dgate_H = args.array_of("dgate_H", dgates[s], h.H);
  }
  float *dO = args.array("do_TQ", floats_q(h)), *qkv = args.array("qkv_TX", floats_x(h));
  float* dqkv = args.array_or_null("dqkv_TX", floats_x(h));
  if (!args.ok()) return nullptr;
  const PromptAttentionBackward backward = {dqkv, dO, qkv, h, sets.data(), S};
  return done(args, engine->kernels->prompt_attention_backward(engine->pool, backward));
}

}  // namespace

void add_attention_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      ZG_FUNCTION("rope", rope),
      ZG_FUNCTION("attention", attention),
      ZG_FUNCTION("attentionBackward", attention_backward),
      ZG_FUNCTION("cachedAttention", cached_attention),
      ZG_FUNCTION("promptAttention", prompt_attention),
      ZG_FUNCTION("promptAttentionBackward", prompt_attention_backward),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
