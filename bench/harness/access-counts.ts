/**
 * Accesses to kernel memory by what they touch, of one job in its whole life: what the model of larger machines
 * (docs/SCALE.md) is made of. Counted on a machine without workers, so the figures are the same everywhere.
 */
import { loadCore } from './internals.js';

/** Accesses a job, by kind of word. */
export interface AccessCounts {
  /** Writes to words that all actors share, whatever their buffers: the global lists and their locks. */
  readonly globalWrites: number;
  /** Reads of those: they cost nothing while nobody writes them. */
  readonly globalReads: number;
  /** Holds of locks of global lists. */
  readonly globalHolds: number;
  /** Atomic writes (store, add, exchange, cas) to records: job, queue, context, actor. */
  readonly recordWrites: number;
  readonly atomics: number;
  readonly plain: number;
  /** Locks of queues and contexts taken. */
  readonly locks: number;
}

interface Fake {
  readonly words: Counting;
  actor(i: number): {
    readonly machine: {
      alloc(bytes: number): object;
      createContext(target: number): { submit(options: object): unknown };
      waitAll(uses: readonly object[]): { release(): void };
    };
  };
  server(i: number, handlers: object): { run(): void };
}

interface Counting {
  atomics: number;
  plain: number;
  counts: Record<'globalReads' | 'globalWrites' | 'globalHolds' | 'recordWrites' | 'locks', number>;
}

interface WordsClass {
  new (buffer: ArrayBufferLike): {
    atomics: number;
    plain: number;
    get(index: number): number;
    set(index: number, value: number): void;
    load(index: number): number;
    store(index: number, value: number): void;
    add(index: number, value: number): number;
    exchange(index: number, value: number): number;
    cas(index: number, expected: number, value: number): boolean;
  };
}

const JOBS = 2048;
const WARM = 512;

/** `hold`: waitAll and release by one thread. `device`: submitted by one actor, run by another. */
export async function countAccesses(
  what: 'hold' | 'device',
  buffers: number,
): Promise<AccessCounts> {
  const { CountedWords } = await loadCore<{ CountedWords: WordsClass }>('./memory/words.js');
  const { HEADER } = await loadCore<{ HEADER: Record<string, number> }>('./memory/layout.js');
  const { FakeMachine } = await loadCore<{ FakeMachine: new (options: object) => Fake }>(
    './testing/fake-machine.js',
  );
  const { exclusive } = await loadCore<{ exclusive: (buffer: object) => object }>(
    './sync/context.js',
  );
  const fake = new FakeMachine({
    words: counting(CountedWords, HEADER['WORDS'] ?? 0),
    clock: 'real',
    tables: { jobs: 1024, actors: 8 },
  });
  const { machine } = fake.actor(0);
  const uses = Array.from({ length: buffers }, () => exclusive(machine.alloc(4096)));
  const one = what === 'hold' ? () => machine.waitAll(uses).release() : submitted(fake, uses);
  for (let i = 0; i < WARM; i++) one();
  const { words } = fake;
  words.atomics = 0;
  words.plain = 0;
  for (const key of Object.keys(words.counts)) words.counts[key as keyof Counting['counts']] = 0;
  for (let i = 0; i < JOBS; i++) one();
  const each = (count: number): number => count / JOBS;
  return {
    globalReads: each(words.counts.globalReads),
    globalWrites: each(words.counts.globalWrites),
    globalHolds: each(words.counts.globalHolds),
    recordWrites: each(words.counts.recordWrites),
    locks: each(words.counts.locks),
    atomics: each(words.atomics),
    plain: each(words.plain),
  };
}

/** Sixteen jobs are queued, then run, as a device does that has fallen behind; so one call in sixteen works. */
function submitted(fake: Fake, uses: readonly object[]): () => void {
  const context = fake.actor(0).machine.createContext(2);
  const server = fake.server(1, { run: () => {} });
  let queued = 0;
  return () => {
    context.submit({ buffers: uses });
    if (++queued % 16 === 0) server.run();
  };
}

/** An accessor that counts by kind of word. The header is what all share. */
function counting(Base: WordsClass, header: number): WordsClass {
  return class extends Base implements Counting {
    readonly counts = {
      globalReads: 0,
      globalWrites: 0,
      globalHolds: 0,
      recordWrites: 0,
      locks: 0,
    };

    #written(index: number): void {
      if (index < header) this.counts.globalWrites++;
      else this.counts.recordWrites++;
    }

    override load(index: number): number {
      if (index < header) this.counts.globalReads++;
      return super.load(index);
    }

    override get(index: number): number {
      if (index < header) this.counts.globalReads++;
      return super.get(index);
    }

    override set(index: number, value: number): void {
      if (index < header) this.counts.globalWrites++;
      super.set(index, value);
    }

    override store(index: number, value: number): void {
      this.#written(index);
      super.store(index, value);
    }

    override add(index: number, value: number): number {
      this.#written(index);
      return super.add(index, value);
    }

    override exchange(index: number, value: number): number {
      this.#written(index);
      return super.exchange(index, value);
    }

    override cas(index: number, expected: number, value: number): boolean {
      this.#written(index);
      // A lock is taken by a cas from 0 to the actor's id; state words are never 0.
      if (expected === 0 && value > 0 && value < 8) {
        if (index < header) this.counts.globalHolds++;
        else this.counts.locks++;
      }
      return super.cas(index, expected, value);
    }
  };
}
