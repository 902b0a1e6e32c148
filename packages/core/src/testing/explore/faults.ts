/**
 * The exhaustive suites, and what they print: scenarios, schedules explored, kill points, recoveries checked
 * (`npm run test:faults`); a subset of them is part of the tests.
 */
import { Random } from '../random.js';
import { parseSchedule } from './control.js';
import type { Explorer, Outcome } from './explorer.js';
import { BUGS, type Bug } from './planted-bugs.js';
import { findScenario, SCENARIOS } from './scenarios.js';
import { type Failure, type Limits, newTally, Search, type Tally } from './search.js';

/** How far a run of the suites goes. */
export interface Extent {
  readonly limits: Limits;
  /** Random deaths amid preemptions, and of the recoverer, of each scenario. */
  readonly samples: number;
  readonly seed: number;
  /** Of the accesses of a run every how manyth is a death. Default: each. */
  readonly every?: number;
  /** Every how manyth scenario, from which one: two processes share the work. */
  readonly share: { readonly first: number; readonly of: number };
  readonly print: (line: string) => void;
}

/** (a): the schedules of all scenarios. */
export async function exploreAll(explorer: Explorer, extent: Extent): Promise<Tally> {
  return overAll(explorer, extent, (search) => search.interleave(extent.limits), 'schedules');
}

/** (b): the deaths in all scenarios. */
export async function killAll(explorer: Explorer, extent: Extent): Promise<Tally> {
  const random = new Random(extent.seed);
  return overAll(
    explorer,
    extent,
    (search) => search.kill(random, extent.samples, extent.every),
    'kills',
  );
}

async function overAll(
  explorer: Explorer,
  { share, print }: Extent,
  work: (search: Search) => void,
  what: 'schedules' | 'kills',
): Promise<Tally> {
  const all = newTally();
  for (const scenario of SCENARIOS.filter((_, i) => i % share.of === share.first)) {
    await explorer.load(scenario);
    const search = new Search(explorer, scenario);
    const start = performance.now();
    work(search);
    const { tally } = search;
    const took = ((performance.now() - start) / 1000).toFixed(1);
    const cut = tally.complete ? '' : ' (not all of them: cut off at the limit)';
    const found = what === 'kills' ? `, ${tally.recoveries} recoveries` : cut;
    print(
      `  ${scenario.name}: ${tally[what]} ${what}${found}, ${tally.failures.length} failed, ${took} s`,
    );
    for (const failure of tally.failures.slice(0, 3)) print(failureText(failure));
    add(all, tally);
  }
  return all;
}

/** How to see a failure again. */
export function failureText({ scenario, schedule, faults }: Failure): string {
  const replay = `npm run test:faults -- --replay '${scenario}:${schedule}'`;
  return `    FAILED ${replay}\n      ${faults.slice(0, 4).join('\n      ')}`;
}

function add(all: Tally, one: Tally): void {
  all.schedules += one.schedules;
  all.kills += one.kills;
  all.recoveries += one.recoveries;
  all.failures.push(...one.failures);
  all.complete &&= one.complete;
}

/** Random deaths that are tried for a planted bug. */
const SAMPLES = 1000;

/** Looks for a planted bug; after how many schedules, or deaths, it was found, or −1. */
export async function findPlanted(explorer: Explorer, bug: Bug, limits: Limits): Promise<number> {
  const scenario = findScenario(bug.scenario);
  await explorer.load(scenario, bug.name);
  const search = new Search(explorer, scenario, true);
  if (bug.by === 'schedule') search.interleave({ ...limits, failures: 1 });
  else search.kill(new Random(1), SAMPLES);
  const { tally } = search;
  return tally.failures.length === 0 ? -1 : tally.schedules + tally.kills;
}

export { BUGS, SCENARIOS };

/** Runs one schedule again: `scenario:57>1,120x`. */
export async function replay(explorer: Explorer, text: string): Promise<Outcome> {
  const colon = text.lastIndexOf(':');
  if (colon < 0) throw new TypeError(`'${text}' is no schedule: give 'scenario:57>1,120x'`);
  await explorer.load(findScenario(text.slice(0, colon)));
  return explorer.run(parseSchedule(text.slice(colon + 1)));
}
