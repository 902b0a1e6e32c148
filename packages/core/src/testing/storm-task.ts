/** What the storm and its workers agree on. */
import type { JoinToken } from '../actor/machine.js';

/** Words of the test driver's that the storm uses, behind the device's own. */
export const STORM = { PAUSE: 0, PAUSED: 1, ACTS: 2 } as const;
export function stormBase(base: number): number {
  return base + 16;
}

/** What a worker of the storm is started with. */
export interface StormTask {
  readonly token: JoinToken;
  readonly seed: number;
  readonly device: number;
  readonly buffers: number;
}
