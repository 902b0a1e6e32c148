/**
 * The contexts of an open file, as the worker that serves it finds them by the ids in the file's record.
 */
import { type Context, DmaBufError, type Machine } from '@dmabuf/core';

/** A context that may have ended with the process that made it. */
export function contextOf(machine: Machine, id: number): Context | undefined {
  try {
    return machine.contextById(id);
  } catch (error) {
    if (error instanceof DmaBufError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Closes those that are left of a closed file; false while one has jobs that have not ended. */
export function closeContexts(machine: Machine, contexts: readonly Context[]): boolean {
  const left = contexts.filter(({ id }) => contextOf(machine, id));
  try {
    for (const context of left) context.close();
    return true;
  } catch (error) {
    // EBUSY: its jobs have not all ended yet.
    if (error instanceof DmaBufError) return false;
    throw error;
  }
}
