/** The scenarios that are explored: queues, holds, fences, and what refers to them. */
import type { Scenario } from './scenario.js';
import { FD_SCENARIOS } from './scenarios-fd.js';
import { FENCE_SCENARIOS } from './scenarios-fence.js';
import { HOLD_SCENARIOS } from './scenarios-hold.js';
import { QUEUE_SCENARIOS } from './scenarios-queue.js';

export const SCENARIOS: readonly Scenario[] = [
  ...QUEUE_SCENARIOS,
  ...HOLD_SCENARIOS,
  ...FENCE_SCENARIOS,
  ...FD_SCENARIOS,
];

export function findScenario(name: string): Scenario {
  const scenario = SCENARIOS.find((s) => s.name === name);
  if (scenario !== undefined) return scenario;
  const names = SCENARIOS.map((s) => s.name).join(', ');
  throw new RangeError(`there is no scenario '${name}'; there are ${names}`);
}
