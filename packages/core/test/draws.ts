/** Returns how often a property is drawn: a fifth of `all` in `npm test`, all in the project `draws`, which `vitest.config.ts` lists. */
export const draws = (all: number): number => (process.env["ZEROGATE_ALL_DRAWS"] ? all : Math.ceil(all / 5));
