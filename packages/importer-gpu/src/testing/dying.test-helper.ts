/** For tests: the door of an actor that dies at a chosen access of kernel memory, without a machine behind it. */
import { type DriverSpec, Locks, Words } from '@dmabuf/core/driver';
import type { TableDoor } from '../record-table.js';
import type { RecoveryDoor } from '../tile-board.js';

export class Death extends Error {}

/** Words whose `n`th change of memory does not happen: whoever makes it is dead from then on. */
export class DyingWords extends Words {
  #left = Infinity;

  dieAt(n: number): void {
    this.#left = n;
  }

  override set(index: number, value: number): void {
    this.#step();
    super.set(index, value);
  }

  override setDouble(index: number, value: number): void {
    this.#step();
    super.setDouble(index, value);
  }

  override store(index: number, value: number): void {
    this.#step();
    super.store(index, value);
  }

  override add(index: number, value: number): number {
    this.#step();
    return super.add(index, value);
  }

  override exchange(index: number, value: number): number {
    this.#step();
    return super.exchange(index, value);
  }

  override cas(index: number, expected: number, value: number): boolean {
    this.#step();
    return super.cas(index, expected, value);
  }

  #step(): void {
    if (this.#left-- <= 0) throw new Death('died');
  }
}

/** What happens while somebody sleeps on a lock: nobody else runs in this thread. */
export type OnWait = () => void;

function never(): void {
  throw new Error('a lock that nobody will free');
}

/** The door of actor `self` on words that several share. */
export function doorOf(
  words: Words,
  self: number,
  spec: DriverSpec,
  { onWait = never, dead = [] }: { onWait?: OnWait; dead?: readonly number[] } = {},
): TableDoor & RecoveryDoor {
  const seam = {
    wait(): 'timeout' {
      onWait();
      return 'timeout';
    },
    notify: (): number => 0,
    waitAsync: async (): Promise<'mismatch'> => 'mismatch',
  };
  const locks = new Locks(words, seam, self, () => {});
  const freeLockOf = (dead: number, index: number): void => {
    if (locks.inherit(index, dead)) locks.unlock(index);
  };
  const isDead = (actor: number): boolean => dead.includes(actor);
  return { spec, base: 0, words, locks, self, freeLockOf, isDead };
}
