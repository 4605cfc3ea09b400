/** Keys and values: which texts hold them, which must wait, and what is kept of those that have ended. */
import type { DecoderModel } from "../model/decoder.ts";
import type { PromptCache } from "../model/prompt_cache.ts";
import { openKeptSequences } from "./kept_sequences.ts";
import { closeSequence, openSequence, type Sequence } from "./sequence.ts";
import { capacityOf, leaseText, type OpenText, type Text } from "./text.ts";

/** How many texts may be worked on, and what they may hold. */
export interface Room {
  /** Texts that are worked on at the same time. */
  readonly maxRunning: number;
  /** Tokens whose keys and values are held, for texts that are worked on and of texts that have ended. */
  readonly kvTokens: number;
  /** Texts that have ended whose keys and values are kept for one that begins alike. */
  readonly keptTexts: number;
}

/** Texts that hold keys and values, or did. */
export interface Places {
  /** Those that are worked on, the oldest first. */
  readonly running: readonly OpenText[];
  /** Those that had to give theirs up, the oldest first: they go on before any other text begins. */
  readonly preempted: readonly Text[];
  /** Whether a text may begin or go on now; what is kept makes way for it. */
  hasRoom(text: Text): boolean;
  /** Begins a text or goes on with it. */
  begin(text: Text): Promise<void>;
  /** Takes keys and values from the texts that began last until those of the others fit. */
  preempt(): void;
  /** Frees what a text holds, or keeps it for one that begins alike. */
  leave(text: Text, isKept: boolean): void;
  /** Frees what is kept. */
  close(): void;
}

/** Tokens of an answer that must have room when its text begins. */
const FIRST_TOKENS = 64;

/** Opens places for texts over one model, whose adapters' prompts come from `cache`. */
export function openPlaces(model: DecoderModel, cache: PromptCache, room: Room): Places {
  const kept = openKeptSequences(model, room.keptTexts);
  let running: OpenText[] = [];
  let preempted: Text[] = [];

  /** Drops what is kept until these tokens fit too, or nothing is left to drop. */
  function makeRoom(tokens: number): boolean {
    const held = running.reduce((sum, { ids }) => sum + ids.length, 0);
    const isRoom = () => held + kept.tokens + tokens <= room.kvTokens;
    while (!isRoom() && kept.drop());
    return isRoom();
  }
  function openCaches({ ids, request, leases, promptScores }: Text): Sequence {
    const needed = capacityOf(model, request);
    if (room.keptTexts === 0) return openSequence(model, needed, leases?.adapted);
    const prompt = promptScores ? [] : ids.slice(0, request.promptIds.length); // scores need all rows
    const found = kept.take(prompt, leases?.adapted, needed);
    // Room for a further turn.
    return found ?? openSequence(model, Math.min(model.config.contextLength, 2 * needed), leases?.adapted);
  }

  return {
    get running() {
      return running;
    },
    get preempted() {
      return preempted;
    },
    hasRoom(text) {
      if (running.length >= room.maxRunning) return false;
      const wanted = Math.min(text.ids.length + FIRST_TOKENS, capacityOf(model, text.request));
      return makeRoom(wanted) || running.length === 0;
    },
    async begin(text) {
      preempted = preempted.filter((other) => other !== text);
      if (text.promptScores) text.promptScores = [];
      text.leases ??= await leaseText(model, cache, text.request);
      running.push(Object.assign(text, { sequence: openCaches(text) }));
    },
    preempt() {
      while (running.length > 1 && !makeRoom(0)) {
        const youngest = running.pop();
        if (!youngest) return;
        closeSequence(model, youngest.sequence);
        preempted.unshift(Object.assign<Text, { sequence: undefined }>(youngest, { sequence: undefined }));
      }
    },
    leave(text, isKept) {
      running = running.filter((other) => other !== text);
      preempted = preempted.filter((other) => other !== text);
      if (isKept && room.keptTexts > 0) {
        kept.put(text);
        return;
      }
      if (text.sequence) closeSequence(model, text.sequence);
      text.leases?.release();
    },
    close() {
      while (kept.drop());
    },
  };
}
