/**
 * What a camera looks at: pictures by number.
 */
import type { CameraFormat, CameraSpec } from '../camera-state.js';
import { TestPattern } from './test-pattern.js';
import { Y4mSource } from './y4m-source.js';

export interface FrameSource {
  /** How many frames there are; Infinity without end. */
  readonly frames: number;
  /** Writes frame `number` to `dst`, tightly packed; the bytes that were copied. EIO: it cannot be had. */
  write(number: number, format: CameraFormat, dst: Uint8Array<ArrayBufferLike>): number;
}

/** What `spec` names. `pattern` says which test pattern is meant now. EIO: the file cannot be read. */
export function openSource(spec: CameraSpec, pattern: () => number): FrameSource {
  return spec.file === '' ? new TestPattern(pattern) : new Y4mSource(spec);
}
