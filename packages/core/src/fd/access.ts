/**
 * What an fd of a dma-buf may be used for (O_ACCMODE). It is chosen when the fd is made, and whoever dups or passes it
 * hands on as much or less, never more.
 */
import { wrongType } from '../args.js';
import { DmaBufError } from '../errno.js';
import { FD_FLAG } from '../memory/layout.js';

/** `read`: CPU and devices only read by it; `readwrite`: both. */
export type FdAccess = 'read' | 'readwrite';

/** FD_FLAG.* of an fd that is made from one with `flags`. TypeError; EACCES: more was asked for. */
export function narrowed(
  flags: number,
  access: FdAccess | undefined,
  fd: number,
  syscall: string,
): number {
  if (access === undefined) return flags;
  if (access === 'read') return flags & ~FD_FLAG.WRITE;
  if (access !== 'readwrite') {
    throw wrongType(syscall, 'access', "'read' or 'readwrite'", access);
  }
  if ((flags & FD_FLAG.WRITE) !== 0) return flags;
  const detail = `fd ${fd} is for reading only, and hands on no more than it has; ask its giver for one that may write`;
  throw new DmaBufError('EACCES', syscall, detail);
}

/** EACCES of a use that writes. */
export function readOnly(fd: number, ino: number, syscall: string): DmaBufError {
  const detail = `fd ${fd} of buffer ${ino} is for reading only; ask its giver for one that may write`;
  return new DmaBufError('EACCES', syscall, detail);
}
