/** What a job is when it is added, and the plain value that its fence is. */

/** A fence by its plain value: where it was, which one, and its point on its context. */
export interface FencePoint {
  /** Pointer of the job record. */
  readonly slot: number;
  /** All 32 bits of the generation that the slot had. */
  readonly generation: number;
  /** Id of the context (see Contexts). */
  readonly context: number;
  /** Point on the context, from 1. */
  readonly seqno: number;
}

/** What adding a job is told. */
export interface JobSpec {
  /** Pointer of the context. */
  readonly context: number;
  /** Queue pointers | LINK_FLAG.EXCLUSIVE, DISCARD, BOOKKEEP. */
  readonly claims: readonly number[];
  /** Fences that must have signalled before it runs. */
  readonly inFences: readonly FencePoint[];
  /** JOB_FLAG.* */
  readonly flags: number;
  /** ms of the machine's clock; 0: any time. */
  readonly startAt: number;
  /** ms; 0: the default. */
  readonly limit: number;
  /** msgpack bytes, or with INT_PAYLOAD the integer. */
  readonly payload: Uint8Array | number;
}
