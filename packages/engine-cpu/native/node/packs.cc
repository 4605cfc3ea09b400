// Packed copies of weights as JavaScript sees them: an object that a linear map is given beside its weight.
#include "args.h"
#include "packed.h"

namespace zg {

const napi_type_tag packsTag = {0x7a65726f67617465, 0x7061636b65647765};

namespace {

// The weight's bytes must outlive the copies, which other engines find by their address.
void close(napi_env env, void* data, void*) {
  Packs* packs = static_cast<Packs*>(data);
  for (Packed* packed : packs->directions) packed_close(packed);
  napi_delete_reference(env, packs->bytes);
  delete packs;
}

// pack(engine, weight): what products of the engine with all rows of that weight keep its packed copies in
napi_value pack(napi_env env, napi_callback_info info) {
  Args args(env, info, "pack a weight");
  Engine* engine = args.engine();
  const napi_value bytes = args.peek();
  const Weight weight = args.linear_map("weight");
  if (!args.ok()) return nullptr;
  Packs* packs = new Packs;
  for (const bool backward : {false, true}) {
    packs->directions[backward] = packed_open({engine->kernels, engine->bf16, backward, weight});
  }
  napi_create_reference(env, bytes, 1, &packs->bytes);
  napi_value external;
  if (napi_create_external(env, packs, close, nullptr, &external) != napi_ok) {
    close(env, packs, nullptr);
    return nullptr;
  }
  napi_type_tag_object(env, external, &packsTag);
  return external;
}

// packedBytes(): of all copies of the process
napi_value bytes_of_all(napi_env env, napi_callback_info) {
  napi_value bytes;
  napi_create_double(env, (double)packed_bytes(), &bytes);
  return bytes;
}

}  // namespace

void add_pack_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {ZG_FUNCTION("pack", pack), ZG_FUNCTION("packedBytes", bytes_of_all)};
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
