/**
 * Recovery: what a thread that died in the middle of a call left behind is undone.
 *
 * Run before the buffers of the dead are released (the `release` op needs the locks that it held).
 * What is left is half-done work: a record that is BUILDING, with or without memory; a range that is
 * taken or freed while its record says otherwise; counters; locks, which name their owner and are
 * let go of last. Doing it twice does nothing more.
 */
import type { Heap } from './heap.js';
import type { Ion } from './ion.js';
import {
  CLIENT,
  HEAP,
  ION,
  RECORD,
  RECORD_STATE,
  recordActor,
  recordGeneration,
  recordState,
} from './layout.js';

/** Bits of a lock word that name its owner (core's Locks). */
const OWNER = 0xffff;

/**
 * Undoes what `actor` was at. `backed` tells whether a dma-buf exists for a record that was still
 * being built (word offset from the driver's base, generation): such a one is released with its buffer, not here.
 */
export function recoverActor(
  ion: Ion,
  actor: number,
  backed: (record: number, generation: number) => boolean = () => false,
): void {
  const { words, base, door } = ion;
  for (const [index, heap] of ion.all.entries()) recoverHeap(ion, index, heap, actor, backed);
  for (let i = 0; i < ion.config.clients; i++) {
    const client = ion.clientAt(i);
    if (words.get(client + CLIENT.ACTOR) === actor) words.store(client + CLIENT.STATE, 0);
  }
  for (const lock of [base + ION.LOCK, base + ION.CLIENT_LOCK]) {
    if ((words.load(lock) & OWNER) === actor) door.locks.unlock(lock);
  }
}

function recoverHeap(
  ion: Ion,
  index: number,
  heap: Heap,
  actor: number,
  backed: (record: number, generation: number) => boolean,
): void {
  const { words, door } = ion;
  const lock = heap.pointer + HEAP.LOCK;
  const zeroLock = heap.pointer + HEAP.ZERO_LOCK;
  const zeroing = (words.load(zeroLock) & OWNER) === actor;
  // The dead one's lock keeps everybody out while its work is undone.
  if ((words.load(lock) & OWNER) !== actor) door.locks.lock(lock);
  const records: number[] = [];
  for (let i = 0; i < ion.config.buffers; i++) {
    const record = ion.recordAt(i);
    const word = words.load(record + RECORD.STATE);
    if (recordState(word) === RECORD_STATE.FREE) continue;
    // Each heap its own, under its lock: who claims the record anew finds nothing of the dead one's in the map.
    if (words.get(record + RECORD.HEAP) !== index) continue;
    const abandoned = recordState(word) === RECORD_STATE.BUILDING && recordActor(word) === actor;
    if (abandoned && !backed(record - ion.base, recordGeneration(word))) heap.abandon(record);
    else records.push(record);
  }
  heap.recover(records);
  if (zeroing) heap.abortZeroing();
  door.locks.unlock(lock);
  if (zeroing) door.locks.unlock(zeroLock);
}
