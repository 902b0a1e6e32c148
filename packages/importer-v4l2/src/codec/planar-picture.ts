/**
 * A picture whose planes lie in plain memory, as decoders that keep none of their own hand it out.
 */
import type { Colour } from '../bitstream/picture-format.js';
import type { Picture } from './codec.js';
import { writeI420, type PlanarPicture } from './planes.js';

/** A picture of I420 or NV12 planes, given out as I420. */
export function planarPicture(
  planar: PlanarPicture,
  about: {
    readonly timestamp: number;
    readonly colour: Colour;
    readonly keyframe: boolean;
    readonly damaged: boolean;
  },
): Picture {
  const { width, height } = planar;
  return {
    ...about,
    fourcc: 'YU12',
    width,
    height,
    codedWidth: width,
    codedHeight: height,
    crop: { left: 0, top: 0, width, height },
    copyTo: (dst, layout) => writeI420(dst, layout, planar),
  };
}
