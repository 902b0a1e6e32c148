/** What a context is made with: how its jobs reach their actor, and before whose they start there. */
import { wantFlags, wantObject, wrongType } from '../args.js';
import { CONTEXT_FLAG } from '../memory/layout.js';

/** Whose jobs an actor starts first (EGL_IMG_context_priority; the DRM scheduler's priorities). */
export type Priority = 'low' | 'normal' | 'high';

export interface ContextOptions {
  /** Jobs are handed to the actor as they are added, and wait there. Default false. */
  readonly early?: boolean;
  /** Default `'normal'`. */
  readonly priority?: Priority;
}

const PRIORITY: Readonly<Record<Priority, number>> = {
  low: CONTEXT_FLAG.LOW,
  normal: 0,
  high: CONTEXT_FLAG.HIGH,
};

/** CONTEXT_FLAG.* of these options. TypeError. */
export function contextFlags(options: ContextOptions): number {
  wantObject('createContext', 'options', options);
  wantFlags('createContext', options, ['early']);
  const { early, priority = 'normal' } = options;
  if (!Object.hasOwn(PRIORITY, priority)) {
    throw wrongType('createContext', 'priority', "'low', 'normal' or 'high'", priority);
  }
  return PRIORITY[priority] | (early === true ? CONTEXT_FLAG.EARLY : 0);
}
