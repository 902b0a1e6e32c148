/**
 * What commits change, once they are shown: pure functions of the CRTC.
 */
import type { Commit } from './crtc-job.js';
import { planesOf } from './crtc-job.js';
import { fullScreen, planeOff, type PlaneState } from './plane-state.js';
import type { PlaneChange } from './scanout.js';

type Size = { readonly hdisplay: number; readonly vdisplay: number };

/** What a commit changes; a flip shows its framebuffer where `primary` is, full screen if that is off. */
export function changesOf(
  { command, members, job: first }: Commit,
  primary: PlaneState,
  { hdisplay, vdisplay }: Size,
): PlaneChange[] {
  if (command.kind === 'flip') {
    const state =
      primary.fb === 0
        ? fullScreen(primary, command.fb, hdisplay, vdisplay)
        : { ...primary, fb: command.fb };
    return [{ plane: 0, state, job: first }];
  }
  const changes: PlaneChange[] = [];
  for (const { job, update } of members) {
    if (update === undefined) continue;
    const claims = job.buffers.length > 0 && update.state.fb !== 0;
    changes.push({ ...update, job: claims ? job : undefined });
  }
  return changes;
}

/**
 * One change a plane, the newest. A change that claims no framebuffer of its own moves the one that is there:
 * should that not have been shown, what is there stays. `shown`: the framebuffer on a plane.
 */
export function effectiveChanges(
  changes: readonly PlaneChange[],
  shown: (plane: number) => number,
): PlaneChange[] {
  if (changes.length === 1 && changes[0]?.job !== undefined) return [changes[0]];
  const newest = new Map<number, PlaneChange>();
  for (const change of changes) {
    const { plane, state, job } = change;
    const before = newest.get(plane);
    if (job !== undefined || state.fb === 0) newest.set(plane, change);
    else if ((before?.state.fb ?? shown(plane)) === state.fb) {
      newest.set(plane, { plane, state, job: before?.job });
    }
  }
  return [...newest.values()];
}

/** Of commits that are due at one vblank, oldest first: those that newer ones replace on all their planes. */
export function replacedOf(ready: readonly Commit[], size: Size): Set<Commit> {
  const replaced = new Set<number>();
  const dropped = new Set<Commit>();
  const left: Commit[] = [];
  for (const commit of [...ready].reverse()) {
    const planes = planesOf(commit);
    if (left.length > 0 && planes.length > 0 && planes.every((plane) => replaced.has(plane))) {
      dropped.add(commit);
      continue;
    }
    left.push(commit);
    for (const { plane, state, job } of changesOf(commit, planeOff(0), size)) {
      if (job !== undefined || state.fb === 0) replaced.add(plane);
    }
  }
  return dropped;
}
