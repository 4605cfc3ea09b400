// One rank of the tests' jobs: `node ranks.mjs SCENARIO`. Prints one line of JSON per rank; exits as the run would.
import { setTimeout } from "node:timers/promises";
import { gather, openCommunicator } from "@zerogate/mpi";

const [scenario] = process.argv.slice(2);
const LIMIT = 1_000;
const meeting = (phase, limitMs = LIMIT) => ({ phase, limitMs });
const shared = (length) => new BigInt64Array(new SharedArrayBuffer(8 * length));

const scenarios = {
  /** Sums that wrap, sums of every length, a broadcast, a gather: all checked here by their definition. */
  async sums({ rank, size }, communicator) {
    for (const length of [1, 2, 1000, 1_230_000]) {
      const values = shared(length);
      for (let i = 0; i < length; i++) values[i] = BigInt(i) * 3n - BigInt(rank) * 2n ** 62n;
      await communicator.sum(values, meeting(`sum of ${length}`));
      const ranks = BigInt(size);
      for (let i = 0; i < length; i++) {
        const exact = ranks * BigInt(i) * 3n - ((ranks * (ranks - 1n)) / 2n) * 2n ** 62n;
        if (values[i] !== BigInt.asIntN(64, exact)) throw new Error(`sum of ${length}: number ${i} is ${values[i]}`);
      }
    }
    const bytes = new Uint8Array(new SharedArrayBuffer(100_003)).fill(rank + 1);
    await communicator.broadcast(bytes, meeting("broadcast"));
    if (!bytes.every((byte) => byte === 1)) throw new Error("a byte of the broadcast is not rank 0's");
    const rows = await gather(communicator, [BigInt(rank), -7n], meeting("gather"));
    return rows.map((row) => row.map(Number));
  },
  async late({ rank }, communicator) {
    await communicator.sum(shared(1), meeting("step 1"));
    if (rank === 1) await setTimeout(20_000);
    await communicator.sum(shared(1), meeting("step 2"));
  },
  async apart({ rank }, communicator) {
    await communicator.sum(shared(rank === 2 ? 9 : 8), meeting("step 1"));
  },
  async stuck() {},
  async dies({ rank }, communicator) {
    await communicator.sum(shared(1), meeting("step 1"));
    if (rank === 1) process.kill(process.pid, "SIGKILL");
    await communicator.sum(shared(1), meeting("step 2", 60_000));
  },
};

let communicator;
try {
  const isStuck = scenario === "stuck"; // rank 0 waits inside MPI_Init for a rank that does not come there
  if (isStuck && process.env.OMPI_COMM_WORLD_RANK === "1") await setTimeout(20_000);
  communicator = await openCommunicator({ kind: "auto", startLimitMs: isStuck ? 1_000 : 30_000 });
  const { rank, size, about } = communicator;
  const result = await scenarios[scenario](communicator, communicator);
  console.log(JSON.stringify({ rank, size, about, result }));
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
}
await communicator?.close();
