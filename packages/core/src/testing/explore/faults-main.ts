/** Command of `npm run test:faults`; see scripts/faults.mjs. */
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Explorer } from './explorer.js';
import { BUGS, exploreAll, findPlanted, killAll, replay, SCENARIOS } from './faults.js';
import { storm, type StormResult } from '../storm.js';
import { type Limits, newTally, type Tally } from './search.js';

const BOUND = 2;
const LIMITS: Limits = { bound: BOUND, schedules: 12_000, failures: 5 };
const SAMPLES = 1500;
/** Two explorers, for two cores: of each one thread runs at any time. */
const SHARES = 2;

interface Share {
  readonly first: number;
  readonly seed: number;
}
type Report = { readonly line: string } | { readonly explored: Tally; readonly killed: Tally };

/** Both suites on one share of the scenarios. */
async function runShare({ first, seed }: Share, post: (report: Report) => void): Promise<void> {
  const explorer = new Explorer();
  const print = (line: string): void => post({ line });
  const extent = { limits: LIMITS, samples: SAMPLES, seed, share: { first, of: SHARES }, print };
  const explored = await exploreAll(explorer, extent);
  const killed = await killAll(explorer, extent);
  await explorer.close();
  post({ explored, killed });
}

/** The planted bugs; how many were not found. */
async function findAll(): Promise<number> {
  const explorer = new Explorer();
  let missed = 0;
  for (const bug of BUGS) {
    const after = await findPlanted(explorer, bug, LIMITS);
    const what = bug.by === 'death' ? 'deaths' : 'schedules';
    console.log(`  ${bug.name}: ${after < 0 ? 'NOT FOUND' : `found after ${after} ${what}`}`);
    if (after < 0) missed++;
  }
  await explorer.close();
  return missed;
}

async function runStorm(seed: number, deaths: number): Promise<StormResult> {
  const result = await storm({ seed, deaths });
  console.log(`  storm: ${stormText(result)}`);
  for (const fault of result.faults)
    console.log(`    FAILED in the storm of seed ${seed}: ${fault}`);
  return result;
}

function stormText({ deaths, resets, checks, acts }: StormResult): string {
  return `${deaths} random deaths of real workers, ${resets} of them of the device, ${acts} acts, ${checks} checks of all tables`;
}

async function runAll(seed: number, deaths: number): Promise<boolean> {
  const start = performance.now();
  console.log(`# seed ${seed}`);
  const explored = newTally();
  const killed = newTally();
  let merged = 0;
  const shares = Array.from({ length: SHARES }, async (_, first) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { first, seed } });
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (report: Report) => {
        if ('line' in report) console.log(report.line);
        else {
          merged++;
          merge(explored, report.explored);
          merge(killed, report.killed);
        }
      });
      worker.on('error', reject);
      worker.on('exit', () => resolve());
    });
  });
  const stormed = await runStorm(seed, deaths);
  await Promise.all(shares);
  console.log('planted bugs:');
  const missed = await findAll();
  const failed =
    explored.failures.length +
    killed.failures.length +
    stormed.faults.length +
    (merged < SHARES ? 1 : 0);
  const took = ((performance.now() - start) / 1000).toFixed(0);
  console.log(
    `explored: ${SCENARIOS.length} scenarios, ${explored.schedules} schedules of at most ${BOUND} preemptions (at most ${LIMITS.schedules} of each scenario)`,
  );
  console.log(
    `killed: ${killed.kills} kill points (every access alone; ${SAMPLES} random ones of each scenario amid preemptions, and of the recoverer), ${killed.recoveries} recoveries checked`,
  );
  console.log(`terminated: ${stormText(stormed)}`);
  console.log(`planted bugs: ${BUGS.length - missed} of ${BUGS.length} found`);
  console.log(`${failed} failures, ${took} s`);
  return failed === 0 && missed === 0;
}

function merge(into: Tally, tally: Tally): void {
  into.schedules += tally.schedules;
  into.kills += tally.kills;
  into.recoveries += tally.recoveries;
  into.failures.push(...tally.failures);
}

async function replayOne(text: string): Promise<boolean> {
  const explorer = new Explorer();
  const { steps, ignored, recovered, faults } = await replay(explorer, text);
  let last = -1;
  for (let at = 1; at <= steps; at++) {
    const { thread, word, write } = explorer.step(at);
    if (thread !== last)
      console.log(`access ${at}: thread ${thread}, ${write ? 'writes' : 'reads'} word ${word}`);
    last = thread;
  }
  console.log(`${steps} accesses, ${ignored} entries did not apply, ${recovered} recoveries`);
  for (const fault of faults) console.log(`FAILED ${fault}`);
  if (faults.length === 0) console.log('no fault');
  await explorer.close();
  return faults.length === 0;
}

/** Runs the suites, or with a schedule that alone; whether all is well. */
export async function main(
  schedule: string | undefined,
  seed: number,
  deaths: number,
): Promise<boolean> {
  return schedule === undefined ? runAll(seed, deaths) : replayOne(schedule);
}

if (
  !isMainThread &&
  typeof workerData === 'object' &&
  workerData !== null &&
  'first' in workerData
) {
  await runShare(workerData as Share, (report) => parentPort?.postMessage(report));
}
