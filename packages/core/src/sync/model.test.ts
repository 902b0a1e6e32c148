// The queues against a plain model of design D6: long random sequences of jobs, cancels, releases,
// timeouts, brackets, moves and closes, every grant compared in order. And the model test tested: the faults
// of KDS, put back in, are found, and some of explicit synchronisation.
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EXPLICIT_FAULTS } from '../testing/explicit-faults.js';
import { KDS_FAULTS, withFault } from '../testing/kds-faults.js';
import { type Command, ModelRun } from '../testing/model-run.js';

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env['RUNS'] ?? 100);
const STEPS = 300;

const number = fc.integer({ min: 0, max: 0xfffff });
const commands = fc.array(fc.tuple(number, number, number, number, number), {
  minLength: 20,
  maxLength: STEPS,
  size: 'max',
});

let compared = 0;

function agrees(steps: readonly Command[]): void {
  const run = new ModelRun();
  for (const step of steps) run.step(step);
  run.finish();
  compared += run.grants;
}

test(`${RUNS} random sequences of up to ${STEPS} steps agree with the model`, () => {
  console.log(`# seed ${SEED}`);
  fc.assert(fc.property(commands, agrees), { seed: SEED, numRuns: RUNS });
  console.log(`# ${compared} grants compared`);
  assert.ok(compared > RUNS * 20);
});

for (const fault of [...KDS_FAULTS, ...EXPLICIT_FAULTS]) {
  test(`the model finds it when put back in: ${fault.what}`, () => {
    const result = withFault(fault, () =>
      fc.check(fc.property(commands, agrees), { seed: SEED, numRuns: 200, endOnFailure: true }),
    );
    assert.ok(result.failed, `200 sequences from seed ${SEED} did not find it`);
    const [steps] = result.counterexample ?? [[]];
    console.log(`# found after ${result.numRuns} runs, in ${steps.length} steps`);
    assert.not.throws(() => agrees(steps), 'without the fault the same steps agree');
  });
}

test.run();
