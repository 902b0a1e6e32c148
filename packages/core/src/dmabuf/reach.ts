/**
 * Reach: what of a buffer's memory an importer can get at, and the checks of it (design D4): where the buffer
 * lies, in how many pieces, and whether the importer may see protected memory at all.
 */
import { wantFlags, wantNumber, wantObject } from '../args.js';
import { DmaBufError } from '../errno.js';
import { BUFFER_FLAG } from '../memory/layout.js';
import type { BufferRecord, DmaBufOps, Importer, Reach, SgEntry } from './ops.js';

/** TypeError; EINVAL: `align` is no power of two. */
export function checkReach(call: string, name: string, reach: Reach): void {
  wantObject(call, name, reach);
  wantFlags(call, reach, ['pool', 'contiguous']);
  const { align } = reach;
  if (align === undefined) return;
  wantNumber(call, `${name}.align`, align);
  if (Number.isSafeInteger(align) && align > 0 && Number.isInteger(Math.log2(align))) return;
  throw new DmaBufError('EINVAL', call, `${name}.align of ${align}; give a power of two`);
}

/** EINVAL: the importer cannot get at memory that begins at `offset`. */
export function checkPlace(
  record: BufferRecord,
  importer: Importer,
  offset: number,
  syscall: string,
): void {
  const { reach } = importer;
  if (reach.pool === true && !record.inPool) {
    throw new DmaBufError(
      'EINVAL',
      syscall,
      `${importer.name} reaches the pool only, buffer ${record.ino} lies outside it; allocate it from a carveout or CMA heap`,
    );
  }
  const align = reach.align ?? 1;
  if (align === 0 || offset % align === 0) return;
  throw new DmaBufError(
    'EINVAL',
    syscall,
    `${importer.name} needs buffers aligned to ${align} bytes, buffer ${record.ino} starts at ${offset}; allocate with align: ${align}`,
  );
}

/** {@link checkPlace} of a scatter list, which an importer may need to be of one piece. */
export function checkList(
  record: BufferRecord,
  importer: Importer,
  sg: readonly SgEntry[],
  syscall: string,
): void {
  if (importer.reach.contiguous === true && sg.length > 1) {
    const detail = `${importer.name} needs memory in one piece, buffer ${record.ino} is in ${sg.length}`;
    throw new DmaBufError('EINVAL', syscall, detail);
  }
  const start = sg[0];
  if (start !== undefined) checkPlace(record, importer, start.offset, syscall);
}

/** ENOMEM: the list of a buffer that has no place of its own names no memory, or too little. */
export function mustBeWhole(record: BufferRecord, sg: readonly SgEntry[], syscall: string): void {
  const bytes = sg.reduce((sum, { region, length }) => sum + (region === 0 ? 0 : length), 0);
  if (bytes >= record.size) return;
  throw noMemory(record, syscall);
}

export function noMemory(record: BufferRecord, syscall: string): DmaBufError {
  const detail = `the exporter of buffer ${record.ino} gave it no memory (door.back)`;
  return new DmaBufError('ENOMEM', syscall, detail);
}

/** EPERM: protected memory, and the importer is none of those that may see it. */
export function checkPermit(
  record: BufferRecord,
  importer: Importer,
  ops: DmaBufOps,
  syscall: string,
): void {
  if ((record.flags & BUFFER_FLAG.PROTECTED) === 0) return;
  if (ops.permit !== undefined) ops.permit(record, importer, syscall);
  else if (!importer.protected) throw notPermitted(record, importer, syscall);
}

/** The refusal of protected memory; `who` says who may. */
export function notPermitted(
  record: BufferRecord,
  importer: Importer,
  syscall: string,
  who: string = 'devices that declare `protected` may use it',
): DmaBufError {
  const detail = `buffer ${record.ino} is protected, and ${importer.name} does not declare that it keeps such memory to itself; ${who}`;
  return new DmaBufError('EPERM', syscall, detail);
}
