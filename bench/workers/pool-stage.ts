/** A stage of a pipeline as a task of piscina or tinypool: a frame comes and goes with each call. */
import { touch } from './touch.js';

interface Task {
  readonly frame: Uint32Array<ArrayBuffer>;
  readonly last: boolean;
}

/** Touches a frame and gives it back. */
export function stage({ frame, last }: Task): Uint32Array<ArrayBuffer> {
  if (!last) touch(frame);
  else if (frame[0] === 0) throw new Error('a frame came without having been touched');
  return frame;
}
