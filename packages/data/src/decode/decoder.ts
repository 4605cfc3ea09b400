/** The `decoder` of a tokenizer.json: text from tokens as they come, with the texts of the Rust library `tokenizers`. */
import type { Decoding } from "@zerogate/core";
import type { Node } from "../pipeline/pre_tokenize.ts";
import { openJoin, type Step, steps } from "./steps.ts";

/** Tokens on their way to text. */
export interface TokenDecoding {
  /** Takes a token, and returns the text that no further token can change. */
  push(token: string): string;
  /** Returns the rest. */
  end(): string;
}

/** Returns the text of tokens. */
export function textOf({ push, end }: Decoding, ids: readonly number[]): string {
  return ids.map((id) => push(id)).join("") + end();
}

/** Reads a decoder, and returns what opens a decoding with it. @throws Error for a type that is not known. */
export function createDecoder(decoder: Node | null): () => TokenDecoding {
  const nodes = decoderSteps(decoder);
  const opened = nodes.map((node, i) => {
    const open = steps.get(node["type"]);
    if (!open) throw new Error(`Unknown Decoder type: ${String(node["type"])}`);
    const isOpen = mayBeParted(nodes, i);
    return () => open(node, isOpen);
  });
  return () => {
    const chain = decoder === null ? [openJoin()] : opened.map((open) => open());
    return {
      push: (token) => through(chain, [token], 0).join(""),
      end: () => chain.flatMap((step, i) => through(chain, step.end(), i + 1)).join(""),
    };
  };
}

/** Returns the steps of a decoder, those of sequences one by one. */
export function decoderSteps(decoder: Node | null): Node[] {
  return decoder === null ? [] : flat(decoder);
}

function flat(node: Node): Node[] {
  return node["type"] === "Sequence" ? (node["decoders"] as readonly Node[]).flatMap(flat) : [node];
}

function through(chain: readonly Step[], tokens: readonly string[], from: number): readonly string[] {
  return chain.slice(from).reduce((some, step) => some.flatMap((token) => step.push(token)), tokens);
}

const fuses = (node: Node) => node["type"] === "Fuse" || node["type"] === "ByteLevel";
const stripsStart = (node: Node) => node["type"] === "Strip" && (node["stop"] ?? 0) === 0;

/** Whether no step behind this one asks where its tokens end; of a Strip, whether it has the parts of one fused text. */
function mayBeParted(nodes: readonly Node[], i: number): boolean {
  let isFused = nodes.slice(0, i).some(fuses);
  for (const [ahead, node] of nodes.slice(i).entries()) {
    if (node["type"] === "Strip" ? !(isFused && stripsStart(node)) : ahead > 0 && node["type"] !== "Fuse") return false;
    isFused ||= fuses(node);
  }
  return true;
}
