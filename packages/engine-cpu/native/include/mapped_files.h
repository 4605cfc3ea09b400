// Weight files as memory: the file cache itself, once for all engines of the process. Linux only.
#pragma once
#include <stddef.h>

namespace zg {

struct MappedFile;

// Whether this build can map files.
bool can_map_files();
// Bytes `offset` … `offset + length` of the file; null if that fails, with a reason in `problem`. `unmap_file(*file)` once
// for each.
const char* map_file(const char* path, size_t offset, size_t length, MappedFile** file, const char** problem);
void unmap_file(MappedFile* file);
// A mapped file that was written to or cut short since, or could not be read: what was computed meanwhile is worth nothing.
// Null if there is none.
const char* changed_file();

}  // namespace zg
