/** How the prompts of an adapter are written: as those that it was trained on, unless a flag says otherwise. */
import type { BosRule, PromptFormat } from "@zerogate/core";
import { isSameTemplate } from "@zerogate/core/formats";
import { loadTemplate, type Tokenizer } from "@zerogate/data";

/** Undefined if the flag is not given. */
export interface PromptFlags {
  /** Name of a template, or its file. */
  readonly template: string | undefined;
  readonly bos: BosRule | undefined;
}

/** The template of adapters that do not name theirs. */
const DEFAULT_TEMPLATE = "alpaca";

/**
 * An adapter that does not say it, such as one of 0.1.0, gets the BOS that is named, as it did in training; texts without an
 * adapter get what tokenizer.json puts in front. Warns if that matters, and if a flag takes another format than the adapter's.
 */
export async function promptFormatOf(
  adapter: { readonly folder: string; readonly promptFormat: PromptFormat | undefined } | undefined,
  flags: PromptFlags,
  tokenizer: Tokenizer,
  onWarning: (message: string) => void,
): Promise<PromptFormat> {
  const chosen = flags.template === undefined ? undefined : await loadTemplate(flags.template, tokenizer);
  const template = chosen ?? adapter?.promptFormat?.template ?? (await loadTemplate(DEFAULT_TEMPLATE));
  if (!adapter) return { template, bos: flags.bos ?? "tokenizer" };
  const { folder, promptFormat: stored } = adapter;
  const bos = flags.bos ?? stored?.bos ?? "named";
  if (stored && !isSameTemplate(stored.template, template)) {
    onWarning(
      `${folder} was trained with the template "${stored.template.name}", and is used with "${template.name}": leave out --template to use its own`,
    );
  }
  const isOther = differs(tokenizer, stored?.bos ?? "named", bos);
  if (stored && isOther) {
    onWarning(
      `${folder} was trained with bos "${stored.bos}", and is used with "${bos}": leave out --bos to use its own`,
    );
  }
  if (!stored && flags.bos === undefined && differs(tokenizer, "named", "tokenizer")) {
    const front = tokenizer.decode(tokenizer.frontIds("named"), { keepSpecialTokens: true });
    onWarning(
      `${folder} does not say what goes in front of its prompts: ${front} is put there, as before 0.2.0; --bos tokenizer does what tokenizer.json says`,
    );
  }
  return { template, bos };
}

/** Whether the two rules put other tokens in front. */
function differs(tokenizer: Tokenizer, a: BosRule, b: BosRule): boolean {
  return tokenizer.frontIds(a).join() !== tokenizer.frontIds(b).join();
}
