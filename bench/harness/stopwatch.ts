/**
 * Time that a thread had a core or slept by its own will: wall time, less the time in which it was ready
 * to run and others had its core (`/proc/thread-self/schedstat`, Linux; elsewhere wall time as it is).
 * For rows on throughput; what runs beside the bench then disturbs less.
 */
import { readFileSync } from 'node:fs';

/** Starts a watch; the function that it returns reads it, ms. In one thread. */
export function stopwatch(): () => number {
  const delay = runDelay();
  const start = performance.now();
  return () => {
    const wall = performance.now() - start;
    return Math.max(0, wall - (runDelay() - delay));
  };
}

/** ms that the calling thread has waited for a core so far; 0 where that is not known. */
function runDelay(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}
