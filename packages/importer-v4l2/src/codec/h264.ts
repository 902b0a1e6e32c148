/**
 * H.264 Baseline and Constrained Baseline by h264bsd (package h264decoder), synchronous.
 *
 * One packet in, its picture out: no reordering. h264bsd says nothing useful about damage: a
 * spoilt picture blocks the next packet's output, and what follows is predicted from concealment.
 * So after a packet that should have given a picture and did not, the context is dropped and
 * packets are refused until the next IDR picture starts a new one. A trap takes the same way, and
 * where pictures are left in place so does another SPS: h264bsd would free the frames of the old one.
 */
import { createRequire } from 'node:module';
import { DmaBufError } from '@dmabuf/core';
import { joinNalUnits, NAL_PPS, NAL_SPS } from '../bitstream/annexb.js';
import type { H264Sps } from '../bitstream/h264-sps.js';
import { H264ParameterSets } from '../bitstream/h264-slice.js';
import type {
  Availability,
  CodecInfo,
  Decoded,
  Decoder,
  Holds,
  OpenOptions,
  Packet,
  Picture,
  PicturePlace,
} from './codec.js';
import { H264Frames } from './h264-frames.js';
import { H264_ACCEPTS, inspectH264, readH264Packet, type H264Packet } from './h264-support.js';
import {
  H264BSD_MEMALLOC_ERROR,
  H264BSD_PIC_RDY,
  H264BSD_TRAP,
  H264Wasm,
  MAX_INPUT_BYTES,
  type H264Frame,
} from './h264-wasm.js';
import { copyPlanes, type PlaneLayout, type SourcePlane } from './planes.js';
import { parseFault } from './unsupported.js';

const NOTHING: Decoded = Object.freeze({ pictures: [], fault: undefined });

function faulty(fault: DmaBufError): Decoded {
  return { pictures: [], fault };
}

function damaged(detail: string): Decoded {
  return faulty(new DmaBufError('EIO', 'decode', detail));
}

/** The visible part of each I420 plane of a frame in wasm memory. Crop offsets are even. */
function visiblePlanes(frame: H264Frame, sps: H264Sps): SourcePlane[] {
  const { left, top, width, height } = sps.crop;
  const luma = frame.width * frame.height;
  const pitch = frame.width / 2;
  const chroma = (start: number): SourcePlane => ({
    offset: start + (top / 2) * pitch + left / 2,
    pitch,
    width: (width + 1) >> 1,
    rows: (height + 1) >> 1,
  });
  return [
    { offset: frame.address + top * frame.width + left, pitch: frame.width, width, rows: height },
    chroma(frame.address + luma),
    chroma(frame.address + luma + luma / 4),
  ];
}

class H264Picture implements Picture {
  readonly timestamp: number;
  readonly fourcc = 'YU12';
  readonly keyframe: boolean;
  readonly damaged = false;
  readonly place: PicturePlace | undefined;
  readonly #wasm: H264Wasm;
  readonly #frame: H264Frame;
  readonly #sps: H264Sps;

  constructor(
    wasm: H264Wasm,
    frame: H264Frame,
    sps: H264Sps,
    of: { readonly packet: Packet; readonly keyframe: boolean; readonly frames?: H264Frames },
  ) {
    const { packet, keyframe, frames } = of;
    this.timestamp = packet.timestamp;
    this.keyframe = keyframe;
    this.place = frames && placeOf(wasm, frame, frames);
    this.#wasm = wasm;
    this.#frame = frame;
    this.#sps = sps;
  }

  get width(): number {
    return this.#sps.crop.width;
  }
  get height(): number {
    return this.#sps.crop.height;
  }
  get codedWidth(): number {
    return this.#frame.width;
  }
  get codedHeight(): number {
    return this.#frame.height;
  }
  get crop(): H264Sps['crop'] {
    return this.#sps.crop;
  }
  get colour(): H264Sps['colour'] {
    return this.#sps.colour;
  }

  copyTo(dst: Uint8Array<ArrayBufferLike>, layout: readonly PlaneLayout[]): number {
    return copyPlanes(dst, layout, this.#wasm.bytes, visiblePlanes(this.#frame, this.#sps));
  }
}

function placeOf(wasm: H264Wasm, frame: H264Frame, frames: H264Frames): PicturePlace {
  const { memory } = wasm;
  const { address: offset, width, height } = frame;
  const byteLength = (width * height * 3) / 2;
  return { memory, offset, byteLength, evict: (other) => frames.evict(other) };
}

export class H264Decoder implements Decoder {
  readonly name = 'h264decoder (h264bsd)';
  readonly reorderDelay = 0;
  #wasm: H264Wasm | undefined;
  #sets = new H264ParameterSets();
  /** The NAL units behind `#sets`, by type and id, for a new context. */
  readonly #setUnits = new Map<string, Uint8Array>();
  /** No context with references: wait for an IDR picture, then start anew. */
  #waiting = true;
  /** The context has seen packets, so that it must be renewed before it starts again. */
  #used = false;
  /** Where pictures are left in place. */
  readonly #frames: H264Frames | undefined;
  /** The SPS of the context's frames, as it came. */
  #active: Uint8Array | undefined;

  /** With `holds`, of a shared memory, pictures are left in place: see `OpenOptions`. */
  constructor(wasm: H264Wasm, holds?: Holds) {
    this.#wasm = wasm;
    this.#frames = holds && new H264Frames(wasm, holds);
  }

  /** Takes in SPS and PPS ahead of the stream. Throws `EINVAL` for what is not decoded here. */
  configure(header: Uint8Array<ArrayBufferLike>): void {
    const sets = this.#sets.clone();
    this.#keep(sets, readH264Packet(header, sets));
  }

  decode(packet: Packet): Decoded {
    const wasm = this.#open('decode');
    if (packet.data.length === 0) {
      return faulty(new DmaBufError('EINVAL', 'decode', 'the packet is empty'));
    }
    const sets = this.#sets.clone();
    let parsed: H264Packet;
    try {
      parsed = readH264Packet(packet.data, sets);
    } catch (error) {
      this.#waiting = true;
      return faulty(parseFault(error));
    }
    if (!parsed.hasSlice) {
      this.#keep(sets, parsed);
      if (!this.#waiting) wasm.decode([packet.data]);
      return NOTHING;
    }
    if (this.#waiting && !parsed.idr) {
      return damaged('its references are lost; decoding goes on with the next IDR picture');
    }
    const decoded = this.#decodePicture(wasm, packet, parsed);
    if (decoded.fault === undefined) this.#keep(sets, parsed);
    else this.#waiting = true;
    return decoded;
  }

  drain(): Decoded {
    this.#open('drain');
    return NOTHING;
  }

  reset(): void {
    this.#open('reset');
    this.#waiting = true;
  }

  close(): void {
    this.#wasm = undefined;
  }

  #open(call: string): H264Wasm {
    if (this.#wasm === undefined) {
      throw new DmaBufError('EBADFD', call, 'the H.264 decoder is closed');
    }
    return this.#wasm;
  }

  /** Makes the packet's parameter sets those of the stream, once the packet proved sound. */
  #keep(sets: H264ParameterSets, parsed: H264Packet): void {
    this.#sets = sets;
    for (const { type, data } of parsed.units) {
      if (type !== NAL_SPS && type !== NAL_PPS) continue;
      const added = sets.add({ type, data, start: 0, end: 0 });
      const id = added?.sps?.id ?? added?.pps?.id ?? 0;
      this.#setUnits.set(`${type}:${id}`, Uint8Array.from(data));
    }
  }

  #decodePicture(wasm: H264Wasm, packet: Packet, parsed: H264Packet): Decoded {
    const pieces = [packet.data];
    const { sps, idr } = parsed;
    if (this.#waiting || (idr && this.#otherFrames(parsed))) pieces.unshift(this.#startAnew(wasm));
    if (idr && this.#frames !== undefined) this.#active = this.#spsUnit(parsed);
    this.#used = true;
    const room = this.#frames?.makeRoom() ?? true;
    const code = room ? wasm.decode(pieces) : H264BSD_MEMALLOC_ERROR;
    const frame = code === H264BSD_PIC_RDY ? wasm.frame() : undefined;
    if (frame === undefined || sps === undefined) return damaged(this.#reason(code, packet));
    if (frame.width !== sps.codedWidth || frame.height !== sps.codedHeight) {
      return damaged(`its picture is ${frame.width}x${frame.height}, not as its headers say`);
    }
    const frames = this.#framesOf(frame, sps);
    const of = { packet, keyframe: idr, ...(frames && { frames }) };
    return { pictures: [new H264Picture(wasm, frame, sps, of)], fault: undefined };
  }

  /** A context without references; what it is to be fed first: SPS before PPS, for the keys sort that way. */
  #startAnew(wasm: H264Wasm): Uint8Array {
    if (this.#used) {
      wasm.renew(this.#frames?.anyHeld ?? false);
      this.#frames?.forget();
    }
    this.#waiting = false;
    const known = [...this.#setUnits].sort(([a], [b]) => (a < b ? -1 : 1));
    return joinNalUnits(known.map(([, unit]) => unit));
  }

  /** Where pictures are left in place: whether a picture begins a sequence with another SPS. */
  #otherFrames(parsed: H264Packet): boolean {
    if (this.#frames === undefined || this.#active === undefined) return false;
    const unit = this.#spsUnit(parsed);
    return unit === undefined || Buffer.compare(unit, this.#active) !== 0;
  }

  /** The SPS that a packet's picture refers to, which the packet itself may bring. */
  #spsUnit({ sps, units }: H264Packet): Uint8Array | undefined {
    const id = sps?.id ?? 0;
    const brought = units.findLast(
      (unit) => unit.type === NAL_SPS && new H264ParameterSets().add(unit)?.sps?.id === id,
    );
    return brought === undefined
      ? this.#setUnits.get(`${NAL_SPS}:${id}`)
      : Uint8Array.from(brought.data);
  }

  /**
   * The frames, if a picture may stay in its. Not where frame numbers may have gaps: h264bsd fills them in, and thereby
   * writes into another frame than that which was made room for.
   */
  #framesOf({ address, width, height }: H264Frame, sps: H264Sps): H264Frames | undefined {
    const stays = this.#frames?.took(address, (width * height * 3) / 2) ?? false;
    return stays && !sps.gapsInFrameNumAllowed ? this.#frames : undefined;
  }

  #reason(code: number, packet: Packet): string {
    if (packet.data.length > MAX_INPUT_BYTES) {
      return `its ${packet.data.length} bytes are more than ${MAX_INPUT_BYTES}`;
    }
    if (code === H264BSD_MEMALLOC_ERROR) return 'h264bsd is out of memory';
    if (code === H264BSD_TRAP) return 'h264bsd trapped on it; a new context starts at the next IDR';
    return `h264bsd finds it damaged (code ${code})`;
  }
}

function probe(): Availability {
  try {
    createRequire(import.meta.url).resolve('h264decoder');
    return { available: true };
  } catch {
    return { available: false, reason: 'npm install h264decoder@1.0.0' };
  }
}

async function open(options: OpenOptions = {}): Promise<Decoder> {
  const state = probe();
  if (!state.available) {
    const detail = `H.264 needs the package h264decoder: ${state.reason}`;
    throw new DmaBufError('ENOENT', 'open_codec', detail);
  }
  const { holds } = options;
  const decoder = new H264Decoder(await H264Wasm.open(holds !== undefined), holds);
  if (options.header !== undefined) decoder.configure(options.header);
  return decoder;
}

/** H.264, by the package's own dependency h264decoder. */
export const h264: CodecInfo = {
  fourcc: 'H264',
  description: 'H.264',
  accepts: H264_ACCEPTS,
  probe,
  inspect: inspectH264,
  open,
};
