/**
 * The control block: what the threads of an exploration share beside kernel memory.
 *
 * One thread runs at any time: the one that has the baton (its GO word was set). All words but GO are
 * therefore plain and belong to whoever runs; handing the baton on orders them.
 */

/** Scenario actors at most; behind them two recoverers, then the explorer itself. */
export const ACTORS_MAX = 3;
export const RECOVERERS: readonly number[] = [3, 4];
export const EXPLORER = 5;
const THREADS = 6;

/** Longest schedule: switches and kills. */
export const ENTRIES_MAX = 64;
/** Accesses of one run; more is a livelock. */
export const STEPS_MAX = 60_000;
export const NOTES = 16;
export const TEXT_BYTES = 1600;

/** Words of the control block. */
export const CONTROL = {
  GO: 0, // one of each thread: 1 = it has the baton; it waits on it
  STEP: 8, // shared accesses done in this run
  NEXT_AT: 9, // step before which the next entry of the schedule applies
  NEXT: 10, // its index
  RUNNABLE: 11, // masks over threads
  BLOCKED: 12,
  DONE: 13,
  DEAD: 14, // died, and not recovered yet
  FORCED: 15, // 1 = the switch that has just been made was not of the schedule's choice
  VERDICT: 16, // VERDICT.*
  ABORT: 17, // 1 = every thread is to give up
  LEAVE: 18, // 1 = every thread is to return to its event loop
  IGNORED: 19, // entries that did not apply: the thread could not run
  RECOVERED: 20, // deaths that were recovered
  TEXT_LENGTH: 21,
  BOUNDED: 22, // sleeps on a list's lock that ran out: whoever freed it died before it could wake anybody
  BLOCKED_ON: 24, // one of each thread: index of the word that it sleeps on
  BUDGET: 32, // one of each thread: sleeps that may run out
  LIFE: 40, // one of each thread: deaths before this life
  WOKEN: 48, // one of each thread: 1 = it was notified, 0 = its sleep ran out
  NOTES: 64, // NOTES of each actor: what it wants to be checked
  ENTRIES: 128, // ENTRIES_MAX pairs { step, operation }
  TEXT: 256, // TEXT_BYTES: why the run failed, UTF-8
  LOG: 656, // STEPS_MAX + 1 pairs { word, LOG_* }, one of each step
  WORDS: 120_658,
} as const;

export const VERDICT = { RUNNING: 0, OVER: 1, STUCK: 2, LIVELOCK: 3, THREW: 4 } as const;

/** Second word of a log entry: thread, mask of those that could have run, and what happened. */
export const LOG_THREAD = 0xf;
export const LOG_RUNNABLE_SHIFT = 4;
export const LOG_RUNNABLE = 0x3f;
export const LOG_FORCED = 0x1000;
export const LOG_WRITE = 0x2000;

/** Operation of an entry: a thread to switch to, or the death of whoever runs. */
export const KILL = -1;

/** One entry of a schedule: before access number `step`, switch to a thread, or die. */
export interface Entry {
  readonly step: number;
  readonly to: number;
}
export type Schedule = readonly Entry[];

/** `57>1,80>0,120x`: what `--replay` takes behind the scenario's name. */
export function scheduleText(schedule: Schedule): string {
  return schedule.map(({ step, to }) => (to === KILL ? `${step}x` : `${step}>${to}`)).join(',');
}

export function parseSchedule(text: string): Schedule {
  if (text === '') return [];
  return text.split(',').map((part) => {
    const match = /^(\d+)(?:x|>(\d))$/.exec(part);
    if (match === null) throw new TypeError(`'${part}' is no entry of a schedule (57>1, or 120x)`);
    return { step: Number(match[1]), to: match[2] === undefined ? KILL : Number(match[2]) };
  });
}

export const CONTROL_THREADS: number = THREADS;
