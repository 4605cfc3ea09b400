/** For a process that runs for days: memory that is given back goes to the system. */
import { loadAddon, probe } from "./addon.ts";

/**
 * Makes glibc take every block from 128 KiB on from the system by itself and to return it when it is freed, and to share two
 * heaps among all threads. Otherwise the first large array that is freed makes later ones part of a heap, where small
 * neighbours keep their room from being returned: a training run grew by 80 MiB an hour. It changes the whole process, so only
 * a program that owns its process should call it. Returns whether it was done: not with another C library or without the binary.
 */
export function steadyMemory(): boolean {
  return probe().available && loadAddon().addon.steadyMemory();
}
