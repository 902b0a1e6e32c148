/**
 * Claims: from what a job's steps read and write, how it claims each buffer (design D6, D8).
 *
 * Read only: shared. Written: exclusive; or discard, when the first step that touches the buffer
 * overwrites all of the image without reading it (clear, fill, blit, copy over the whole image) and
 * nothing else in that buffer is read: a failed writer before such a job does not matter.
 * A buffer that is read and written has one claim.
 */
import { DmaBufError, type Access } from '@dmabuf/core';
import { touches, type Step, type Touch } from './step.js';

/** What of an image decides. */
export interface ClaimImage {
  /** The same number for images of the same buffer. */
  readonly key: number;
  readonly width: number;
  readonly height: number;
}

interface Use {
  written: boolean;
  /** Index of the image that the first step overwrote whole; −1: none. */
  discards: number;
}

/** How each buffer is claimed, by key, in the order in which steps touch them. */
export function deriveClaims(
  steps: readonly Step[],
  images: readonly ClaimImage[],
): ReadonlyMap<number, Access> {
  const uses = new Map<number, Use>();
  const read = (index: number, image: ClaimImage): void => {
    const use = uses.get(image.key);
    if (use === undefined) uses.set(image.key, { written: false, discards: -1 });
    else if (use.discards !== index) use.discards = -1;
  };
  const write = ({ image: index, whole }: Touch, image: ClaimImage): void => {
    const use = uses.get(image.key);
    if (use !== undefined) use.written = true;
    else uses.set(image.key, { written: true, discards: whole ? index : -1 });
  };
  for (const step of steps) {
    const touched = touches(step, images);
    for (const reads of [true, false]) {
      for (const touch of touched) {
        const image = images[touch.image];
        if (image === undefined) continue;
        if (reads && touch.reads) read(touch.image, image);
        if (!reads && touch.writes) write(touch, image);
      }
    }
  }
  const access = ({ written, discards }: Use): Access => {
    if (!written) return 'shared';
    return discards >= 0 ? 'discard' : 'exclusive';
  };
  return new Map([...uses].map(([key, use]) => [key, access(use)]));
}

/**
 * EINVAL: a job writes a buffer from which it takes vertices or indices. They are checked before its first command runs, so
 * they must be there by then.
 */
export function checkMeshes(steps: readonly Step[], images: readonly ClaimImage[]): void {
  const keyOf = (image: number): number | undefined => images[image]?.key;
  const touched = steps.flatMap((step) => touches(step, images));
  const written = new Set(touched.filter(({ writes }) => writes).map(({ image }) => keyOf(image)));
  for (const step of steps) {
    if (step.op !== 'triangles') continue;
    for (const source of [step.vertices, step.indices]) {
      if (typeof source !== 'number' || !written.has(keyOf(source))) continue;
      const detail =
        'the job writes a buffer of vertices or indices; draw them in a job of its own';
      throw new DmaBufError('EINVAL', 'submit', detail);
    }
  }
}
