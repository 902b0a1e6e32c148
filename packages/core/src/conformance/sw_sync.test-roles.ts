/** The other processes and threads of the sw_sync cases. */
import type { Machine } from '../actor/machine.js';

const WAIT_MS = 10_000;

/** The words of a dma-buf that was passed here, unsynchronised: the cases' plain shared counters. */
function counterOf(machine: Machine): Uint32Array<ArrayBufferLike> {
  const buffer = machine.dmabuf(machine.receiveFd(WAIT_MS).fd);
  return buffer.access({ read: true, write: true, sync: false, cache: false }).words;
}

/** Takes a timeline's fd and increments it. */
export function increment(machine: Machine, [by = 1]: readonly number[]): number {
  const timeline = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  timeline.increment(by);
  const { value } = timeline;
  timeline.close();
  return value;
}

/** Waits for each point that is its own, and looks at the counter when it wakes. */
export function consume(
  machine: Machine,
  [thread = 0, threads = 1, rounds = 1]: readonly number[],
): number {
  const timeline = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  const counter = counterOf(machine);
  let good = 0;
  for (let i = 0; i < rounds; i++) {
    const point = i * threads + thread;
    if (timeline.createFence(point).wait(WAIT_MS) === 1 && counter[0] === point) good++;
    machine.send(2, { result: 'posted' });
  }
  timeline.close();
  return good;
}

/** The same, and hands over to the next by itself. */
export function consumeAndProduce(
  machine: Machine,
  [thread = 0, threads = 1, rounds = 1]: readonly number[],
): number {
  const timeline = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  const counter = counterOf(machine);
  let good = 0;
  for (let i = 0; i < rounds; i++) {
    const point = i * threads + thread;
    if (timeline.createFence(point).wait(WAIT_MS) === 1 && counter[0] === point) good++;
    counter[0] = point + 1;
    timeline.increment(1);
  }
  timeline.close();
  return good;
}

/** Produces once for each round of the consumer; producer 0 polls instead of blocking. */
export function produce(machine: Machine, [thread = 0, rounds = 1]: readonly number[]): number {
  const mine = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  const consumer = machine.timeline(machine.receiveFd(WAIT_MS).fd);
  const counter = counterOf(machine);
  for (let i = 0; i < rounds; i++) {
    const turn = consumer.createFence(i);
    if (thread === 0) {
      while (turn.status === 0);
    } else {
      turn.wait(WAIT_MS);
    }
    counter[thread] = (counter[thread] ?? 0) + 1;
    mine.increment(1);
  }
  mine.close();
  consumer.close();
  return counter[thread] ?? 0;
}
