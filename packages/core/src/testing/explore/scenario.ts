/** What an exploration explores: two or three actors with a few operations each. */
import type { Services } from '../../actor/services.js';
import type { TableSizes } from '../../memory/layout.js';
import type { Words } from '../../memory/words.js';
import type { Stage } from './stage.js';

/** What the set-up hands to the actors: pointers, fds, fences. */
export type Data = Readonly<Record<string, number>>;

/** An actor in one run. */
export interface Actor {
  /** Fresh: nothing that a run keeps in JavaScript outlives it. */
  readonly services: Services;
  readonly data: Data;
  /** Deaths before this life; more than 0 for devices only. */
  readonly life: number;
  /** Says something that the scenario's check looks at; the value was 0. */
  note(place: number, value: number): void;
}

/** The end of one run. */
export interface End {
  /** Services of an onlooker's, whose accesses are no steps. */
  readonly services: Services;
  readonly words: Words;
  readonly data: Data;
  /** What an actor said. */
  note(thread: number, place: number): number;
  /** Whether an actor was killed. Then what it was to do may not have been done, or only begun. */
  killed(thread: number): boolean;
}

export interface Scenario {
  readonly name: string;
  readonly tables?: Partial<TableSizes>;
  /** Threads that are devices: they start again when they have been killed. */
  readonly devices?: readonly number[];
  /** Threads that serve: they sleep on their doorbells when all is done. */
  readonly servers?: readonly number[];
  /** The actors look at the memory of the stage's region: `region` of the data. */
  readonly memory?: boolean;
  /** Pairs: the first may wait for ever if the second, who was to end its wait, has been killed. */
  readonly inVain?: readonly (readonly [number, number])[];
  /** Bounded sleeps that may run out when nobody can go on, of each actor. Default 0: that is a lost wake-up. */
  readonly timeouts?: number;
  /** Runs once, in one thread; each run starts from what it leaves. */
  setup(stage: Stage): Data;
  readonly actors: readonly ((actor: Actor) => void)[];
  /** The scenario's own breaches, beside the invariants of all tables. */
  check(end: End): string[];
}
