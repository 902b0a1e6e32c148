#!/usr/bin/env node
// The command behind `npm run test:faults`: the exhaustive suites of core's fault handling.
//   npm run test:faults [-- --seed N] [--deaths N] [-- --replay 'scenario:57>1,120x']
// --replay runs one schedule again: `57>1` switches to thread 1 before access 57, `120x` kills whoever
// is about to make access 120; threads 3 and 4 are recoverers.
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    deaths: { type: 'string', default: '2000' },
    replay: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const built = join(root, 'packages/core/dist/testing/explore/faults-main.js');
const { main } = await import(pathToFileURL(built).href);
process.exitCode = (await main(values.replay, Number(values.seed), Number(values.deaths))) ? 0 : 1;
