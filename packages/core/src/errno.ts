/**
 * errno: the numbers and texts of Linux (include/uapi/asm-generic/errno*.h), and the one error
 * class that every kernel-like failure of this project is thrown as.
 *
 * The table is our own because `os.constants.errno` follows the host (macOS and Windows number
 * differently) and lacks EOWNERDEAD, EBADFD and EBADR.
 */

/** The errno names that this project raises. */
export type ErrnoCode =
  | 'EPERM'
  | 'ENOENT'
  | 'ESRCH'
  | 'EINTR'
  | 'EIO'
  | 'ENXIO'
  | 'E2BIG'
  | 'EBADF'
  | 'EAGAIN'
  | 'ENOMEM'
  | 'EACCES'
  | 'EFAULT'
  | 'EBUSY'
  | 'EEXIST'
  | 'ENODEV'
  | 'EINVAL'
  | 'ENFILE'
  | 'EMFILE'
  | 'ENOTTY'
  | 'ENOSPC'
  | 'EPIPE'
  | 'ERANGE'
  | 'EDEADLK'
  | 'ENOSYS'
  | 'EBADR'
  | 'ENODATA'
  | 'ETIME'
  | 'EOVERFLOW'
  | 'EBADFD'
  | 'EMSGSIZE'
  | 'EOPNOTSUPP'
  | 'ENOBUFS'
  | 'ETIMEDOUT'
  | 'EALREADY'
  | 'ESTALE'
  | 'ECANCELED'
  | 'EOWNERDEAD';

const TABLE: Readonly<Record<ErrnoCode, readonly [number: number, text: string]>> = {
  EPERM: [1, 'operation not permitted'],
  ENOENT: [2, 'no such file or directory'],
  ESRCH: [3, 'no such process'],
  EINTR: [4, 'interrupted system call'],
  EIO: [5, 'input/output error'],
  ENXIO: [6, 'no such device or address'],
  E2BIG: [7, 'argument list too long'],
  EBADF: [9, 'bad file descriptor'],
  EAGAIN: [11, 'resource temporarily unavailable'],
  ENOMEM: [12, 'out of memory'],
  EACCES: [13, 'permission denied'],
  EFAULT: [14, 'bad address'],
  EBUSY: [16, 'device or resource busy'],
  EEXIST: [17, 'file exists'],
  ENODEV: [19, 'no such device'],
  EINVAL: [22, 'invalid argument'],
  ENFILE: [23, 'too many open files in system'],
  EMFILE: [24, 'too many open files'],
  ENOTTY: [25, 'inappropriate ioctl for device'],
  ENOSPC: [28, 'no space left on device'],
  EPIPE: [32, 'broken pipe'],
  ERANGE: [34, 'result out of range'],
  EDEADLK: [35, 'resource deadlock avoided'],
  ENOSYS: [38, 'function not implemented'],
  EBADR: [53, 'invalid request descriptor'],
  ENODATA: [61, 'no data available'],
  ETIME: [62, 'timer expired'],
  EOVERFLOW: [75, 'value too large for defined data type'],
  EBADFD: [77, 'file descriptor in bad state'],
  EMSGSIZE: [90, 'message too long'],
  EOPNOTSUPP: [95, 'operation not supported'],
  ENOBUFS: [105, 'no buffer space available'],
  ETIMEDOUT: [110, 'connection timed out'],
  EALREADY: [114, 'operation already in progress'],
  ESTALE: [116, 'stale file handle'],
  ECANCELED: [125, 'operation canceled'],
  EOWNERDEAD: [130, 'owner died'],
};

/** Positive Linux number of each errno name: `errno.EBUSY === 16`. */
export const errno: Readonly<Record<ErrnoCode, number>> = Object.freeze(
  Object.fromEntries(Object.entries(TABLE).map(([code, [number]]) => [code, number])) as Record<
    ErrnoCode,
    number
  >,
);

const NAMES = new Map<number, ErrnoCode>(
  (Object.keys(TABLE) as ErrnoCode[]).map((code) => [TABLE[code][0], code]),
);

/** The name of an errno number of either sign; `EIO` for a number that the table lacks. */
export function errnoName(number: number): ErrnoCode {
  return NAMES.get(Math.abs(number)) ?? 'EIO';
}

/** The text that Linux prints for an errno name. */
export function errnoText(code: ErrnoCode): string {
  return TABLE[code][1];
}

/**
 * A failed kernel-like call, in the shape of Node's SystemError.
 *
 * `message` reads `EBUSY: device or resource busy, page_flip: crtc 1 has a flip pending; …`:
 * the call, the object, what was wrong and what to do about it.
 */
export class DmaBufError extends Error {
  override readonly name = 'DmaBufError';
  /** `'EBUSY'` */
  readonly code: ErrnoCode;
  /** `-16` */
  readonly errno: number;
  /** The call that failed, by its kernel name where it has one: `'page_flip'`. */
  readonly syscall: string;
  /** What was wrong with which object, and the remedy. */
  readonly detail: string;

  constructor(code: ErrnoCode, syscall: string, detail: string) {
    super(`${code}: ${errnoText(code)}, ${syscall}${detail === '' ? '' : `: ${detail}`}`);
    this.code = code;
    this.errno = -errno[code];
    this.syscall = syscall;
    this.detail = detail;
  }

  /** The error for a (negative or positive) errno number that came out of kernel memory. */
  static of(number: number, syscall: string, detail: string): DmaBufError {
    return new DmaBufError(errnoName(number), syscall, detail);
  }
}
