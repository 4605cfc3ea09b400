/**
 * Several adapters on one resident base, with PEFT's vocabulary (`AdaptionPromptModel`) and without its faults (spec §2):
 * switching and disabling are idempotent and nest, without an adapter it is the base, adapters may have any name, and all
 * of them live here rather than in a module tree, so nothing is left behind when one is swapped out. Beyond PEFT, texts of one
 * pass may have adapters of their own, blended with the base by a scale.
 */
import type { Cell, ImageInput } from "../cell/tokens.ts";
import { InputError } from "../errors.ts";
import { type BatchEvent, type BatchOptions, decodeTexts } from "../generate/batch.ts";
import { type GenerateOptions, generateFrom } from "../generate/generate.ts";
import type { FinishReason, TextRequest } from "../generate/text.ts";
import { type ImageLease, leaseImage } from "../model/cell_images.ts";
import type { DecoderModel } from "../model/decoder.ts";
import { cellGradient, cellLosses } from "../model/gradient.ts";
import { parameterCount } from "../model/hf_names.ts";
import { mixedLogits } from "../model/logits.ts";
import type { PackedTokens } from "../model/pass.ts";
import { openPromptCache, type PromptCache, type PromptLease } from "../model/prompt_cache.ts";
import type { AdaptionPromptConfig } from "./files/config.ts";
import {
  type Adapter,
  freshAdapter,
  type NewAdapterOptions,
  type TrainedAdapter,
  trainedAdapter,
} from "./new_adapter.ts";

/** Which adapter a sequence gets and how much of it. While adapters are disabled, every choice is the base. */
export interface AdapterChoice {
  /** Its name; `null` is the base. @default the active one */
  readonly adapter?: string | null | undefined;
  /** Blends the gates: 0 is the base, 1 the adapter. @default 1 */
  readonly scale?: number;
  /** The image that the sequence is about, as its adapter takes it. @default none */
  readonly image?: ImageInput | undefined;
}

/** One text of a batch. */
export type ChosenText = Omit<TextRequest, "adapter"> & AdapterChoice;

/**
 * A frozen base with adapters by name, at most one of them active: PEFT's `PeftModel` for adaption prompts.
 *
 * @example
 * const model = new AdaptionPromptModel(createModel(engine, config, image));
 * model.addAdapter("mine", await loadAdapter("runs/first/adapter", config));
 * const ids: number[] = [];
 * for await (const id of model.generate(promptIds, { maxNewTokens: 20 })) ids.push(id);
 */
export class AdaptionPromptModel {
  readonly base: DecoderModel;
  readonly #prompts: PromptCache;
  readonly #adapters = new Map<string, Adapter>();
  #active: string | undefined;
  #enabled = true;

  constructor(base: DecoderModel) {
    if (base instanceof AdaptionPromptModel) {
      throw new TypeError("Cannot wrap an AdaptionPromptModel: it has adapters already, add further ones to it");
    }
    this.base = base;
    this.#prompts = openPromptCache(base);
  }

  /**
   * Adds a trained adapter, as `loadAdapter` returns it, or a fresh one of this config. The first one becomes active, later ones
   * only once `setAdapter` names them (PEFT 0.21's rule). Adapters may differ in length, layers and gate.
   * @throws InputError for a name that is taken or empty, a config that does not fit the model or the shape, or a wrong number
   * of params. TypeError for params without their shape.
   */
  addAdapter(name: string, trained: TrainedAdapter): Adapter;
  addAdapter(name: string, config: AdaptionPromptConfig, options?: NewAdapterOptions): Adapter;
  addAdapter(name: string, source: TrainedAdapter | AdaptionPromptConfig, options: NewAdapterOptions = {}): Adapter {
    if (name === "") throw new InputError("Cannot add the adapter", "its name is empty, give it one");
    if (this.#adapters.has(name)) {
      throw new InputError(
        `Cannot add adapter "${name}"`,
        "an adapter of this name exists, delete it or choose another",
      );
    }
    const adapter =
      "params" in source
        ? trainedAdapter(name, source, options, this.base.config)
        : freshAdapter(name, source, options, this.base.config);
    this.#adapters.set(name, adapter);
    this.#active ??= name;
    return adapter;
  }

  /** Makes an adapter the active one; also while adapters are disabled, then it shows once they are enabled. */
  setAdapter(name: string): void {
    this.adapter(name);
    this.#active = name;
  }

  /** Removes an adapter. If it was active, the oldest one left takes its place; without any the model is the base. */
  deleteAdapter(name: string): void {
    this.#prompts.drop(this.adapter(name));
    this.#adapters.delete(name);
    if (this.#active === name) this.#active = this.#adapters.keys().next().value;
  }

  /** Adapters count again. Calling it twice is the same as once. */
  enableAdapterLayers(): void {
    this.#enabled = true;
  }

  /** The model is the base until adapters are enabled. Calling it twice is the same as once. */
  disableAdapterLayers(): void {
    this.#enabled = false;
  }

  /** Runs `work` on the base and then restores what was before, also after a failure; calls may nest. */
  async withAdapterDisabled<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#enabled;
    this.#enabled = false;
    try {
      return await work();
    } finally {
      this.#enabled = before;
    }
  }

  /** The adapter called `name`. @throws InputError that lists the names there are. */
  adapter(name: string): Adapter {
    const adapter = this.#adapters.get(name);
    if (!adapter) {
      const names = this.adapterNames.map((n) => `"${n}"`).join(", ") || "none";
      throw new InputError(`Cannot find adapter "${name}"`, `adapters of this model: ${names}`);
    }
    return adapter;
  }

  /** Names of all adapters, in the order in which they were added. */
  get adapterNames(): string[] {
    return [...this.#adapters.keys()];
  }

  /** Name of the adapter that answers if none is named; undefined without adapters. */
  get activeAdapter(): string | undefined {
    return this.#active;
  }

  /** Whether adapters take part; without, the base answers. */
  get isEnabled(): boolean {
    return this.#enabled;
  }

  /** Logits `[R, V]` of the tokens at `rows` (default: all). */
  logits(tokens: PackedTokens, rows?: Int32Array): Promise<Float32Array> {
    return this.mixedLogits(
      tokens,
      Array.from(tokens.cuSeqlens.subarray(1), () => ({})),
      rows,
    );
  }

  /**
   * Returns the same, with the adapter that `choices[s]` names for sequence s of the tokens.
   * @throws InputError for an unknown adapter or a scale outside of 0…1.
   */
  async mixedLogits(tokens: PackedTokens, choices: readonly AdapterChoice[], rows?: Int32Array): Promise<Float32Array> {
    const chosen = choices.map((choice) => {
      return { adapter: this.#chosen(choice), scale: checkedScale(choice), seen: choice.image };
    });
    const leases = new Map<Adapter, PromptLease>();
    const images: (ImageLease | undefined)[] = [];
    try {
      for (const { adapter, seen } of chosen) images.push(await leaseImage(this.base, adapter, seen));
      for (const { adapter } of chosen) {
        if (adapter && !leases.has(adapter)) leases.set(adapter, await this.#prompts.lease(adapter));
      }
      const sequences = chosen.map(({ adapter, scale }, s) => {
        const lease = adapter && leases.get(adapter);
        return lease && { prompts: lease.prompts, scale, image: images[s]?.image };
      });
      return await mixedLogits(this.base, sequences, tokens, rows);
    } finally {
      for (const lease of [...leases.values(), ...images]) lease?.release();
    }
  }

  /** Loss in nats of every labelled token of a cell. */
  losses(cell: Cell): Promise<Float32Array> {
    return cellLosses(this.base, this.#current(), cell);
  }

  /**
   * Loss and gradient of the active adapter, see `cellGradient`.
   * @throws InputError if nothing can be trained: no adapter, disabled, or loaded for inference.
   */
  async gradient(cell: Cell, scale: number): Promise<{ lossSum: number; gradient: Float32Array }> {
    const adapter = this.#current();
    if (!adapter || adapter.config.inferenceMode) {
      const reason = adapter ? "the active adapter was added with inferenceMode" : "no adapter is active and enabled";
      throw new InputError("Cannot compute a gradient", `${reason}, so there is nothing to train`);
    }
    return cellGradient(this.base, adapter, cell, scale);
  }

  /** Continues a prompt, see `generate`. @throws InputError also for an unknown adapter. */
  generate(
    promptIds: readonly number[],
    { adapter, ...options }: GenerateOptions & AdapterChoice,
  ): AsyncGenerator<number, FinishReason, void> {
    return generateFrom(this.base, this.#prompts, this.#chosen({ adapter }), promptIds, options);
  }

  /** Continues several prompts at once, each with its own adapter, see `generateBatch`. */
  generateBatch(texts: readonly ChosenText[], options: BatchOptions = {}): AsyncGenerator<BatchEvent, void, void> {
    const requests = texts.map((text) => ({ ...text, adapter: this.#chosen(text) }));
    return decodeTexts(this.base, this.#prompts, requests, options);
  }

  /** Always throws: prompts act on the attention of every query, no change of the base's weights does the same. */
  mergeAdapter(): never {
    const way = "save the adapter and load it beside its base";
    throw new InputError(
      "Cannot merge an adapter into the base",
      `adaption prompts are not a change of its weights: ${way}`,
    );
  }

  /** Gives back the engine's memory of cached prompts; the model works on and makes them again. */
  releasePrompts(): void {
    this.#prompts.close();
  }

  /** Numbers that train and numbers in all, the adapter's included; the counts of PEFT's `get_nb_trainable_parameters`. */
  parameterCounts(): { trainable: number; all: number } {
    const active = this.#current();
    const base = parameterCount(this.base.config);
    if (!active) return { trainable: 0, all: base };
    return { trainable: active.config.inferenceMode ? 0 : active.layout.length, all: base + active.layout.length };
  }

  #chosen({ adapter }: AdapterChoice): Adapter | undefined {
    const named = typeof adapter === "string" ? this.adapter(adapter) : undefined;
    if (adapter === undefined) return this.#current();
    return this.#enabled ? named : undefined;
  }

  #current(): Adapter | undefined {
    return this.#enabled && this.#active !== undefined ? this.#adapters.get(this.#active) : undefined;
  }
}

function checkedScale({ scale = 1 }: AdapterChoice): number {
  if (scale >= 0 && scale <= 1) return scale;
  throw new InputError("Cannot use the adapter", `the scale is ${scale}, use 0 (the base) to 1 (the adapter)`);
}

/**
 * Returns PEFT's line about how little trains.
 *
 * @example
 * trainableLine({ trainable: 1228830, all: 6739644446 }); // "trainable params: 1,228,830 || all params: 6,739,644,446 || trainable%: 0.0182"
 */
export function trainableLine({ trainable, all }: { trainable: number; all: number }): string {
  const grouped = (n: number) => n.toLocaleString("en-US");
  const percent = ((100 * trainable) / all).toFixed(4);
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${percent}`;
}
