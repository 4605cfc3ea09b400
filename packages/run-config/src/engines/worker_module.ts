/** Modules that workers import. */

/**
 * Returns the URL of an entry of a package as it was built, given what the package's name resolves to. In tests that is its source,
 * `src/NAME.ts`, which no worker can run: it was built to `dist/NAME.js`.
 */
export const workerModule = (resolved: string): string => resolved.replace(/\/src\/([^/]+)\.ts$/, "/dist/$1.js");
