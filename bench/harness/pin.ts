/**
 * Pinning threads to cores, by `taskset` where it is (Linux). Node names no thread ids; the kernel does,
 * to whoever reads `/proc/thread-self` in the thread itself.
 */
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Cores that this process may use. */
export const cores: number = availableParallelism();

/** Kernel id of the calling thread; 0 where it cannot be known. */
export function threadId(): number {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return 0;
  }
}

/** Whether threads can be pinned here. */
export const canPin: boolean =
  threadId() > 0 && spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0;

/** Pins a thread to a core, or lets it run on all again (`core` undefined). */
export function pin(thread: number, core: number | undefined): void {
  if (!canPin || thread === 0) return;
  const list = core === undefined ? `0-${cores - 1}` : String(core % cores);
  spawnSync('taskset', ['-pc', list, String(thread)], { stdio: 'ignore' });
}
