/**
 * What data may be and what is done with it: forms of chats, files, names of columns, tasks of evaluation. A test says which rows it
 * covers by `[D-chat-qwen3]` or `[D-file-parquet, D-file-gz]` in its title, in quotes on one line.
 *
 * To add a row: an entry in the list of its subject (`D-chat-NAME`, `D-file-NAME`, `D-columns-NAME`, `D-task-NAME`, …; small letters,
 * digits, `_` and `-`), and a test with its id, or `why` none can cover it. `docs/data_forms.md` is written from a run of the whole suite.
 */
import type { Row } from "./table.ts";

const chatRows: readonly Row[] = [
  { id: "D-chat-llama3", what: "the template of Llama 3, 3.1 and 3.2: transformers' text, every turn with its end" },
  { id: "D-chat-qwen2_5", what: "the same of Qwen 2.5" },
  { id: "D-chat-qwen3", what: "the same of Qwen 3, which writes the last turn otherwise: its last turns" },
  {
    id: "D-chat-mistral",
    what: "the same of Mistral and Mixtral, with or without system prompts as the model has them",
  },
  { id: "D-chat-gemma", what: "the same of Gemma 2 and 3: a role of another name" },
  { id: "D-chat-phi3", what: "the same of Phi-3 and 3.5, whose whole text has another end" },
  { id: "D-chat-phi4", what: "the same of Phi-4" },
  { id: "D-chat-smollm2", what: "the same of SmolLM2, with a default system prompt" },
  { id: "D-chat-zephyr", what: "the same of Zephyr (TinyLlama's), and `--template zephyr`" },
  { id: "D-chat-chatml", what: "the same of ChatML (InternLM's, Hermes'), and `--template chatml`" },
  { id: "D-chat-deepseek", what: "the same of DeepSeek V3 and R1" },
  { id: "D-chat-granite", what: "the same of Granite 3.3, with the date and tools" },
  { id: "D-chat-mask", what: "under `{% generation %}` the parts that transformers' mask has" },
  { id: "D-chat-inspect", what: "`inspect DATA --sample N --model M` shows what is trained and what is cut off" },
  { id: "D-chat-shared", what: "chats with one system prompt compute it once" },
  { id: "D-chat-stops", what: "a model trained on chats ends its turns by itself" },
  { id: "D-chat-hostile", what: "hostile templates: typed errors within limits of time and memory" },
  { id: "D-chat-refused", what: "a chat that the template refuses is a bad record, by file and line" },
  { id: "D-chat-olmo2", what: "the same of OLMo 2, whose last turn ends otherwise" },
];

const taskRows: readonly Row[] = [
  { id: "D-task-forms", what: "records of tasks are recognised, as columns of the Hub and as in their authors' files" },
  { id: "D-task-prompts", what: "prompts are those of lm-evaluation-harness, letter by letter" },
  { id: "D-task-shots", what: "examples are those that the harness draws, and are missing aloud" },
  { id: "D-task-scores", what: "log-likelihoods of choices within 1e-4 of the harness's, the same ones right" },
  { id: "D-task-written", what: "GSM8K: numbers found and compared as the harness does, answers that are written" },
  { id: "D-task-models", what: "base and adapters side by side, each as it is alone" },
  { id: "D-task-workers", what: "the same bits from 1, 2 and 5 workers, threads or processes" },
  { id: "D-task-intervals", what: "Wilson's intervals, paired bootstrap, McNemar's test" },
  { id: "D-task-report", what: "tables, answers question by question, a page of disagreements" },
  { id: "D-task-resume", what: "an evaluation that was broken off goes on" },
  { id: "D-task-files", what: "questions of tasks in CSV, TSV, parquet, gzip and Zstandard as in JSON" },
  { id: "D-task-errors", what: "what cannot be asked is refused with what to type, or left out and counted" },
];

const fileRows: readonly Row[] = [
  {
    id: "D-file-json",
    what: "JSON: a list, records one after another, a list inside an object, one of several by `FILE#NAME`",
  },
  { id: "D-file-jsonl", what: "JSONL" },
  { id: "D-file-csv", what: "CSV and TSV: quotes, line breaks, the line of each row and fault" },
  {
    id: "D-file-parquet",
    what: "parquet: every common compression and encoding, lists and structs, only the columns that are needed",
  },
  { id: "D-file-gzip", what: "any of these in gzip" },
  { id: "D-file-zstd", what: "any of these in Zstandard" },
  { id: "D-file-same-hash", what: "the same records in every form: one data hash, one adapter" },
  { id: "D-file-bombs", what: "files made to fill memory or time: refused within bounds, with an error that says it" },
  { id: "D-columns-auto", what: "well-known names of columns, and a proposal where several may be meant" },
  {
    id: "D-columns-fields",
    what: "`--fields`: columns and places inside them, by hand, also of `eval` and `generate`",
  },
  { id: "D-columns-system", what: "`--fields system=COLUMN`: a system prompt, of chats" },
];

const watchRows: readonly Row[] = [
  {
    id: "D-written-scores",
    what: "exact match, ROUGE-L and chrF of written answers: the values of Python's libraries",
  },
  { id: "D-written-eval", what: "`eval --generate`: base and adapter write answers, scored with intervals" },
  {
    id: "D-watch-samples",
    what: "`sampleEvery`: the same held-out prompts answered every N steps, no bit of training changed",
  },
  { id: "D-watch-resume", what: "`samples.jsonl` has each answer once, also after a run was broken off" },
];

const largeRows: readonly Row[] = [
  { id: "D-large-bits", what: "tokens in their file: split, plan, cells and samples as from memory" },
  {
    id: "D-large-stream",
    what: "records are encoded while their files are read, in memory that does not grow with them",
  },
  { id: "D-large-many", what: "millions of samples are split, planned and read from their file in bounded memory" },
  { id: "D-large-memory", what: "samples of a file are read some at a time" },
  {
    id: "D-large-run",
    what: "a run whose tokens stay in the token cache: the adapter of memory, by threads and by processes",
  },
  { id: "D-large-removed", what: "a token cache that is removed under a run: named, and resumed to the same bits" },
  {
    id: "D-check-leak",
    what: "samples that are validated and trained on, as they are or with another answer, are found",
  },
  { id: "D-check-duplicates", what: "`data check` counts records like earlier ones, within a file and across files" },
  { id: "D-check-splits", what: "`data check` finds validation records that are trained on, also written otherwise" },
  { id: "D-check-texts", what: "no answer, special tokens, control characters, wrong encodings, scripts" },
  { id: "D-check-fields", what: "what each field holds, bad records, fields that nobody reads" },
  { id: "D-check-lengths", what: "lengths, cuts and trained tokens are those of a run" },
  { id: "D-check-bad", what: "the exit code says whether a run would take the data" },
  { id: "D-check-page", what: "the page of a check shows all of it and runs nothing" },
  { id: "D-check-train", what: "`train` warns of a leak with how many and where" },
];

const mixtureRows: readonly Row[] = [
  {
    id: "D-mix-flags",
    what: "`--data FILE=WEIGHT,cap=N`, and parts with columns and templates of their own in a config",
  },
  { id: "D-mix-parts", what: "parts that are read alike are the tokens and the hash of their files read at once" },
  { id: "D-mix-shares", what: "an epoch is shared out by weights, with caps" },
  { id: "D-mix-epochs", what: "over epochs every sample of a part is seen as often as the others, by at most one" },
  { id: "D-mix-plan", what: "any step of a mixture is found by itself; weights and caps are part of the plan's hash" },
  { id: "D-mix-dry", what: "the dry run says how many samples of each file an epoch holds" },
  {
    id: "D-mix-run",
    what: "any number of workers, tokens on disk and a resume train one adapter; other weights are refused",
  },
  { id: "D-mix-refused", what: "weights and caps that make no sense are refused with what is possible" },
];

export const dataRows: readonly Row[] = [
  ...chatRows,
  ...fileRows,
  ...taskRows,
  ...watchRows,
  ...largeRows,
  ...mixtureRows,
];
