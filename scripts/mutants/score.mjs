/** Counts what became of mutants, folder by folder. Judged equivalents, each with its reason, are no gap and do not count. */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";

/** @param equivalentsPath a JSON list of `{ file, was, is, reason }`: `is` stands for any change of the lines if it is absent */
export function createScore(equivalentsPath) {
  const equivalents = JSON.parse(readFileSync(equivalentsPath, "utf8"));
  const results = [];
  return {
    /** Why a mutant cannot change what anyone sees; undefined if that was not judged. */
    equivalenceOf({ file, was, is }) {
      return equivalents.find((known) => known.file === file && known.was === was && (known.is ?? is) === is)?.reason;
    },
    add(result) {
      results.push(result);
      return result;
    },
    table() {
      const rows = [...new Set(results.map(({ file }) => dirname(file)))].toSorted().map((folder) => [folder, folder]);
      const count = (start, outcomes) =>
        results.filter(({ file, outcome }) => file.startsWith(start) && outcomes.includes(outcome)).length;
      const lines = [...rows, ["all", ""]].map(([name, start]) => {
        const [caught, survived] = [count(start, ["killed", "timeout"]), count(start, ["survived"])];
        const others = [count(start, ["equivalent"]), count(start, ["invalid"])];
        const share = caught + survived > 0 ? `${Math.round((100 * caught) / (caught + survived))} %` : "";
        return `| ${[name, caught + survived, caught, survived, share, ...others].join(" | ")} |`;
      });
      const head = ["folder", "mutants", "caught", "survived", "score", "equivalent", "do not type-check"];
      return [`| ${head.join(" | ")} |`, `|${"---|".repeat(head.length)}`, ...lines].join("\n");
    },
  };
}
