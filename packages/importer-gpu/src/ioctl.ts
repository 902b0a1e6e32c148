/** What the driver half asks of the device half by ioctl, and of the shader cores. */
import { DmaBufError } from '@dmabuf/core';

export const IOCTL = {
  /** args: a context id, whose scratch buffer has been sent as an fd tagged [SCRATCH_TAG, id]. */
  SCRATCH: 'gpu_scratch',
  /** args: a context id, whose scratch is taken back. */
  DROP_SCRATCH: 'gpu_drop_scratch',
  /** args: [context id, seqno]; the reply is a text, or null. */
  EXPLAIN: 'gpu_explain',
  /** args: a kernel id; the device loads it, and so does each core. */
  LOAD_KERNEL: 'gpu_load_kernel',
} as const;

/** The arguments of an ioctl that takes some integers. EINVAL. */
export function integers(request: string, args: unknown, count: number): readonly number[] {
  const values: unknown[] = Array.isArray(args) ? args : [];
  const numbers = values.filter((v): v is number => typeof v === 'number' && Number.isInteger(v));
  if (numbers.length === count && values.length === count) return numbers;
  throw new DmaBufError('EINVAL', request, `takes ${count} integers, got ${JSON.stringify(args)}`);
}

/** The argument of {@link IOCTL.LOAD_KERNEL}. EINVAL. */
export function kernelId(args: unknown): number {
  const [id = 0] = integers(IOCTL.LOAD_KERNEL, [args], 1);
  return id;
}

export const SCRATCH_TAG = 'gpu-scratch';
