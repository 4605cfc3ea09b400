/** `GET /openapi.json`: the routes and what they take, made from the shapes that requests are checked with. */
import { versions } from "@zerogate/run-config";
import * as z from "zod";
import type { Reply } from "./call.ts";
import type { BodyShape } from "./shapes.ts";

/** What is said of a route. */
interface DescribedRoute {
  readonly method: string;
  readonly path: string;
  readonly about: string;
  readonly shape?: BodyShape<unknown>;
}

/** @param routes All of them. */
export function openApi(routes: readonly DescribedRoute[]): Reply {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, about, shape } of routes) {
    const name = /:(\w+)$/.exec(path)?.[1];
    const own = (paths[path.replace(/:(\w+)$/, "{$1}")] ??= {});
    own[method.toLowerCase()] = {
      summary: about,
      ...(name !== undefined && {
        parameters: [{ name, in: "path", required: true, schema: { type: "string" } }],
      }),
      ...(shape && {
        requestBody: { required: true, content: { "application/json": { schema: bodySchema(shape.schema) } } },
      }),
      responses: {
        "200": { description: "done" },
        default: { description: 'error: {"error": {message, type, param, code}}' },
      },
    };
  }
  return { body: { openapi: "3.1.0", info: { title: "Zerogate", version: versions.zerogate }, paths } };
}

const bodySchema = (schema: z.ZodType): object => z.toJSONSchema(schema, { io: "input" });
