/**
 * The one interface that every decoder stands behind, and what it hands out.
 *
 * The device half owns a Decoder: it opens it by the OUTPUT format, feeds it one packet after the
 * other, copies each picture into the CAPTURE buffer queued for it, and closes it. Terms follow
 * V4L2's stateful decoder (Documentation/userspace-api/media/v4l/dev-decoder.rst).
 *
 * Encoders get an interface of their own beside Decoder (`CodecInfo.open` is the decoder's side).
 */
import type { DmaBufError } from '@dmabuf/core';
import type { Colour, Rect } from '../bitstream/picture-format.js';
import type { PlaneLayout } from './planes.js';

/** Pixel format of a decoded picture: I420 (three planes) or NV12 (two), as V4L2 names them. */
export type PictureFourcc = 'YU12' | 'NV12';

/**
 * One decoded picture, in the decoder's own memory.
 *
 * Valid until the next `decode`, `drain`, `reset` or `close` of its decoder, and no longer.
 */
export interface Picture {
  /** That of the packet it came from, in whatever unit the caller uses. */
  readonly timestamp: number;
  /** Visible size in pixels; odd sizes happen, chroma planes are then (size + 1) >> 1. */
  readonly width: number;
  readonly height: number;
  /** Size of the decoder's own frame: whole macroblocks for H.264. */
  readonly codedWidth: number;
  readonly codedHeight: number;
  /** Where the visible picture lies in the coded frame. `copyTo` applies it. */
  readonly crop: Rect;
  readonly colour: Colour;
  readonly fourcc: PictureFourcc;
  readonly keyframe: boolean;
  /** Shown after an error, and predicted from what the error spoilt. */
  readonly damaged: boolean;
  /**
   * Copies the visible picture into `dst` (which may be shared memory), one layout a plane.
   *
   * Returns the bytes copied. Blocks for the copy (0.1 ms at 720p). Throws `EINVAL` where a plane
   * does not fit into `dst`, touching nothing.
   */
  copyTo(dst: Uint8Array<ArrayBufferLike>, layout: readonly PlaneLayout[]): number;
  /** Of a decoder that was opened with `OpenOptions.holds`: where it lies and may stay. */
  readonly place?: PicturePlace | undefined;
}

/** Memory that threads share (a `WebAssembly.Memory`), by its shape. */
export interface DecoderMemory {
  readonly buffer: ArrayBufferLike;
}

/** Whether the picture at `offset` of a decoder's memory is still looked at. Asked before each decode. */
export type Holds = (memory: DecoderMemory, offset: number) => boolean;

/** The coded frame that a picture is part of: planes one after the other, without padding. */
export interface PicturePlace {
  readonly memory: DecoderMemory;
  /** Bytes from the start of the memory. */
  readonly offset: number;
  readonly byteLength: number;
  /**
   * Has the decoder give up a frame that it may need as a reference (it goes on with a copy), for a buffer that cannot be
   * moved. Returns the bytes copied. ENOMEM.
   */
  evict(offset: number): number;
}

/** One packet of bitstream: one access unit (H.264, Annex B) or one frame or superframe (VPx). */
export interface Packet {
  /** Read during the call only; may be shared memory. */
  readonly data: Uint8Array<ArrayBufferLike>;
  readonly timestamp: number;
}

/** What became of a packet. */
export interface Decoded {
  /** None for a packet that holds headers only, or a frame that is not shown. */
  readonly pictures: readonly Picture[];
  /**
   * Why the packet gave no picture though it should have, else undefined.
   *
   * `EIO`: damaged, or its references are gone until the next key frame. `EINVAL`: an empty
   * packet, or (UnsupportedStream) a profile or tool that this decoder does not do. Before the
   * first picture the latter is final; later it may be damage that hit a header.
   */
  readonly fault: DmaBufError | undefined;
}

/**
 * A decoder of one stream. Not shared between threads; several live side by side.
 *
 * No method throws for what stands in the data: that is `Decoded.fault`. After `close` every other
 * call throws `EBADFD`.
 */
export interface Decoder {
  readonly name: string;
  /** Pictures that the decoder may hold back before the first comes out; 0 for all that are here. */
  readonly reorderDelay: number;
  /**
   * Decodes one packet. A plain result is complete on return; only a decoder that has to be set up
   * anew, or one that is asynchronous by nature, returns a promise. The next call waits for it.
   */
  decode(packet: Packet): Decoded | Promise<Decoded>;
  /** Pictures still held back at the end of the stream. Decoding may go on with a key frame. */
  drain(): Decoded | Promise<Decoded>;
  /** Seek: drops references and pictures; parameter sets stay. Goes on with the next key frame. */
  reset(): void | Promise<void>;
  /** Gives the decoder's memory back. Closing again does nothing. */
  close(): void | Promise<void>;
}

/** What a stream's headers say about its pictures, before any is decoded. */
export interface StreamInfo {
  /** `'Constrained Baseline (profile_idc 66)'`, `'VP9 profile 0'` */
  readonly profile: string;
  readonly width: number;
  readonly height: number;
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly crop: Rect;
  readonly colour: Colour;
}

/** What the headers of one packet say. */
export interface PacketInfo {
  /** Decoding can start here. */
  readonly keyframe: boolean;
  /** The packet yields a picture: false for parameter sets alone and for hidden frames. */
  readonly shown: boolean;
  /** Present where the packet states it: parameter sets, key frames. */
  readonly stream: StreamInfo | undefined;
}

/** Whether a codec can be opened in this installation. */
export type Availability =
  | { readonly available: true }
  /** `reason` says what to install. */
  | { readonly available: false; readonly reason: string };

export interface OpenOptions {
  /**
   * What the packets may lack, as a packet would carry it: SPS and PPS (H.264, Annex B), tables (JPEG), the
   * first line (Y4M).
   */
  readonly header?: Uint8Array<ArrayBufferLike>;
  /** Visible size, for formats that do not state it (raw pictures). */
  readonly width?: number;
  readonly height?: number;
  /**
   * Whether the end of the stream will be told by `drain`. Default true. False: peers, which hold pictures back until
   * then, are refused with `EINVAL`.
   */
  readonly drains?: boolean;
  /**
   * Has pictures decoded into memory that threads share and left there (`Picture.place`) for as long as this says that
   * somebody looks at them. Decoders that cannot do that ignore it.
   */
  readonly holds?: Holds;
}

/** A codec of the registry. */
export interface CodecInfo {
  /** V4L2 pixel format of the OUTPUT queue: `'H264'`, `'VP80'`, `'VP90'`. */
  readonly fourcc: string;
  /** As ENUM_FMT describes it: `'H.264'`. */
  readonly description: string;
  /** What it takes, in words for error messages. */
  readonly accepts: string;
  /** Its packets are pictures as they are: ENUM_FMT has no V4L2_FMT_FLAG_COMPRESSED. Default false. */
  readonly raw?: boolean;
  /** ENUM_FMT lists it only where it can be opened. Default false: it is listed with what to install. */
  readonly optional?: boolean;
  /** Looks for the code it needs; loads and starts nothing. */
  probe(): Availability;
  /**
   * Reads the headers of one packet, without decoding.
   *
   * Throws `EINVAL` for what this decoder does not do (naming what was found and what is accepted)
   * and for a packet that is no such bitstream at all. Does not block.
   */
  inspect(data: Uint8Array<ArrayBufferLike>): PacketInfo;
  /** Starts a decoder; the caller closes it. Rejects with `ENOENT` where a package is missing. */
  open(options?: OpenOptions): Promise<Decoder>;
}
