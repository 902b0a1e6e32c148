// Random deaths of real workers while others live: SEED and DEATHS in the environment.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { storm } from './storm.js';

test('workers and a device that die at random leave nothing behind, and the others go on', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  const deaths = Number(process.env['DEATHS'] ?? 24);
  console.log(`# seed ${seed}`);
  const result = await storm({ seed, deaths });
  console.log(
    `# ${result.deaths} deaths, ${result.resets} of the device, ${result.checks} checks, ${result.acts} acts`,
  );
  assert.equal(result.faults, []);
  assert.is(result.deaths, deaths);
});

test.run();
