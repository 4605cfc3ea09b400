/**
 * Sequences of texts that have ended, kept for one that begins alike: the next turn of a chat, another question under the same template.
 * Keys and values depend on tokens, positions and the adapter's numbers, so a sequence is taken over only under the very prompts
 * that it was made with (those of a lease, which stand for numbers and never for a name) and the same scale. Rows of an answer
 * are summed otherwise than those of a prompt, so they are computed again.
 */
import type { DecoderModel } from "../model/decoder.ts";
import type { SequencePrompts } from "../model/prompts.ts";
import { longestRotation } from "../model/rope_angles.ts";
import { closeSequence, type Sequence } from "./sequence.ts";
import type { Text, TextLeases } from "./text.ts";

/** What is kept of texts that have ended. */
export interface KeptSequences {
  /** Tokens whose keys and values are kept. */
  readonly tokens: number;
  /** Keeps what a text has of its prompt, and its leases; or closes them. */
  put(text: Text): void;
  /** Takes the sequence that begins most like this text, without the rows that differ; undefined if none has enough of them. */
  take(ids: readonly number[], adapted: SequencePrompts | undefined, capacity: number): Sequence | undefined;
  /** Closes the one that was kept longest; false if there is none. */
  drop(): boolean;
}

interface Kept {
  readonly sequence: Sequence;
  readonly leases: TextLeases | undefined;
}

/** Fewer tokens in common are not worth a sequence that a longer text may want. */
const LEAST_COMMON = 16;

/** Opens a store of at most `most` sequences. */
export function openKeptSequences(model: DecoderModel, most: number): KeptSequences {
  let kept: Kept[] = []; // the newest last

  function close({ sequence, leases }: Kept): void {
    closeSequence(model, sequence);
    leases?.release();
  }
  function drop(): boolean {
    const oldest = kept.shift();
    if (oldest) close(oldest);
    return oldest !== undefined;
  }

  return {
    get tokens() {
      return kept.reduce((sum, { sequence }) => sum + sequence.ids.length, 0);
    },
    put({ sequence, leases, request }) {
      if (!sequence) {
        leases?.release();
        return;
      }
      sequence.ids.length = Math.min(sequence.ids.length, request.promptIds.length);
      // A sequence with an image, one that would be rotated otherwise, and states that cannot go back fit no other text.
      const isRewindable = !model.layers.some(({ delta }) => delta);
      const isLasting = longestRotation(model.config) === Number.POSITIVE_INFINITY;
      const isUseful = request.image === undefined && isLasting && isRewindable;
      if (!isUseful || sequence.ids.length < LEAST_COMMON) {
        close({ sequence, leases });
        return;
      }
      kept.push({ sequence, leases });
      while (kept.length > most) drop();
    },
    take(ids, adapted, capacity) {
      const fits = kept.filter(({ sequence: { caches, adapted: own } }) => {
        const isAlike = own?.prompts === adapted?.prompts && own?.scale === adapted?.scale && !adapted?.image;
        return isAlike && caches.every((cache) => cache.capacity >= capacity);
      });
      // The last token of a prompt is computed in any case: its logits are wanted.
      const common = fits.map(({ sequence }) => commonLength(sequence.ids, ids.slice(0, -1)));
      const longest = Math.max(0, ...common);
      const best = fits[common.indexOf(longest)];
      if (!best || longest < LEAST_COMMON) return undefined;
      kept = kept.filter((other) => other !== best);
      best.leases?.release(); // the text has its own
      return { ...best.sequence, adapted, ids: best.sequence.ids.slice(0, longest) };
    },
    drop,
  };
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a[length] === b[length]) length++;
  return length;
}
