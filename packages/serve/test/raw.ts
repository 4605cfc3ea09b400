/** Requests as bytes: what no client would send. */
import { connect } from "node:net";

/** Sends lines of a head, and what follows them, and reads one answer. */
export function raw(port: number, head: readonly string[], rest = ""): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const settle = () => {
      const [, status = "0"] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
      const at = text.indexOf("\r\n\r\n");
      resolve({ status: Number(status), body: at < 0 ? "" : text.slice(at + 4) });
    };
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("close", settle);
    socket.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? settle() : reject(error)));
    socket.write(`${[...head, "Connection: close"].join("\r\n")}\r\n\r\n${rest}`);
  });
}
