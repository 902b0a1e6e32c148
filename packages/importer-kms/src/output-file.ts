/**
 * A file that appears only when it is whole: written under a temporary name in the same folder,
 * renamed when closed, cut back to the last whole frame when given up.
 *
 * Owned by the writeback worker; all calls block on the file system. What exists already and is
 * no regular file (a FIFO, /dev/null) is written to directly: renaming over it would destroy it.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { getSystemErrorMap } from 'node:util';

/** A file could not be opened or written; the shape of Node's SystemError, with a remedy. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
  /** `'EACCES'`, `'ENOENT'`, `'EISDIR'`, `'ENOSPC'`, … */
  readonly code: string;
  /** Negative, in the host's numbering. */
  readonly errno: number;
  readonly syscall: string;
  readonly path: string;
  /** What was wrong, and the remedy. */
  readonly detail: string;

  constructor(code: string, errno: number, syscall: string, file: string, detail: string) {
    const text = getSystemErrorMap().get(errno)?.[1] ?? 'cannot write';
    super(`${code}: ${text}, ${syscall}: output ${JSON.stringify(file)}: ${detail}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.path = file;
    this.detail = detail;
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'it may not be written by this user; choose another folder or change its permissions',
  EPERM: 'it may not be written by this user; choose another folder or change its permissions',
  ENOENT: 'its folder does not exist; create the folder first',
  ENOTDIR: 'a part of its path is a file, not a folder; correct the path',
  EISDIR: 'it is a folder; name a file in it',
  EROFS: 'its file system is read-only; choose another folder',
  ENAMETOOLONG: 'its name is too long; choose a shorter one',
  ENOSPC: 'the disk is full; what was whole before is kept',
};

/** The error for what a call on `file` threw; what is no system error passes through. */
export function outputError(error: unknown, syscall: string, file: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    return error;
  }
  const number =
    'errno' in error && typeof error.errno === 'number' ? error.errno : -os.constants.errno.EIO;
  return new OutputError(error.code, number, syscall, file, REMEDIES[error.code] ?? error.message);
}

function attempt<T>(syscall: string, file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw outputError(error, syscall, file);
  }
}

export class OutputFile {
  /** The name as the caller gave it. */
  readonly path: string;
  /** Where the bytes shall be at last: `path` with symbolic links followed. */
  readonly #target: string;
  /** Where they are until then; undefined when the target is written to directly. */
  readonly #temporary: string | undefined;
  #fd: number | undefined;
  #written = 0;
  #whole = 0;

  /**
   * Opens it for writing; what stands under the name now stays until {@link close}. Throws
   * OutputError up front: EISDIR, EACCES (also for an existing file that is read-only), ENOENT,
   * ENOTDIR, EROFS, …
   */
  constructor(file: string) {
    this.path = file;
    const existing = attempt('stat', file, () => fs.statSync(file, { throwIfNoEntry: false }));
    if (existing?.isDirectory() === true) {
      const number = -os.constants.errno.EISDIR;
      throw new OutputError('EISDIR', number, 'open', file, REMEDIES['EISDIR'] ?? '');
    }
    if (existing !== undefined) {
      attempt('access', file, () => fs.accessSync(file, fs.constants.W_OK));
    }
    this.#target =
      existing === undefined ? file : attempt('open', file, () => fs.realpathSync(file));
    if (existing === undefined || existing.isFile()) {
      const name = `.${path.basename(this.#target)}.${randomBytes(6).toString('hex')}.part`;
      this.#temporary = path.join(path.dirname(this.#target), name);
    }
    const opened = this.#temporary ?? this.#target;
    const flags = this.#temporary === undefined ? 'w' : 'wx';
    this.#fd = attempt('open', file, () => fs.openSync(opened, flags));
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#written;
  }

  /** Whether it still takes bytes. */
  get isOpen(): boolean {
    return this.#fd !== undefined;
  }

  /** Appends bytes; returns when the system has taken all of them. */
  write(bytes: Uint8Array<ArrayBufferLike>): void {
    const fd = this.#opened();
    for (let at = 0; at < bytes.length;) {
      const from = at;
      const taken = attempt('write', this.path, () =>
        fs.writeSync(fd, bytes, from, bytes.length - from),
      );
      // Counted piece by piece: abort() must know of a frame that was written in part.
      this.#written += taken;
      at += taken;
    }
  }

  /** What has been written so far is whole, and survives {@link abort}. */
  markWhole(): void {
    this.#whole = this.#written;
  }

  /** Gives the file its name. Harmless when closed already. */
  close(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    attempt('close', this.path, () => fs.closeSync(fd));
    const temporary = this.#temporary;
    if (temporary === undefined) return;
    attempt('rename', this.path, () => fs.renameSync(temporary, this.#target));
  }

  /**
   * Gives up: keeps what was whole under the final name, or leaves nothing behind (and what was
   * there before in place) when nothing was. Harmless when closed already.
   */
  abort(): void {
    if (this.#fd === undefined) return;
    if (this.#whole > 0) {
      const fd = this.#fd;
      if (this.#temporary !== undefined && this.#written !== this.#whole) {
        attempt('ftruncate', this.path, () => fs.ftruncateSync(fd, this.#whole));
      }
      this.close();
      return;
    }
    fs.closeSync(this.#fd);
    this.#fd = undefined;
    if (this.#temporary !== undefined) fs.rmSync(this.#temporary, { force: true });
  }

  #opened(): number {
    if (this.#fd === undefined) throw new TypeError(`${this.path} is closed`);
    return this.#fd;
  }
}
