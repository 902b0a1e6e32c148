// What the other processes of advance.test.ts and of messages.test.ts do.
import { DmaBufError } from '../errno.js';
import type { Machine } from './machine.js';

/** Waits for a fence with a time limit; [how it ended, ms that had gone by]. */
export function waitFor(machine: Machine, args: readonly number[]): unknown {
  const [slot = 0, generation = 0, context = 0, seqno = 0, limit = 0] = args;
  const from = machine.now();
  try {
    const status = machine.fence({ slot, generation, context, seqno }).wait(limit);
    return [status, machine.now() - from];
  } catch (error) {
    return [error instanceof DmaBufError ? error.code : String(error), machine.now() - from];
  }
}

/** Sleeps in receive with a time limit; how it ended. */
export function listen(machine: Machine, [limit = 0]: readonly number[]): unknown {
  try {
    return machine.receive(limit).value;
  } catch (error) {
    return error instanceof DmaBufError ? error.code : String(error);
  }
}

/** Message `i` of a sender: of a length between none and several slots. */
const textOf = (from: number, i: number): string =>
  String.fromCharCode(97 + (i % 26)).repeat((i * 37 + from) % 200);

/**
 * Sends `count` messages to a peer that does the same at the same time, reading whenever there is no room.
 * [messages received, sends refused for want of room], or what was wrong.
 */
export function gossip(
  machine: Machine,
  [peer = 0, count = 0, senders = 1]: readonly number[],
): unknown {
  const { words, base } = machine.driver('test');
  words.add(base + 2, 1);
  while (words.load(base + 2) < 2);
  const next = new Map<number, number>();
  let [sent, received, refused] = [0, 0, 0];
  while (sent < count || received < count * senders) {
    if (sent < count) {
      try {
        // Once all has been read that will ever come, there is only room to wait for.
        const block = received === count * senders;
        machine.send(peer, [sent, textOf(machine.self, sent)], { block });
        sent++;
        continue;
      } catch (error) {
        if (!(error instanceof DmaBufError && error.code === 'EAGAIN')) throw error;
        refused++;
      }
    }
    const { from, value } = machine.receive(20_000);
    const expected = next.get(from) ?? 0;
    const [i, text] = value as [number, string];
    if (i !== expected || text !== textOf(from, i)) return `${from}: ${i} in place of ${expected}`;
    next.set(from, expected + 1);
    received++;
  }
  return [received, refused];
}

/** The part of a third process: sends to one, blocking. */
export function tell(machine: Machine, peer: number, count: number): void {
  for (let i = 0; i < count; i++) machine.send(peer, [i, textOf(machine.self, i)]);
}
