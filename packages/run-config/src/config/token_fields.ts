/** The keys of a run config that say which tokens of records are used and where they are kept, a part of `fields`. */
import * as z from "zod";
import { added, count, type Field, oneOf, onOff, optional, path, share } from "./kinds.ts";
import { MAX_MEGABYTES, MAX_TOKENS } from "./limits.ts";
import type { TrainConfig } from "./train_config.ts";

type TokenKey = "labels" | "maxLength" | "maxDropped" | "skipBadRecords" | "cacheDir" | "tokenMemory";

/** In the order in which `--help` and docs/config.md list them. */
export const tokenFields: { readonly [K in TokenKey]-?: Field<NonNullable<TrainConfig[K]>> } = {
  labels: optional("Data", oneOf(["response", "all"]), "tokens that the loss counts", "response"),
  maxLength: optional(
    "Common",
    count(2, MAX_TOKENS),
    "tokens per record, longer ones are cut (default: 512, or the model's context)",
  ),
  maxDropped: added(
    "0.2.0",
    1,
    optional(
      "Data",
      { ...share, type: z.number().min(0).max(1), expects: "a number from 0 to 1" },
      "share of records that may be left out because nothing of their answer fits, 1 = all",
      0.05,
    ),
  ),
  skipBadRecords: optional("Data", onOff, "leave out records that cannot be read", false),
  cacheDir: optional(
    "Machine",
    path("a folder", "<dir>"),
    "folder of the token cache (default: the user's cache folder)",
  ),
  tokenMemory: added(
    "0.2.0",
    256,
    optional("Machine", count(0, MAX_MEGABYTES), "MB of tokens in memory, larger sets stay in the token cache", 256),
  ),
};
