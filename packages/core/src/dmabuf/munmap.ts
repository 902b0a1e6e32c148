/** munmap: the end of a CPU mapping, by its holder record. */
import { BUFFER, HOLDER } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';

/** Takes a mapping back (munmap): the holder's, whoever owned it. */
export function dmaBufMunmap(
  s: Pick<BufferServices, 'kernel' | 'importers' | 'holders' | 'buffers'>,
  holder: number,
): void {
  const { words } = s.kernel;
  const { pointer } = s.importers.recordOf(holder);
  s.importers.locked(pointer, () => {
    if (words.get(holder + HOLDER.MAPS) === 0) return; // its thread died in mmap or munmap
    words.set(holder + HOLDER.MAPS, 0);
    words.set(pointer + BUFFER.MAPPINGS, words.get(pointer + BUFFER.MAPPINGS) - 1);
  });
  s.holders.drop(holder);
}
