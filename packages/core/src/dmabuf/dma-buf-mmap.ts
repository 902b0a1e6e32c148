/**
 * dma_buf_mmap: the one way to a CPU mapping, an importer's too: through the exporter's op, never
 * around it, counted in the buffer (MMAPS).
 */
import { wantNumberOrNone, wantObject } from '../args.js';
import { DmaBufError } from '../errno.js';
import { BUFFER, BUFFER_FLAG, HOLDER, HOLDER_KIND } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';
import { Mapping } from './mapping.js';
import type { BufferRecord } from './ops.js';

/** Bytes from the start of the buffer; default: all of it, or all from `offset` on. */
export interface MmapOptions {
  readonly offset?: number;
  readonly length?: number;
}

/**
 * Maps a range for the CPU. ENODEV: the exporter offers no mmap; EPERM: the memory is protected; EINVAL: out of
 * bounds; EOVERFLOW: offset + length is no safe integer; ENOMEM: deferred memory could not be had;
 * ENFILE: tables.holders. The exporter's own refusal passes through.
 */
export function dmaBufMmap(
  s: BufferServices,
  record: BufferRecord,
  options: MmapOptions,
  writable: boolean,
  place?: string,
): Mapping {
  wantObject('mmap', 'options', options);
  const { offset = 0, length = record.size - offset } = options;
  wantNumberOrNone('mmap', 'offset', offset);
  wantNumberOrNone('mmap', 'length', length);
  const ops = s.buffers.opsOf(record);
  const unmappable = BUFFER_FLAG.NO_MMAP | BUFFER_FLAG.SCATTER;
  const { flags } = record;
  if (ops.mmap === undefined || (flags & unmappable) !== 0) {
    const detail = `the exporter of buffer ${record.ino} offers no CPU mapping; use a device, or skip the buffer`;
    throw new DmaBufError('ENODEV', 'mmap', detail);
  }
  if ((flags & BUFFER_FLAG.PROTECTED) !== 0) {
    throw new DmaBufError('EPERM', 'mmap', `buffer ${record.ino} is protected: devices only`);
  }
  checkRange(record, offset, length);
  const { words } = s.kernel;
  const info = { kind: HOLDER_KIND.MAPPING, buffer: record.pointer, offset, length };
  const holder = s.holders.take(info, 'mmap');
  try {
    s.importers.locked(record.pointer, () => {
      ops.mmap?.(record, offset, length);
      s.importers.mustHaveMemory(record, 'mmap');
      s.regions.get(record.region); // imported now: the mapping outlives the fd that entitles to it
      s.shadows?.open(record);
      words.set(record.pointer + BUFFER.MAPPINGS, words.get(record.pointer + BUFFER.MAPPINGS) + 1);
      words.set(holder + HOLDER.MAPS, 1);
    });
  } catch (error) {
    s.holders.drop(holder);
    throw error;
  }
  words.add(record.pointer + BUFFER.MMAPS, 1);
  words.add(record.pointer + BUFFER.OP_CALLS, 1);
  return new Mapping(s, record, holder, { offset, length, writable }, place);
}

function checkRange(record: BufferRecord, offset: number, length: number): void {
  const end = offset + length;
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && !Number.isSafeInteger(end)) {
    throw new DmaBufError(
      'EOVERFLOW',
      'mmap',
      `offset ${offset} + length ${length} is no safe integer`,
    );
  }
  const whole = Number.isInteger(offset) && Number.isInteger(length);
  if (whole && offset >= 0 && length > 0 && end <= record.size) return;
  throw new DmaBufError(
    'EINVAL',
    'mmap',
    `bytes ${offset} to ${end} are not inside buffer ${record.ino} of ${record.size} bytes`,
  );
}
