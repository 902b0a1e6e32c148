/**
 * For tests: a machine with a heap of each kind, and what tests do with its buffers.
 */
import {
  boot,
  type BootOptions,
  type DmaBuf,
  DmaBufError,
  type ErrnoCode,
  type Machine,
} from '@dmabuf/core';
import * as assert from 'uvu/assert';
import { ion, IonClient, type HeapStats, type IonOptions } from './index.js';

export const MIB: number = 1 << 20;
export const PAGE = 4096;
export const HEAPS: IonOptions = {
  heaps: [
    { type: 'system' },
    { type: 'system-contig', size: 8 * MIB },
    { type: 'carveout' },
    { type: 'cma', size: 8 * MIB },
    { type: 'protected', size: 4 * MIB, devices: ['ion'] },
  ],
};
export const MAPPABLE = ['system', 'system-contig', 'carveout', 'cma'] as const;

/** Runs with a machine and a client, which are gone afterwards. */
export async function withIon(
  options: IonOptions,
  work: (client: IonClient, machine: Machine) => void | Promise<void>,
  more: BootOptions = {},
): Promise<void> {
  const machine = await boot({ pool: 32 * MIB, ...more, drivers: [ion(options)] });
  try {
    using client = IonClient.open(machine);
    await work(client, machine);
  } finally {
    await machine.shutdown();
  }
}

/** Checks that a call fails with this errno and a message like that. */
export function refused(code: ErrnoCode, text: RegExp, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    assert.is(error.code, code, error.message);
    assert.match(error.message, text);
    return;
  }
  throw new Error(`not refused with ${code}`);
}

export function heapNamed(client: IonClient, name: string): HeapStats {
  const heap = client.stats().find((stats) => stats.name === name);
  if (heap === undefined) throw new Error(`no heap ${name}`);
  return heap;
}

/** Fills a buffer with a word, as a CPU writer. */
export function fill(buffer: DmaBuf, value: number): void {
  using bracket = buffer.access({ write: true, discard: true });
  bracket.words.fill(value);
}

export function isAll(buffer: DmaBuf, value: number): boolean {
  using bracket = buffer.access({ read: true });
  return bracket.words.every((word) => word === value);
}
