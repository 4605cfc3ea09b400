/**
 * tfjs-node without the download of its binaries: its npm package's own C++ source is compiled against the TensorFlow inside the
 * `tensorflow-cpu` wheel. Takes the package from npm (its install script is not run) and a C++ compiler.
 *
 *   python3 -m venv VENV && VENV/bin/pip install tensorflow-cpu
 *   node scripts/tfjs_node_local.mjs FOLDER VENV
 *   ZEROGATE_TFJS=FOLDER zerogate train --engine tfjs:node …
 *
 * Tried with TensorFlow 2.21.0, tfjs-node 4.22.0 (made for 2.9.1), g++ 12.2 on Debian 12.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [folder, venv] = process.argv.slice(2).map((path) => resolve(path));
if (!folder || !venv) {
  console.error("usage: node scripts/tfjs_node_local.mjs FOLDER VENV");
  process.exit(2);
}
const run = (command, args, options) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });

const find = "import importlib.util as u; print(u.find_spec('tensorflow').submodule_search_locations[0])";
const tensorflow = run(join(venv, "bin/python"), ["-c", find]).trim();
if (!existsSync(join(tensorflow, "libtensorflow_cc.so.2"))) {
  throw new Error(`Cannot build: ${tensorflow} has no libtensorflow_cc.so.2, the wheel tensorflow-cpu is needed`);
}

mkdirSync(folder, { recursive: true });
if (!existsSync(join(folder, "package.json"))) writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "@tensorflow/tfjs-node@4.22.0"];
run("npm", install, { cwd: folder });

const source = join(folder, "node_modules/@tensorflow/tfjs-node");
// The headers of Node-API come with engine-cpu, which is compiled in the same way.
const engineCpu = createRequire(fileURLToPath(new URL("../packages/engine-cpu/package.json", import.meta.url)));
const headers = join(dirname(engineCpu.resolve("node-api-headers/package.json")), "include");
const target = join(source, "lib/napi-v8"); // where tfjs-node looks: the newest Node-API that it knows
mkdirSync(target, { recursive: true });
run(process.env.CXX ?? "c++", [
  "-std=c++17",
  "-O2",
  "-fPIC",
  "-shared",
  "-DNAPI_VERSION=8",
  "-DNODE_GYP_MODULE_NAME=tfjs_binding",
  `-I${headers}`,
  `-I${join(tensorflow, "include")}`,
  join(source, "binding/tfjs_backend.cc"),
  join(source, "binding/tfjs_binding.cc"),
  `-L${tensorflow}`,
  "-l:libtensorflow_cc.so.2",
  "-l:libtensorflow_framework.so.2",
  `-Wl,-rpath,${tensorflow}`,
  "-o",
  join(target, "tfjs_binding.node"),
]);

const check = `const tf = require("@tensorflow/tfjs-node");
const y = tf.matMul([[5, 6]], [[1, 3], [2, 4]]).dataSync();
if (y[0] !== 17 || y[1] !== 39) throw new Error("it computes " + y);
console.log("tfjs-node on TensorFlow " + tf.backend().binding.TF_Version + " multiplies");`;
console.log(run(process.execPath, ["-e", check], { cwd: folder }).trim());
console.log(`ZEROGATE_TFJS=${folder} zerogate doctor`);
