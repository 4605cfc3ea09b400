/**
 * Deals tasks to devices: whoever is free takes the next one. A device that dies is named and started again, and what it
 * was doing goes to whoever is free. Dealing always ends: with all tasks done, or because
 *
 * - the same task killed two workers, or failed on two (on the same one, if it is alone): the task's fault;
 * - no device is left: one that dies three times in one deal is not started again.
 */
import { DeadlyCellError, DeviceDiedError } from "@zerogate/core";
import type { StartContainer } from "./container.ts";
import { type Deal, taskAt } from "./deal.ts";
import { type Device, openDevice } from "./device.ts";
import type { DeviceSetup } from "./device_api.ts";
import type { DeviceEvent } from "./device_event.ts";
import type { Patience } from "./patience.ts";

/** One device over all its lives. */
interface Member {
  readonly index: number;
  state: "starting" | "ready" | "busy" | "lost";
  device: Device | undefined;
  /** The task it is at. */
  task: number | undefined;
  /** Since it last achieved something that its next death cannot undo. */
  deathsInARow: number;
}

/** A deal that is under way. */
interface Dealing {
  readonly deal: Deal;
  /** Places in `deal.tasks`, as in all that follows. */
  readonly queue: number[];
  readonly doneBy: Map<number, Member>;
  readonly deaths: Map<number, number>;
  readonly failedOn: Map<number, Member>;
  failure: { readonly error: unknown } | undefined;
  settle(): void;
}

const MAX_DEATHS_IN_A_ROW = 3;
const MAX_DEATHS_OF_A_TASK = 2;

export class DeviceGroup {
  readonly #members: readonly Member[];
  readonly #setup: DeviceSetup;
  readonly #startContainer: StartContainer;
  readonly #patience: Patience;
  readonly #onEvent: (event: DeviceEvent) => void;
  #dealing: Dealing | undefined;
  #engineName = "";
  #lastDeath = "";
  #closed = false;

  constructor(
    size: number,
    setup: DeviceSetup,
    startContainer: StartContainer,
    patience: Patience,
    onEvent: (event: DeviceEvent) => void,
  ) {
    this.#members = Array.from({ length: size }, (_, index) => {
      return { index, state: "starting", device: undefined, task: undefined, deathsInARow: 0 };
    });
    this.#setup = setup;
    this.#startContainer = startContainer;
    this.#patience = patience;
    this.#onEvent = onEvent;
  }

  /**
   * Starts and loads all devices; returns the engine's name as soon as each has loaded or died and one is ready. A device
   * that dies while it loads is started again like any other, beside the work of those that live. Throws what a device throws
   * while it loads, and an error that names the last death if all of them died too often; all are closed then.
   */
  async start(): Promise<string> {
    const restarts: Promise<void>[] = [];
    const load = async (member: Member) => {
      try {
        await this.#load(member);
      } catch (error) {
        if (!(error instanceof DeviceDiedError)) throw error;
        restarts.push(this.#restart(member, error));
      }
    };
    try {
      await Promise.all(this.#members.map(load));
      await this.#oneReady(restarts);
      return this.#engineName;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Waits for the first of the restarts that succeeds, if no device is ready before them. */
  async #oneReady(restarts: readonly Promise<void>[]): Promise<void> {
    const isReady = () => this.#members.some(({ state }) => state === "ready");
    if (isReady()) return;
    const attempts = restarts.map(async (restart) => {
      await restart;
      if (!isReady()) throw new Error("it is lost");
    });
    await Promise.any(attempts).catch(() => {
      const { length } = this.#members;
      const who = length === 1 ? "the only worker" : `all ${length} workers`;
      throw new Error(`Cannot start computing: ${who} died while loading, the last time by: ${this.#lastDeath}`);
    });
  }

  /** Does all tasks. Settles only when no device is at work any more, so shared memory may be changed then. */
  async deal(deal: Deal): Promise<void> {
    if (this.#closed) throw new Error(`Cannot run ${deal.name}: the device pool is closed`);
    if (this.#dealing) {
      throw new RangeError(`Cannot run ${deal.name}: ${this.#dealing.deal.name} is not finished, await it`);
    }
    await new Promise<void>((resolve, reject) => {
      const dealing: Dealing = {
        deal,
        queue: [...deal.tasks.keys()],
        doneBy: new Map(),
        deaths: new Map(),
        failedOn: new Map(),
        failure: undefined,
        settle: () => {
          this.#dealing = undefined;
          if (dealing.failure) reject(dealing.failure.error);
          else resolve();
        },
      };
      this.#dealing = dealing;
      this.#dealNext();
    });
  }

  /** Ends all threads; a deal that is under way rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    const dealing = this.#dealing;
    if (dealing) {
      dealing.failure ??= { error: new Error(`Cannot finish ${dealing.deal.name}: the device pool was closed`) };
    }
    await Promise.all(this.#members.map(async (member) => member.device?.close()));
    this.#dealNext();
  }

  async #load(member: Member): Promise<void> {
    const begin = performance.now();
    const container = this.#startContainer(member.index);
    const device = openDevice(member.index, container, this.#patience, (error) => this.#onDeath(member, error));
    member.device = device;
    const { engineName } = await device.call("load", (api) => api.load(this.#setup, member.index));
    this.#engineName = engineName;
    member.state = "ready";
    this.#onEvent({ type: "worker-started", device: member.index, engineName, loadMs: performance.now() - begin });
  }

  /** Gives tasks to all that are ready, and settles the deal when it is over. */
  #dealNext(): void {
    const dealing = this.#dealing;
    if (!dealing) return;
    for (const member of this.#members) {
      if (dealing.failure || member.state !== "ready") continue;
      const task = this.#takeTask(dealing, member);
      if (task !== undefined) void this.#work(dealing, member, task);
    }
    if (this.#members.some(({ state }) => state === "busy")) return;
    if (dealing.failure) {
      dealing.settle();
    } else if (dealing.doneBy.size === dealing.deal.tasks.length) {
      // One that is still being started has not lived through it: a device that is gone for good would be tried for ever.
      for (const member of this.#members) if (member.state === "ready") member.deathsInARow = 0;
      dealing.settle();
    } else if (this.#members.every(({ state }) => state === "lost")) {
      const { length } = dealing.deal.tasks;
      const left = `${length - dealing.doneBy.size} of ${length} tasks are left`;
      dealing.failure = { error: new Error(`Cannot finish ${dealing.deal.name}: all workers died, ${left}`) };
      dealing.settle();
    }
  }

  /** The next task, leaving one that failed on this member to another, if there is another. */
  #takeTask({ queue, failedOn }: Dealing, member: Member): number | undefined {
    const others = this.#members.some((other) => other !== member && other.state !== "lost");
    const at = queue.findIndex((task) => !others || failedOn.get(task) !== member);
    return at === -1 ? undefined : queue.splice(at, 1)[0];
  }

  async #work(dealing: Dealing, member: Member, task: number): Promise<void> {
    const { device } = member;
    if (!device) return;
    member.state = "busy";
    member.task = task;
    try {
      await dealing.deal.run(task, device, member.index);
      dealing.doneBy.set(task, member);
      if (!dealing.deal.onLost) member.deathsInARow = 0;
    } catch (error) {
      if (error instanceof DeviceDiedError) return; // #onDeath has dealt with it
      if (dealing.failedOn.has(task)) dealing.failure ??= { error };
      if (!dealing.failure) this.#tryAgain(dealing, member, task, error);
    }
    member.state = "ready";
    member.task = undefined;
    this.#dealNext();
  }

  #tryAgain({ deal, queue, failedOn }: Dealing, member: Member, task: number, error: unknown): void {
    failedOn.set(task, member);
    queue.unshift(task);
    const reason = error instanceof Error ? error.message : String(error);
    const { of, number } = taskAt(deal, task);
    this.#onEvent({ type: "cell-failed", device: member.index, of, cell: number, reason });
  }

  #onDeath(member: Member, error: DeviceDiedError): void {
    if (member.state === "starting") return; // `#load` rejects with it
    const { task } = member;
    member.state = "starting";
    member.task = undefined;
    void this.#restart(member, error);
    if (this.#dealing) this.#dealAgain(this.#dealing, member, task, error);
    this.#dealNext();
  }

  /** What a dead device had done and was doing goes back to the head of the queue. */
  #dealAgain(dealing: Dealing, member: Member, task: number | undefined, error: DeviceDiedError): void {
    const { deal, queue, doneBy, deaths } = dealing;
    const { index } = member;
    const again = task === undefined ? [] : [task];
    if (deal.onLost) {
      for (const [done, by] of doneBy) if (by === member) again.push(done);
      deal.onLost(index);
    }
    if (task !== undefined) {
      const count = (deaths.get(task) ?? 0) + 1;
      deaths.set(task, count);
      const { of, number, samples } = taskAt(deal, task);
      if (count === MAX_DEATHS_OF_A_TASK)
        dealing.failure ??= { error: new DeadlyCellError(of, number, samples, error) };
    }
    if (again.length === 0) return;
    again.sort((a, b) => a - b);
    for (const done of again) doneBy.delete(done);
    queue.unshift(...again);
    const redone = new Map<string, number[]>();
    for (const { of, number } of again.map((at) => taskAt(deal, at)))
      redone.set(of, [...(redone.get(of) ?? []), number]);
    for (const [of, cells] of redone) this.#onEvent({ type: "cells-redone", device: index, of, cells });
  }

  /** Starts a dead device again, until it is loaded or has died too often. */
  async #restart(member: Member, error: DeviceDiedError): Promise<void> {
    let { reason, lastOperation } = error;
    while (member.state === "starting") {
      member.deathsInARow++;
      this.#lastDeath = `${reason}, at ${lastOperation}`;
      const restarts = member.deathsInARow < MAX_DEATHS_IN_A_ROW;
      this.#onEvent({ type: "worker-died", device: member.index, reason, lastOperation, restarts });
      await member.device?.close();
      if (this.#closed) return;
      if (!restarts) member.state = "lost";
      else {
        try {
          await this.#load(member);
        } catch (failed) {
          if (this.#closed) return;
          const died = failed instanceof DeviceDiedError;
          reason = died ? failed.reason : failed instanceof Error ? failed.message : String(failed);
          lastOperation = died ? failed.lastOperation : "load";
        }
      }
    }
    this.#dealNext();
  }
}
