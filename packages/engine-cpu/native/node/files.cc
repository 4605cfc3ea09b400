// Weight files as JavaScript sees them: typed arrays over mapped memory, unmapped when they are collected.
#include "args.h"
#include "mapped_files.h"

namespace zg {

namespace {

void release(napi_env, void*, void* file) { unmap_file(static_cast<MappedFile*>(file)); }

// mapFile(path, offset, length): Uint8Array over the file, not to be written to
napi_value map(napi_env env, napi_callback_info info) {
  Args args(env, info, "map a weight file");
  char path[4096];
  size_t used = 0;
  const bool isText = napi_get_value_string_utf8(env, args.value(), path, sizeof path, &used) == napi_ok;
  if (!isText || used + 1 == sizeof path) args.fail(Wrong::TYPE, "path is not a path");
  const long offset = args.size("offset", 0), length = args.size("length", 1);
  if (!args.ok()) return nullptr;
  MappedFile* file = nullptr;
  const char* problem = nullptr;
  const char* bytes = map_file(path, offset, length, &file, &problem);
  if (!bytes) {
    args.fail(Wrong::RANGE, "%s, bytes %ld to %ld: %s", path, offset, offset + length, problem);
    return nullptr;
  }
  napi_value buffer, array;
  if (napi_create_external_arraybuffer(env, const_cast<char*>(bytes), length, release, file, &buffer) != napi_ok) {
    unmap_file(file);
    args.fail(Wrong::OTHER, "this Node.js takes no memory from outside");
    return nullptr;
  }
  napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &array);
  return array;
}

}  // namespace

void add_file_functions(napi_env env, napi_value exports) {
  if (!can_map_files()) return;
  const napi_property_descriptor functions[] = {ZG_FUNCTION("mapFile", map)};
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}

}  // namespace zg
