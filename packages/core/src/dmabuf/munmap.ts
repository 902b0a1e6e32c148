/** munmap: the end of a CPU mapping, by its holder record. */
import { BUFFER } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';

/** Takes a mapping back (munmap): the holder's, whoever owned it. */
export function dmaBufMunmap(
  s: Pick<BufferServices, 'kernel' | 'importers' | 'holders' | 'buffers'>,
  holder: number,
): void {
  const { words } = s.kernel;
  const { pointer } = s.importers.recordOf(holder);
  s.importers.locked(pointer, () => {
    words.set(pointer + BUFFER.MAPPINGS, words.get(pointer + BUFFER.MAPPINGS) - 1);
  });
  s.holders.free(holder);
  s.buffers.unref(pointer);
}
