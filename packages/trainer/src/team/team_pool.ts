/** The devices of all hosts as one pool: shares the cells of steps and adds up what all have computed. */
import { shareCells } from "@zerogate/mpi";
import { addLosses, type DevicePool, onlySum } from "@zerogate/workers";
import { createRankSpeeds } from "./rank_speeds.ts";
import { createTeamSteps, type TeamPoolOptions } from "./team_steps.ts";

/**
 * A pool whose steps and evaluations span all ranks; all of them call it alike. What any rank was asked for is
 * `asked` of all, after the same steps. With one rank both are what they were.
 */
export function openTeamPool(options: TeamPoolOptions): Pick<TeamPoolOptions, "pool" | "asked"> {
  const { team, pool, workers, work, asked, tokens } = options;
  const { rank, size } = team;
  if (size === 1) return { pool, asked };
  const stop = new AbortController();
  const saves = { count: 0 };
  const speeds = createRankSpeeds(team, workers);
  const runSteps = createTeamSteps({
    ...options,
    speeds,
    onAsked(any) {
      if (any.stops) stop.abort();
      saves.count = any.saves;
    },
  });

  const teamPool: DevicePool = {
    ...pool,
    runSteps,
    runStep: async (step) => onlySum(await runSteps([step])),

    async evaluateCells(evaluation, numbers) {
      const set = evaluation.set === "validation" ? (tokens.validation ?? tokens.train) : tokens.train;
      const works = numbers.map((cell) => work(set, evaluation.cells[cell] ?? []));
      const mine = (shareCells(works, speeds.now())[rank] ?? []).flatMap((at) => numbers[at] ?? []);
      const parts = await team.collect("validation", async () => {
        const losses = await pool.evaluateCells(evaluation, mine);
        return losses.map((loss, i) => [mine[i] ?? 0, loss] as const);
      });
      const byCell = new Map(parts.flat());
      return numbers.map((cell) => byCell.get(cell) ?? missing(`cell ${cell} of a validation`));
    },
    evaluate: async (evaluation) => addLosses(await teamPool.evaluateCells(evaluation, [...evaluation.cells.keys()])),

    async scoreCells(requests) {
      const mine = requests.filter((_, cell) => cell % size === rank);
      const parts = await team.collect("scores", async () => [...(await pool.scoreCells(mine))]);
      return requests.map(
        (_, cell) => parts[cell % size]?.[Math.floor(cell / size)] ?? missing(`the scores of cell ${cell}`),
      );
    },

    async generateAll(generation) {
      const mine = [...generation.prompts.keys()].filter((prompt) => prompt % size === rank);
      const prompts = mine.map((prompt) => generation.prompts[prompt] ?? []);
      const images = mine.map((prompt) => generation.images?.[prompt]);
      const parts = await team.collect("answers", () => pool.generateAll({ ...generation, prompts, images }));
      return generation.prompts.map((_, prompt) => {
        return parts[prompt % size]?.[Math.floor(prompt / size)] ?? missing(`the answer to prompt ${prompt}`);
      });
    },
  };
  return { pool: teamPool, asked: { signal: stop.signal, saveRequests: saves } };
}

function missing(what: string): never {
  throw new Error(`Cannot go on: no rank has computed ${what}`);
}
