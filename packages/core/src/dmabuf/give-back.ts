/** Takes back what a process held of buffers beside its fds: on leave, and for the dead. */
import { HOLDER, HOLDER_KIND } from '../memory/layout.js';
import type { BufferServices } from './dmabuf.js';
import { dmaBufMunmap } from './munmap.js';
import { vunmap } from './vmap.js';

/** Ends all attachments and mappings of an actor. Can be done twice; runs exporter ops. */
export function giveBackHolders(
  s: Pick<BufferServices, 'kernel' | 'importers' | 'holders' | 'buffers'>,
  actor: number,
): void {
  const { words } = s.kernel;
  for (const holder of [...s.holders.ownedBy(actor)]) {
    const kind = words.get(holder + HOLDER.KIND);
    if (kind === HOLDER_KIND.MAPPING) dmaBufMunmap(s, holder);
    else if (kind === HOLDER_KIND.ATTACHMENT) s.importers.detach(holder);
    else if (kind === HOLDER_KIND.VMAP) vunmap(s, holder);
    else s.holders.drop(holder);
  }
}
