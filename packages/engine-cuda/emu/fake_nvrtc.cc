// A fake NVRTC: compiles a kernel file to a shared library for the emulator with the machine's C++ compiler. EMU_INCLUDE names
// the folder of emu.hpp. Of its options, -D… are passed on and --gpu-architecture must be one that it "knows".
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "checks.hpp"

namespace {
struct Program {
  std::string source;
  std::map<std::string, std::string> headers;
  std::string log, binary;
};
const std::vector<int> architectures = {80, 90, 100, 120};

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}
/** For each kernel what the fake driver finds it by. */
std::string entries(const std::string& source) {
  static const std::regex kernel("\\b(?:BOUNDED_)?KERNEL\\((\\w+)[^)]*\\)\\s*\\(");
  std::string out;
  for (std::sregex_iterator it(source.begin(), source.end(), kernel), end; it != end; ++it) {
    std::string name = (*it)[1];
    out += "extern \"C\" void emu_call_" + name + "(void** a) { emu::call(&" + name + ", a); }\n";
    out += "extern \"C\" int emu_count_" + name + " = emu::count(&" + name + ");\n";
  }
  // The linker names both ends of the section of SHARED variables, where there are some.
  out += "extern \"C\" char __start_shared_variables[] __attribute__((weak, visibility(\"hidden\")));\n";
  out += "extern \"C\" char __stop_shared_variables[] __attribute__((weak, visibility(\"hidden\")));\n";
  out += "extern \"C\" char* emu_shared[2] = {__start_shared_variables, __stop_shared_variables};\n";
  return out;
}
/** Runs the compiler in a folder of its own, which is removed. */
int compile(Program& program, const std::string& defines) {
  Dl_info own;
  dladdr((void*)&compile, &own);
  char folder[] = "/tmp/zerogate-nvrtc-XXXXXX";
  if (!mkdtemp(folder)) return 6;
  std::string base = std::string(folder) + "/module";
  for (const auto& [name, text] : program.headers) std::ofstream(folder + ("/" + name)) << text;
  std::ofstream(base + ".cc") << program.source << "\n" << entries(program.source);
  // Compiled and linked apart: g++ would link its own library for -fsanitize=thread, whose calls checks.cc has.
  const char* checks = emu::is_checking() ? " -fsanitize=thread --param tsan-instrument-func-entry-exit=0" : "";
  std::string command = std::string("c++ -std=c++17 -O1 -fPIC -c -fno-strict-aliasing -ffp-contract=off -w") + checks + " -include emu.hpp -I'" +
                        getenv("EMU_INCLUDE") + "' " + defines + " -o " + base + ".o " + base + ".cc 2> " + base + ".log && c++ -shared -o " +
                        base + ".so " + base + ".o '" + own.dli_fname + "' 2>> " + base + ".log";
  int status = system(command.c_str());
  program.log = contents(base + ".log");
  program.binary = contents(base + ".so");
  for (const char* suffix : {".cc", ".o", ".so", ".log"}) unlink((base + suffix).c_str());
  for (const auto& [name, text] : program.headers) unlink((folder + ("/" + name)).c_str());
  rmdir(folder);
  return status == 0 ? 0 : 6;
}
}  // namespace

extern "C" {
int nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, 0; }
const char* nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : code == 5 ? "NVRTC_ERROR_INVALID_OPTION" : "NVRTC_ERROR"; }
int nvrtcGetNumSupportedArchs(int* count) { return *count = architectures.size(), 0; }
int nvrtcGetSupportedArchs(int* out) { return memcpy(out, architectures.data(), 4 * architectures.size()), 0; }
int nvrtcCreateProgram(Program** out, const char* source, const char*, int headers, const char** texts, const char** names) {
  *out = new Program{source, {}, "", ""};
  for (int i = 0; i < headers; i++) (*out)->headers[names[i]] = texts[i];
  return 0;
}
int nvrtcCompileProgram(Program* program, int count, const char** options) {
  std::string defines;
  for (int i = 0; i < count; i++) {
    std::string option = options[i];
    if (option.rfind("-D", 0) == 0) defines += " '" + option + "'";
    if (option.rfind("--gpu-architecture=sm_", 0) == 0) {
      bool known = false;
      for (int architecture : architectures) known |= atoi(option.c_str() + 22) == architecture;
      if (!known) return program->log = "unknown " + option, 5;
    }
  }
  return compile(*program, defines);
}
int nvrtcGetProgramLogSize(Program* program, size_t* bytes) { return *bytes = program->log.size() + 1, 0; }
int nvrtcGetProgramLog(Program* program, char* out) { return memcpy(out, program->log.c_str(), program->log.size() + 1), 0; }
int nvrtcGetCUBINSize(Program* program, size_t* bytes) { return *bytes = program->binary.size(), 0; }
int nvrtcGetCUBIN(Program* program, char* out) { return memcpy(out, program->binary.data(), program->binary.size()), 0; }
int nvrtcDestroyProgram(Program** program) { return delete *program, *program = nullptr, 0; }
}
