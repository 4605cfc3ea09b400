/** `zerogate cluster check`: started by a launcher as a run would be, says whether the hosts can train together, and how fast they add. */
import { availableParallelism } from "node:os";
import { InputError } from "@zerogate/core";
import { launchOf } from "@zerogate/mpi";
import { MAX_SECONDS, MAX_WORKERS, ownCommand, versions } from "@zerogate/run-config";
import { type Cores, coresHere, pinnedRanks, type Team, withTeam } from "@zerogate/trainer/command";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { numberFlag } from "./flags.ts";

export interface ClusterCheckFlags {
  readonly workers?: string;
  readonly hostTimeout?: string;
  readonly json?: boolean;
}

interface Host extends Cores {
  readonly workers: number;
  readonly zerogate: string;
  readonly node: string;
}

interface SumTime {
  readonly bytes: number;
  readonly minMs: number;
  readonly medianMs: number;
}

/** Numbers of the paper's adapter on a 7 B model: 30 layers of 10 × 4096 prompts, with their gates. */
const PARAMETERS = 1_229_760;
const WARM_SUMS = 3;
const TIMED_SUMS = 15;

export async function clusterCheckCommand(flags: ClusterCheckFlags, context: CommandContext): Promise<ExitCode> {
  const problems: string[] = [];
  const workers = numberFlag(
    "--workers",
    flags.workers,
    availableParallelism(),
    { min: 1, max: MAX_WORKERS, whole: true },
    problems,
  );
  const hostTimeout = numberFlag("--host-timeout", flags.hostTimeout, 60, { min: 1, max: MAX_SECONDS }, problems);
  if (problems.length > 0) throw new InputError("Cannot check the cluster", problems);
  // Even if nobody launched it: whether the library is there can be said all the same.
  const isOk = await withTeam({ hosts: "mpi", hostTimeout }, context.stderr, async (team) => {
    const hosts = await team.collect("the check", async (): Promise<Host> => {
      const { zerogate, node } = versions;
      return { ...coresHere(), workers, zerogate, node };
    });
    const sum = await timeSums(team);
    const wrong = findProblems(hosts, launchOf(context.env) !== undefined);
    if (team.isFirst) tell(context, flags.json ?? false, { about: team.about, hosts, sum, problems: wrong });
    return wrong.length === 0;
  });
  return isOk ? 0 : 1;
}

/** Sums as large as a step's of the paper's adapter. Every rank starts a sum when it has left the one before. */
async function timeSums(team: Team): Promise<SumTime> {
  const values = new BigInt64Array(new SharedArrayBuffer(8 * PARAMETERS));
  const times: number[] = [];
  for (let i = -WARM_SUMS; i < TIMED_SUMS; i++) {
    values.fill(BigInt(team.rank + 1));
    await team.agree("a sum", async () => {});
    const begin = performance.now();
    await team.sum("a sum", values);
    if (i >= 0) times.push(performance.now() - begin);
    const expected = BigInt((team.size * (team.size + 1)) / 2);
    if (values.some((value) => value !== expected)) {
      throw new Error(`Cannot use this MPI: a sum over ${team.size} ranks is not ${expected} everywhere`);
    }
  }
  times.sort((a, b) => a - b);
  return { bytes: values.byteLength, minMs: times[0] ?? 0, medianMs: times[TIMED_SUMS >> 1] ?? 0 };
}

/** In words, each with what to do. */
function findProblems(hosts: readonly Host[], isLaunched: boolean): string[] {
  const problems = isLaunched
    ? []
    : [`nobody launched this process as one of several: mpirun … ${ownCommand`cluster check`}`];
  problems.push(...pinnedRanks(hosts));
  const ranksOf = new Map<string, number>();
  for (const [rank, { host, zerogate, node }] of hosts.entries()) {
    ranksOf.set(host, (ranksOf.get(host) ?? 0) + 1);
    for (const [name, its, first] of [
      ["zerogate", zerogate, hosts[0]?.zerogate],
      ["Node", node, hosts[0]?.node],
    ]) {
      if (its !== first) problems.push(`rank ${rank} on ${host} has ${name} ${its}, rank 0 ${first}: install the same`);
    }
  }
  for (const [host, ranks] of ranksOf) {
    if (ranks > 1) {
      problems.push(`${ranks} ranks share ${host}: one a host is meant, with workers inside (--map-by ppr:1:node)`);
    }
  }
  return problems;
}

interface Findings {
  readonly about: string;
  readonly hosts: readonly Host[];
  readonly sum: SumTime;
  readonly problems: readonly string[];
}

function tell(context: CommandContext, json: boolean, findings: Findings): void {
  const { about, hosts, sum, problems } = findings;
  const megabytesPerSecond = sum.bytes / 1000 / sum.medianMs;
  if (json) {
    printJson(context, { ok: problems.length === 0, ...findings, sum: { ...sum, megabytesPerSecond } });
    return;
  }
  const { minMs, medianMs, bytes } = sum;
  const lines = [
    about,
    ...hosts.map(({ host, allowed, cores, workers, zerogate, node }, rank) => {
      const machine = `${allowed} of ${cores} cores for ${workers} workers`;
      return `rank ${rank}  ${host}  ${machine}  zerogate ${zerogate}  Node ${node}`;
    }),
    `sum of ${(bytes / 1e6).toFixed(2)} MB: ${medianMs.toFixed(1)} ms (best ${minMs.toFixed(1)}), ${megabytesPerSecond.toFixed(0)} MB/s`,
    ...problems.map((problem) => `no  ${problem}`),
    ...(problems.length === 0 ? ["ok  these hosts can train together"] : []),
  ];
  context.stdout.write(`${lines.join("\n")}\n`);
}
