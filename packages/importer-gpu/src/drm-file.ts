/**
 * DrmFile: an open file of the GPU's device node, with GEM handles for buffers, after
 * drivers/gpu/drm/drm_gem.c and drm_prime.c.
 *
 * Handles are small integers of one file, lowest free first. A buffer has at most one handle in a file: importing
 * it again gives the same one, as does importing what the file itself exported. Handles are not counted: one
 * `gemClose` ends a handle, however often it was imported (so close it once, as with the kernel's).
 *
 * The file lives in the thread that opened it; it holds an fd and an attachment for each handle, which
 * core takes back should the thread die.
 */
import {
  DmaBufError,
  type Attachment,
  type DmaBuf,
  type Machine,
  type Mapping,
  type MmapOptions,
} from '@dmabuf/core';
import { isGpuInfo } from './spec.js';

/** Flags of {@link DrmFile.primeHandleToFd}, include/uapi/drm/drm.h. */
export const DRM_CLOEXEC = 0o2000000;
/** The fd may write, not only read. */
export const DRM_RDWR = 0o2;

interface Entry {
  readonly buffer: DmaBuf;
  readonly attachment: Attachment;
}

export class DrmFile {
  readonly path: string;
  readonly #machine: Machine;
  readonly #actor: number;
  readonly #entries: Map<number, Entry> = new Map();
  #open = true;

  private constructor(machine: Machine, path: string) {
    const node = machine.device(path);
    if (!isGpuInfo(node.info)) {
      const detail = `'${path}' is a device of driver '${node.driver}', no GPU`;
      throw new DmaBufError('ENODEV', 'open', detail);
    }
    this.path = path;
    this.#machine = machine;
    this.#actor = node.actor;
  }

  /** Opens the device. The caller closes it. ENOENT, ENODEV: no GPU at `path`. */
  static open(machine: Machine, path: string = '/dev/dri/renderD128'): DrmFile {
    return new DrmFile(machine, path);
  }

  /**
   * A new buffer of zeroed memory of its own (core's system heap), by its handle. ENOMEM; EINVAL: not a
   * positive size, or a GPU that reaches the pool alone; EMFILE, ENFILE, ENOSPC: a table is full.
   */
  gemCreate(bytes: number, options: { readonly name?: string } = {}): number {
    this.#check('gem_create');
    return this.#add(this.#machine.alloc(bytes, options));
  }

  /** DRM_IOCTL_GEM_CLOSE. Images and mappings of the buffer stay. EINVAL: no such handle. */
  gemClose(handle: number): void {
    this.#check('gem_close');
    const entry = this.#entries.get(handle);
    if (entry === undefined) throw this.#unknown('EINVAL', 'gem_close', handle);
    this.#entries.delete(handle);
    give(entry);
  }

  /**
   * DRM_IOCTL_PRIME_HANDLE_TO_FD: another fd of the buffer, whoever exported it; the caller's own. With DRM_RDWR
   * it may write, else it is for reading only. ENOENT: no such handle; EINVAL: other flags than DRM_CLOEXEC and
   * DRM_RDWR; EACCES: the handle was imported by an fd that is for reading only; EMFILE.
   */
  primeHandleToFd(handle: number, flags: number = DRM_CLOEXEC | DRM_RDWR): DmaBuf {
    this.#check('prime_handle_to_fd');
    if ((flags & ~(DRM_CLOEXEC | DRM_RDWR)) !== 0 || !Number.isInteger(flags)) {
      const detail = `flags ${flags}; only DRM_CLOEXEC and DRM_RDWR are known`;
      throw new DmaBufError('EINVAL', 'prime_handle_to_fd', detail);
    }
    const { buffer } = this.#entry('prime_handle_to_fd', handle);
    return buffer.dup((flags & DRM_RDWR) === 0 ? 'read' : 'readwrite');
  }

  /**
   * DRM_IOCTL_PRIME_FD_TO_HANDLE: the handle of the buffer behind an fd, the same one as before if the file has one.
   * The fd stays the caller's. EBADF: not open; EINVAL: no dma-buf, or memory that the GPU cannot reach; what the
   * exporter's attach refuses with; EMFILE, ENFILE. A refused import leaves no residue.
   */
  primeFdToHandle(fd: number): number {
    this.#check('prime_fd_to_handle');
    const own = dupOf(this.#machine, fd);
    const known = this.#find(own);
    if (known === undefined) return this.#add(own);
    const [handle, entry] = known;
    if (entry.buffer.mode === 'readwrite' || own.mode === 'read') own.close();
    else this.#replace(handle, entry, own);
    return handle;
  }

  /**
   * The file's own handle of a buffer, for `importImage` and whatever else takes one. It is void once the GEM
   * handle is closed. ENOENT: no such handle.
   */
  buffer(handle: number): DmaBuf {
    this.#check('gem_lookup');
    return this.#entry('gem_lookup', handle).buffer;
  }

  /**
   * A CPU mapping (drm_gem_prime_mmap): of an imported buffer, too, by its exporter's own op and with its refusal
   * (ENODEV, EPERM). The caller closes it; it may outlive the handle. ENOENT: no such handle.
   */
  gemMmap(handle: number, options: MmapOptions = {}): Mapping {
    this.#check('mmap');
    return this.#entry('mmap', handle).attachment.mmap(options);
  }

  /** Open handles, ascending. */
  get handles(): readonly number[] {
    return [...this.#entries.keys()].sort((a, b) => a - b);
  }

  /** Closes the file and all its handles. Harmless the second time. */
  close(): void {
    this.#open = false;
    for (const [handle, entry] of this.#entries) {
      this.#entries.delete(handle);
      give(entry);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes a handle for a buffer that is not in the file yet; takes its fd over. */
  #add(buffer: DmaBuf): number {
    try {
      const attachment = buffer.attach(this.#actor);
      let handle = 1;
      while (this.#entries.has(handle)) handle++;
      this.#entries.set(handle, { buffer, attachment });
      return handle;
    } catch (error) {
      buffer.close();
      throw error;
    }
  }

  /** Has a handle go by an fd with more rights than the one that it was made by. */
  #replace(handle: number, old: Entry, buffer: DmaBuf): void {
    try {
      this.#entries.set(handle, { buffer, attachment: buffer.attach(this.#actor) });
    } catch (error) {
      buffer.close();
      throw error;
    }
    give(old);
  }

  #find({ record }: DmaBuf): readonly [number, Entry] | undefined {
    for (const [handle, entry] of this.#entries) {
      const other = entry.buffer.record;
      if (other.pointer === record.pointer && other.ino === record.ino) return [handle, entry];
    }
    return undefined;
  }

  #entry(call: string, handle: number): Entry {
    const entry = this.#entries.get(handle);
    if (entry !== undefined) return entry;
    throw this.#unknown('ENOENT', call, handle);
  }

  #unknown(code: 'EINVAL' | 'ENOENT', call: string, handle: number): DmaBufError {
    const open = this.handles.join(', ') || 'none';
    return new DmaBufError(code, call, `no handle ${handle} in this file (open are: ${open})`);
  }

  #check(call: string): void {
    if (this.#open) return;
    throw new DmaBufError('EBADF', call, `the file of '${this.path}' is closed`);
  }
}

function give({ buffer, attachment }: Entry): void {
  attachment.detach();
  buffer.close();
}

/** An fd of the file's own for a buffer that the caller has by `fd`. */
function dupOf(machine: Machine, fd: number): DmaBuf {
  const theirs = machine.dmabuf(fd);
  return theirs.dup();
}
