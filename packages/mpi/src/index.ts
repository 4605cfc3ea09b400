/** Public entry of @zerogate/mpi. */
export { type Communicator, type CommunicatorOptions, gather, type Meeting } from "./communicator.ts";
export { type Launch, launchOf } from "./launcher.ts";
export { openCommunicator } from "./open.ts";
export { shareCells } from "./share.ts";
