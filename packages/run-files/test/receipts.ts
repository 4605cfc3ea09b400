/** Receipts of runs, changed and chained again, as an expert could. */
import { writeFileSync } from "node:fs";
import { chainLine, type ReceiptBody } from "../src/receipt/receipt.ts";
import { loadReceipt, receiptPath } from "../src/receipt/receipt_file.ts";

/** Replaces each line of a run's receipt by those that `change` makes of it; returns the links. */
export function changeReceipt(run: string, change: (body: ReceiptBody) => readonly ReceiptBody[]): string[] {
  let chain: string | undefined;
  const chains: string[] = [];
  const texts = loadReceipt(run)
    .lines.flatMap((line) => {
      const { chain: _, ...body } = line;
      return change(body);
    })
    .map((body) => {
      const line = chainLine(chain, body);
      chain = line.chain;
      chains.push(chain);
      return line.text;
    });
  writeFileSync(receiptPath(run), texts.join(""));
  return chains;
}
