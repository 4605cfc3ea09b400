/** What a tower is: the sizes and switches of a vision transformer, as the `config.json` of Hugging Face has them. */
import { InputError } from "../../errors.ts";
import { isJsonObject, type JsonFields, jsonFields, shown } from "../../formats/json_fields.ts";
import { MAX_LAYERS } from "../../model/hf_fields.ts";
import { findTowerFamily, supportedTowers } from "./families.ts";

/** A pre-norm transformer over the patches of an image. */
export interface TowerConfig {
  /** Its family: `clip`, `vit` or `siglip`. */
  readonly family: string;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Sides of the square image and of a patch of it, in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly normEps: number;
  /** By the name of the operation. */
  readonly activation: "gelu" | "geluErf" | "geluQuick";
  /** Whether queries, keys and values have a bias. */
  readonly qkvBias: boolean;
  /** Whether a norm follows the last layer; without one, the last layer's states are what comes out. */
  readonly finalNorm: boolean;
  /** Width of the space that texts and images share; 0 if this tower has no projection to it. */
  readonly projectionSize: number;
  /** Whether attention pools the tokens (SigLIP). */
  readonly poolingHead: boolean;
}

/** Tokens of one image: a patch each, and the class token if the family has one. */
export function towerTokens({ family, imageSize, patchSize }: TowerConfig): number {
  return (imageSize / patchSize) ** 2 + (findTowerFamily(family)?.names.classToken === undefined ? 0 : 1);
}

/** Returns what transformers calls a tower of this family: `clip_vision_model`, `vit` or `siglip_vision_model`. */
export function towerModelType({ family }: Pick<TowerConfig, "family">): string {
  return findTowerFamily(family)?.modelType ?? family;
}

const activations: Readonly<Record<string, TowerConfig["activation"]>> = {
  gelu: "geluErf",
  quick_gelu: "geluQuick",
  gelu_new: "gelu",
  gelu_pytorch_tanh: "gelu",
};

/** What names inner configs, processors, training and labels, not the forward pass. */
const harmless =
  /^(model_type|architectures|transformers_version|_name_or_path|(torch_)?dtype|id2label|label2id|num_labels|problem_type|image_token_index|projection_dim|pooler_(act|output_size)|encoder_stride|(hidden_|attention_|attention_probs_)?dropout(_prob)?|initializer_(range|factor)|logit_scale_init_value|.*attn_implementation.*|output_(attentions|hidden_states)|return_dict|use_cache|gradient_checkpointing|torchscript|use_bfloat16|finetuning_task|tokenizer_class|prefix|task_specific_params|tie_word_embeddings|tie_encoder_decoder|is_(en|de)coder(_decoder)?|chunk_size_feed_forward|.*_token_id|pruned_heads|tf_legacy_loss|remove_invalid_values|exponential_decay_length_penalty|begin_suppress_tokens|suppress_tokens|vocab_size)$/;
/** Settings of generation that older files repeat in every config. */
const ofGeneration =
  /^(bad_words_ids|do_sample|early_stopping|length_penalty|(max|min)_length|(encoder_)?no_repeat_ngram_size|num_beams|num_beam_groups|num_return_sequences|output_scores|repetition_penalty|diversity_penalty|return_dict_in_generate|temperature|top_k|top_p|typical_p|add_cross_attention|cross_attention_hidden_size|decoder_start_token_id|sep_token_id|forced_.*)$/;

/**
 * Reads a `config.json` of a tower, or of a whole model with a `vision_config` inside (CLIP, LLaVA, SigLIP). Throws an
 * `InputError` that lists everything that is missing, wrong or not supported; keys without a meaning here are named to
 * `onWarning`.
 */
export function parseTowerConfig(
  json: unknown,
  path: string,
  onWarning: (message: string) => void = () => {},
): TowerConfig {
  const attempt = `Cannot use ${path} as the config of a tower`;
  if (!isJsonObject(json)) throw new InputError(attempt, "it is not a JSON object");
  const inner = json["vision_config"];
  if (inner !== undefined && !isJsonObject(inner)) throw new InputError(attempt, "vision_config is not a JSON object");
  const own = inner ?? json;
  const modelType = own["model_type"] ?? (inner ? containerType(json["model_type"]) : undefined);
  const family = findTowerFamily(modelType);
  if (!family) {
    const found = modelType === undefined ? "missing" : shown(modelType);
    throw new InputError(
      attempt,
      `model_type is ${found}, supported are ${supportedTowers().join(", ")}, or a model with one of them as vision_config`,
    );
  }
  const problems: string[] = [];
  const fields = jsonFields(own, problems, inner ? "vision_config." : "");
  const config = readConfig(fields, family.name, family.defaults);
  // A whole CLIP's projection is as wide as its own config says.
  const outer = jsonFields(json, problems);
  const projectionSize =
    family.names.projection === undefined
      ? 0
      : (inner && json["projection_dim"] !== undefined ? outer : fields).integer("projection_dim", {
          min: 1,
          fallback: 512,
        });
  checkKeys(fields, own, onWarning);
  if (problems.length > 0) throw new InputError(attempt, problems);
  return { ...config, projectionSize };
}

/** The model type of the tower in a model that does not say it. */
function containerType(modelType: unknown): unknown {
  if (typeof modelType !== "string") return undefined;
  if (modelType === "clip" || modelType.startsWith("llava")) return "clip_vision_model";
  return modelType === "siglip" || modelType === "paligemma" ? "siglip_vision_model" : modelType;
}

function readConfig(
  fields: JsonFields,
  family: string,
  defaults: { readonly patchSize: number; readonly normEps: number; readonly activation: string },
): Omit<TowerConfig, "projectionSize"> {
  const hiddenSize = fields.integer("hidden_size", { min: 1, fallback: 768 });
  const heads = fields.integer("num_attention_heads", { min: 1, fallback: 12 });
  if (hiddenSize % heads > 0)
    fields.problem(`hidden_size is ${hiddenSize}, needed is a multiple of the ${heads} heads`);
  const imageSize = side(fields, "image_size", 224);
  const patchSize = side(fields, "patch_size", defaults.patchSize);
  if (imageSize % patchSize > 0) {
    fields.problem(`image_size is ${imageSize}, needed is a multiple of the patch_size ${patchSize}`);
  }
  const channels = fields.raw("num_channels") ?? 3;
  if (channels !== 3) fields.problem(`num_channels is ${shown(channels)}, supported is 3`);
  if (fields.raw("quantization_config") !== undefined) {
    fields.problem("quantization_config is set, supported are weights in F32, F16 or BF16: use the original model");
  }
  return {
    family,
    hiddenSize,
    heads,
    imageSize,
    patchSize,
    intermediateSize: fields.integer("intermediate_size", { min: 1, fallback: 3072 }),
    layers: fields.integer("num_hidden_layers", { min: 1, max: MAX_LAYERS, fallback: 12 }),
    normEps: fields.number("layer_norm_eps", { above: 0, fallback: defaults.normEps }),
    activation: activationOf(fields, defaults.activation),
    qkvBias: family === "vit" ? fields.boolean("qkv_bias", true) : true,
    finalNorm: family === "vit" ? fields.boolean("final_layernorm", true) : true,
    poolingHead: family === "siglip" ? fields.boolean("vision_use_head", true) : false,
  };
}

/** A number, or a list of two equal ones. */
function side(fields: JsonFields, name: string, fallback: number): number {
  const value = fields.raw(name);
  const [height, width, ...more]: unknown[] = Array.isArray(value) ? value : [];
  if (typeof height === "number" && Number.isInteger(height) && height > 0 && height === width && more.length === 0) {
    return height;
  }
  return fields.integer(name, { min: 1, max: 16_384, fallback });
}

function activationOf(fields: JsonFields, fallback: string): TowerConfig["activation"] {
  const value = fields.raw("hidden_act") ?? fallback;
  const known = typeof value === "string" && Object.hasOwn(activations, value) ? activations[value] : undefined;
  if (!known) fields.problem(`hidden_act is ${shown(value)}, supported are ${Object.keys(activations).join(", ")}`);
  return known ?? "gelu";
}

function checkKeys(fields: JsonFields, own: Readonly<Record<string, unknown>>, onWarning: (message: string) => void) {
  const unknown = Object.keys(own).filter((key) => {
    return !fields.asked.has(key) && own[key] !== null && !harmless.test(key) && !ofGeneration.test(key);
  });
  if (unknown.length === 0) return;
  const names = unknown.slice(0, 20).map((key) => key.slice(0, 100));
  onWarning(`${unknown.length} keys of the tower's config have no meaning here and are not used: ${names.join(", ")}`);
}
