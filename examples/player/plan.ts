/**
 * The plan of a run: everything about a clip that queueing its frames needs, as plain data, so
 * that the main thread and the feeder queue from the same list.
 */
import type { Clip } from './clip.js';

/** One packet, staged in the bitstream buffer. */
export interface PlannedPacket {
  /** Bytes from the start of the bitstream buffer. */
  readonly offset: number;
  readonly size: number;
  /** ms. */
  readonly timestamp: number;
}

/** One picture: the packets to decode for it, of which the last one shows it. */
export interface PlannedFrame {
  /** Packets of hidden frames before it. */
  readonly hidden: readonly PlannedPacket[];
  readonly shown: PlannedPacket;
}

/** Start of each packet in the bitstream: a cache line, so that no two share one. */
const ALIGN = 64;

export interface Plan {
  readonly frames: readonly PlannedFrame[];
  /** Bytes of the bitstream buffer. */
  readonly bytes: number;
}

/** ms from a picture to the next that claims the same time: pictures are bound by timestamps. */
const TICK = 0.001;

/** Lays the packets of a clip out one after the other. Trailing packets that show nothing are left. */
export function makePlan(clip: Clip): Plan {
  const frames: PlannedFrame[] = [];
  let hidden: PlannedPacket[] = [];
  let bytes = 0;
  let last = -Infinity;
  for (const { data, timestamp, shown } of clip.packets) {
    const time = shown ? Math.max(timestamp, last + TICK) : timestamp;
    const packet = { offset: bytes, size: data.length, timestamp: time };
    bytes += Math.ceil(data.length / ALIGN) * ALIGN;
    if (!shown) {
      hidden.push(packet);
      continue;
    }
    last = time;
    frames.push({ hidden, shown: packet });
    hidden = [];
  }
  return { frames, bytes: Math.max(bytes, ALIGN) };
}

/** Copies the packets to where the plan has them. */
export function stage(clip: Clip, bytes: Uint8Array<ArrayBufferLike>): void {
  let at = 0;
  for (const { data } of clip.packets) {
    bytes.set(data, at);
    at += Math.ceil(data.length / ALIGN) * ALIGN;
  }
}
