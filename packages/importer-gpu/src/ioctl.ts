/** What the driver half asks of the device half by ioctl. */

export const IOCTL = {
  /** args: a context id, whose scratch buffer has been sent as an fd tagged [SCRATCH_TAG, id]. */
  SCRATCH: 'gpu_scratch',
  /** args: a context id, whose scratch is taken back. */
  DROP_SCRATCH: 'gpu_drop_scratch',
  /** args: [context id, seqno]; the reply is a text, or null. */
  EXPLAIN: 'gpu_explain',
  /** args: a kernel id; the device loads it. */
  LOAD_KERNEL: 'gpu_load_kernel',
} as const;

export const SCRATCH_TAG = 'gpu-scratch';
