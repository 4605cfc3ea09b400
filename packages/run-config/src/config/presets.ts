/** Named starting points; docs/config.md says where their numbers come from. */
import type { PresetName, TrainConfig } from "./train_config.ts";

export const presets: Readonly<Record<PresetName, Partial<TrainConfig>>> = {
  /**
   * The authors' released command for LLaMA-7B (alpaca_finetuning_v1): peak 9e-3 · 32/256 = 1.125e-3. 30 of 32 layers is
   * the default, all but 2. The gate stays PEFT's raw scalar, so that the adapter loads in PEFT: the authors' own is
   * `gateSharing: per-head, gateActivation: tanh`. Under their decay rule a scalar gate does not decay, a per-head one does.
   */
  paper: {
    adapterLen: 10,
    maxLength: 512,
    labels: "response",
    template: "alpaca",
    epochs: 5,
    batchSize: 32,
    cellMultiple: 8,
    dropLast: true,
    blr: 9e-3,
    schedule: "cosine",
    warmupEpochs: 2,
    minLr: 0,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weightDecay: 0.02,
    decayGroup: "original",
    clipNorm: 0,
  },
  /** torch's AdamW as it comes, with the learning rate that PEFT's own benchmark found best for adaption prompts (peft#3301). */
  peft: {
    adapterLen: 10,
    gateSharing: "scalar",
    gateActivation: "none",
    epochs: 3,
    batchSize: 8,
    lr: 5e-3,
    schedule: "cosine",
    warmupSteps: 0,
    minLr: 0,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0.01,
    decayGroup: "all",
    clipNorm: 1,
  },
  /** Something to look at within minutes, also on a laptop: not a recipe. */
  quick: {
    maxLength: 256,
    cellTokens: 1024,
    steps: 100,
    batchSize: 8,
    lr: 1e-2,
    warmupSteps: 5,
    evalEvery: 25,
    saveEvery: 50,
    reportAnswers: 4,
  },
};
