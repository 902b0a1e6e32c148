/** The rules of an exporter's table, checked when its driver is loaded (dma_buf_export). */
import { DmaBufError } from '../errno.js';
import type { DmaBufOps } from './ops.js';

const ALL = [
  'attach',
  'detach',
  'permit',
  'pin',
  'unpin',
  'map',
  'unmap',
  'mmap',
  'vmap',
  'vunmap',
  'prepareAccess',
  'finishAccess',
  'release',
] as const satisfies readonly (keyof DmaBufOps)[];

/** The table itself, if it keeps the rules; EINVAL says which op is missing. */
export function checkOps(driver: string, ops: DmaBufOps | undefined): DmaBufOps | undefined {
  if (ops === undefined) return undefined;
  if (typeof ops !== 'object' || ops === null) {
    throw new TypeError(`driver '${driver}': init() must return a table of ops or undefined`);
  }
  for (const name of ALL) {
    const op: unknown = ops[name];
    if (op === undefined || typeof op === 'function') continue;
    throw new TypeError(`driver '${driver}': op '${name}' must be a function, not ${typeof op}`);
  }
  for (const name of ['map', 'unmap', 'release'] as const) {
    if (!has(ops, name)) throw refused(driver, `has no op '${name}', which is mandatory`);
  }
  for (const [one, other] of [
    ['pin', 'unpin'],
    ['vmap', 'vunmap'],
  ] as const) {
    if (has(ops, one) === has(ops, other)) continue;
    const [there, missing] = has(ops, one) ? [one, other] : [other, one];
    throw refused(driver, `has the op '${there}' without '${missing}'`);
  }
  if (!has(ops, 'mmap')) return ops;
  for (const name of ['prepareAccess', 'finishAccess'] as const) {
    if (has(ops, name)) continue;
    throw refused(driver, `offers mmap without '${name}': CPU access must be bracketed`);
  }
  return ops;
}

function has(ops: DmaBufOps, name: (typeof ALL)[number]): boolean {
  const op: unknown = ops[name];
  return op !== undefined;
}

function refused(driver: string, why: string): DmaBufError {
  const hint = 'see DmaBufOps (and contiguousOps for memory in one piece)';
  return new DmaBufError('EINVAL', 'dma_buf_export', `the exporter '${driver}' ${why}; ${hint}`);
}
