/**
 * The ring of events that a device raises for an open file: SOURCE_CHANGE, EOS.
 *
 * Written by the device alone: the entry, then HEAD. Each handle of the file reads from a place of its
 * own; one that fell a whole ring behind has lost the oldest, as V4L2 drops them, and can tell.
 */
import type { Words } from '@dmabuf/core/driver';

const ENTRIES = 32;
const ENTRY_WORDS = 4; // type, changes, time as a double

/** HEAD, then the entries. */
export const EVENT_RING_WORDS: number = 4 + ENTRIES * ENTRY_WORDS;

export interface RaisedEvent {
  /** V4L2_EVENT_* */
  readonly type: number;
  /** SOURCE_CHANGE: V4L2_EVENT_SRC_CH_*. */
  readonly changes: number;
  /** ms */
  readonly timestamp: number;
}

function entryAt(ring: number, count: number): number {
  return ring + 4 + (count % ENTRIES) * ENTRY_WORDS;
}

/** Events raised since the file was opened. */
export function eventHead(words: Words, ring: number): number {
  return words.load(ring);
}

/** By the device. */
export function raiseEvent(words: Words, ring: number, event: RaisedEvent): void {
  const count = words.load(ring);
  const at = entryAt(ring, count);
  words.set(at, event.type);
  words.set(at + 1, event.changes);
  words.setDouble(at + 2, event.timestamp);
  words.store(ring, count + 1);
}

/** Events from number `from` on; `next` is where to go on, `lost` how many are gone. */
export function readEvents(
  words: Words,
  ring: number,
  from: number,
): { readonly events: readonly RaisedEvent[]; readonly next: number; readonly lost: number } {
  const head = words.load(ring);
  const first = Math.max(from, head - ENTRIES + 1);
  const events: RaisedEvent[] = [];
  let lost = first - from;
  for (let count = first; count < head; count++) {
    const at = entryAt(ring, count);
    const event = {
      type: words.get(at),
      changes: words.get(at + 1),
      timestamp: words.getDouble(at + 2),
    };
    // Overwritten while it was read: the device is a whole ring further.
    if (words.load(ring) - count >= ENTRIES) lost++;
    else events.push(event);
  }
  return { events, next: head, lost };
}
