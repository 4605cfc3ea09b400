/** Our kernels (`kernels/*.cu`): compiled for one GPU, found by name, launched with checked arguments. */
import { addressOf } from "@zerogate/ffi";
import type { Compiler } from "./compiler.ts";
import type { Gpu } from "./gpu.ts";
import type { Enqueue } from "./graphs.ts";
import { compileOptions, type KernelFile, kernelFiles, kernelSource } from "./kernel_sources.ts";
import { CU } from "./native/numbers.ts";

/** A bigint for an address or a u64, a number for an int or a float; undefined is the null pointer. */
export type KernelArgument = bigint | number | undefined;

export interface Launch {
  readonly grid: readonly [x: number, y?: number, z?: number];
  /** Threads of a block. */
  readonly block: number;
  /** Dynamic shared memory of a block, in bytes. */
  readonly shared?: number;
}

export interface Kernels {
  /**
   * Enqueues a kernel. @param variant macros that its file is compiled with in addition to the common ones.
   * @throws TypeError if the arguments are not those of its signature, CudaError if the driver refuses.
   */
  run(
    file: KernelFile,
    name: string,
    launch: Launch,
    args: readonly KernelArgument[],
    variant?: readonly string[],
  ): void;
}

/** Of one parameter of a kernel: `pointer` takes undefined too. */
type ParameterType = "pointer" | "u64" | "int" | "float";

interface Kernel {
  readonly parameters: readonly ParameterType[];
  readonly handle: bigint;
  shared: number;
}

const SHARED_BYTES_ATTRIBUTE = CU.FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
const MOST_ARGUMENTS = 24;

/** `defines` are macros of all files, `ACT=float`; `debug` waits after every kernel, so that a fault has its name. */
export function createKernels(
  gpu: Gpu,
  compiler: Compiler,
  enqueue: Enqueue,
  { defines, debug }: { defines: readonly string[]; debug: boolean },
): Kernels {
  const modules = new Map<string, { handle: bigint; text: string }>();
  const kernels = new Map<string, Kernel>();
  // One slot of eight bytes an argument; the driver copies them before it returns.
  const slots = new ArrayBuffer(8 * MOST_ARGUMENTS);
  const [wide, ints, floats] = [new BigUint64Array(slots), new Int32Array(slots), new Float32Array(slots)];
  const table = new BigUint64Array(MOST_ARGUMENTS);
  for (let i = 0; i < MOST_ARGUMENTS; i++) table[i] = addressOf(wide) + BigInt(8 * i);

  function moduleOf(file: KernelFile, variant: readonly string[]) {
    const key = [file, ...variant].join(" ");
    const known = modules.get(key);
    if (known) return known;
    const source = kernelSource(file);
    const out = new BigUint64Array(8);
    const cubin = compiler.cubin(source, compileOptions(compiler, gpu.architecture, [...defines, ...variant]));
    gpu.call(`load ${source.name} (${compiler.path})`, "cuModuleLoadData", out, cubin);
    const loaded = { handle: out[0] ?? 0n, text: source.text };
    modules.set(key, loaded);
    return loaded;
  }

  function kernelOf(file: KernelFile, name: string, variant: readonly string[]): Kernel {
    const key = [name, ...variant].join(" ");
    const known = kernels.get(key);
    if (known) return known;
    const { handle, text } = moduleOf(file, variant);
    const parameters = parametersOf(text, name);
    const out = new BigUint64Array(8);
    gpu.call(`find the kernel ${name}`, "cuModuleGetFunction", out, handle, name);
    const kernel = { parameters, handle: out[0] ?? 0n, shared: 0 };
    kernels.set(key, kernel);
    return kernel;
  }

  function setArguments(name: string, parameters: readonly ParameterType[], args: readonly KernelArgument[]): void {
    if (args.length !== parameters.length) {
      throw new TypeError(`Cannot run ${name}: it has ${parameters.length} parameters, got ${args.length} arguments`);
    }
    for (const [i, type] of parameters.entries()) {
      const value = args[i];
      if ((type === "pointer" || type === "u64") && typeof value === "bigint") wide[i] = value;
      else if (type === "pointer" && value === undefined) wide[i] = 0n;
      else if (type === "int" && Number.isInteger(value) && (value as number) === ((value as number) | 0)) {
        ints[2 * i] = value as number;
      } else if (type === "float" && typeof value === "number") floats[2 * i] = value;
      else throw new TypeError(`Cannot run ${name}: argument ${i + 1} is ${typeof value} ${value}, ${type} is needed`);
    }
  }

  return {
    run(file, name, { grid: [x, y = 1, z = 1], block, shared = 0 }, args, variant = []) {
      if (x * y * z === 0) return; // of nothing
      const kernel = kernelOf(file, name, variant);
      if (shared > kernel.shared) {
        // Always asked for: static and dynamic memory together may pass the 48 KiB that need no asking.
        gpu.call(`prepare ${name}`, "cuFuncSetAttribute", kernel.handle, SHARED_BYTES_ATTRIBUTE, shared);
        kernel.shared = shared;
      }
      setArguments(name, kernel.parameters, args); // checks them, even if the launch is only noted
      const what = `run ${name}`;
      const key = () => [kernel.handle, x, y, z, block, shared, ...args].join(" ");
      enqueue(key, () => {
        setArguments(name, kernel.parameters, args);
        gpu.call(what, "cuLaunchKernel", kernel.handle, x, y, z, block, 1, 1, shared, gpu.stream, table, null);
      });
      if (debug) gpu.synchronize(what);
    },
  };
}

/** A flat operation's kernel, as its file declares it. */
export interface Signature {
  readonly file: KernelFile;
  readonly parameters: readonly { readonly name: string; readonly isInner: boolean }[];
  readonly launch: { readonly each: string; readonly first: string; readonly second: string };
}

/** Finds `LAUNCH(name, each, a, b)` and `KERNEL(name)(…)` in one of the files. */
export function signatureOf(name: string): Signature {
  const launches = new RegExp(`LAUNCH\\(${name}, (rows|numbers|several), (\\w), (\\w)\\)`);
  for (const file of kernelFiles) {
    const { text } = kernelSource(file);
    const [, each, first, second] = launches.exec(text) ?? [];
    const [, parameters] = signaturePattern(name).exec(text) ?? [];
    if (!each || !first || !second || !parameters) continue;
    const named = parameters.split(",").map((parameter) => {
      const { groups } = /(?<type>\w+)\*? (?<name>\w+)$/.exec(parameter.trim()) ?? {};
      return { name: groups?.["name"] ?? "", isInner: groups?.["type"] === "ACT" };
    });
    return { file, parameters: named, launch: { each, first, second } };
  }
  throw new RangeError(`Cannot run ${name}: no file has its KERNEL and its LAUNCH`);
}

const signaturePattern = (name: string) => new RegExp(`KERNEL\\(${name}(?:, \\d+)?\\)\\s*\\(([^)]*)\\)`);

/** Parameter types of `KERNEL(name)(…)` in a source. */
function parametersOf(text: string, name: string): ParameterType[] {
  const found = signaturePattern(name).exec(text);
  if (!found?.[1]) throw new RangeError(`Cannot run ${name}: no kernel of that name is in its file`);
  return found[1].split(",").map((parameter) => {
    const [type = ""] = parameter
      .trim()
      .replace(/^const /, "")
      .split(" ");
    if (parameter.includes("*")) return "pointer";
    if (type === "int" || type === "float" || type === "u64") return type;
    throw new RangeError(`Cannot run ${name}: its parameter "${parameter.trim()}" has a type that is not known here`);
  });
}
