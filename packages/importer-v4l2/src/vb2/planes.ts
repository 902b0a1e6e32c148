/**
 * The planes of a buffer: checked as user space gives them, and given memory.
 *
 * Follows __verify_planes_array, __verify_length, vb2_fill_vb2_v4l2_buffer and __prepare_dmabuf
 * (videobuf2-v4l2.c, videobuf2-core.c).
 */
import { DmaBufError } from '@dmabuf/core';
import { isOutput, V4L2_MEMORY_DMABUF, VIDEO_MAX_PLANES } from '../videodev2.js';
import type { PlaneMemory, V4l2Buffer, V4l2Plane, Vb2Buffer, Vb2Plane } from './buffer.js';
import type { Vb2MemOps } from './ops.js';

function refuse(call: string, detail: string): DmaBufError {
  return new DmaBufError('EINVAL', call, detail);
}

/** `length` and `bytesused` of a plane are whole numbers that fit. */
function checkPlane(call: string, given: V4l2Plane, i: number, capacity: number): void {
  const { bytesused = 0, data_offset: dataOffset = 0 } = given;
  for (const [name, value] of [
    ['bytesused', bytesused],
    ['data_offset', dataOffset],
    ['length', given.length ?? 0],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw refuse(call, `${name} ${value} of plane ${i}; give a whole number of bytes`);
  }
  if (bytesused > capacity) {
    throw refuse(call, `bytesused ${bytesused} of plane ${i} is more than its ${capacity} bytes`);
  }
  if (dataOffset > 0 && dataOffset >= bytesused) {
    throw refuse(
      call,
      `data_offset ${dataOffset} of plane ${i} is not below its bytesused ${bytesused}`,
    );
  }
}

/** The planes array has as many planes as the format. Throws `EINVAL`. */
export function checkPlanesArray<M extends PlaneMemory>(
  call: string,
  given: V4l2Buffer,
  buffer: Vb2Buffer<M>,
): readonly V4l2Plane[] {
  const planes: readonly V4l2Plane[] | undefined = given.planes;
  if (!Array.isArray(planes)) throw refuse(call, 'planes is missing: an array, one entry a plane');
  const need = buffer.planes.length;
  if (planes.length >= need && planes.length <= VIDEO_MAX_PLANES) return planes as V4l2Plane[];
  const detail = `${planes.length} planes for a format of ${need} (at most ${VIDEO_MAX_PLANES})`;
  throw refuse(call, detail);
}

/** What each plane of a DMABUF buffer shall be. */
interface Wanted {
  readonly fd: number;
  readonly length: number;
  readonly identity: number;
}

function wantedOf<M extends PlaneMemory>(
  call: string,
  mem: Vb2MemOps<M>,
  plane: Vb2Plane<M>,
  given: V4l2Plane,
  i: number,
): Wanted {
  const fd = given.m?.fd ?? -1;
  let found: PlaneMemory;
  try {
    found = mem.lookup(fd);
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    throw refuse(call, `plane ${i}: fd ${fd} is no dma-buf of this process (${error.detail})`);
  }
  const length = given.length === undefined || given.length === 0 ? found.size : given.length;
  if (length > found.size || length < plane.minLength) {
    const detail = `plane ${i}: ${length} bytes of a dma-buf of ${found.size}; the format needs ${plane.minLength}`;
    throw refuse(call, detail);
  }
  return { fd, length, identity: found.identity };
}

/** Gives the memory of all planes back; one that serves several of them once. */
export function releasePlanes<M extends PlaneMemory>(
  buffer: Vb2Buffer<M>,
  mem: Vb2MemOps<M>,
): void {
  const seen = new Set<M>();
  for (const plane of buffer.planes) {
    const { memory } = plane;
    plane.memory = undefined;
    if (memory === undefined || seen.has(memory)) continue;
    seen.add(memory);
    mem.release(memory);
  }
}

/** Attaches what `wanted` names: each dma-buf once. All or nothing. */
function attachPlanes<M extends PlaneMemory>(
  buffer: Vb2Buffer<M>,
  mem: Vb2MemOps<M>,
  wanted: readonly Wanted[],
): void {
  const attached = new Map<number, M>();
  try {
    buffer.planes.forEach((plane, i) => {
      const want = wanted[i];
      if (want === undefined) return;
      const memory = attached.get(want.identity) ?? mem.attach(want.fd);
      attached.set(want.identity, memory);
      plane.memory = memory;
      plane.length = want.length;
    });
  } catch (error) {
    releasePlanes(buffer, mem);
    throw error;
  }
}

/**
 * Takes a buffer's planes over from user space. With DMABUF the attachment is kept as long as the same
 * dma-buf and length come back for each plane; otherwise all are detached and attached anew.
 */
export function preparePlanes<M extends PlaneMemory>(
  call: string,
  buffer: Vb2Buffer<M>,
  given: readonly V4l2Plane[],
  mem: Vb2MemOps<M>,
): void {
  const output = isOutput(buffer.type);
  const dmabuf = buffer.memory === V4L2_MEMORY_DMABUF;
  const wanted = dmabuf
    ? buffer.planes.map((plane, i) => wantedOf(call, mem, plane, given[i] ?? {}, i))
    : [];
  buffer.planes.forEach((plane, i) => {
    if (output) checkPlane(call, given[i] ?? {}, i, wanted[i]?.length ?? plane.length);
  });
  const same = buffer.planes.every(
    ({ memory, length }, i) =>
      memory !== undefined &&
      (!dmabuf || (memory.identity === wanted[i]?.identity && length === wanted[i]?.length)),
  );
  if (!same) {
    releasePlanes(buffer, mem);
    attachPlanes(buffer, mem, wanted);
  }
  buffer.planes.forEach((plane, i) => {
    plane.fd = wanted[i]?.fd ?? -1;
    // A packet of no bytes said to be none means all of the buffer, as vb2 takes it.
    plane.bytesused = output ? given[i]?.bytesused || plane.length : 0;
    plane.dataOffset = output ? (given[i]?.data_offset ?? 0) : 0;
  });
}
