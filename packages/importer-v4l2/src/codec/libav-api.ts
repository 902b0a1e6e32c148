/**
 * The few functions of libav.js that are used here, and how an instance is loaded.
 *
 * The package's own types are `any` in places and need the package to be installed; this interface
 * does neither. In the one-thread build every function runs in the calling thread, and those named
 * `…_sync` return at once: the decoders behind them do no input or output, so nothing suspends.
 */
import { createRequire } from 'node:module';
import { DmaBufError } from '@dmabuf/core';
import type { Availability } from './codec.js';

/** The package with VP8 and VP9, and the one with AV1. */
export const LIBAV_PACKAGE = '@libav.js/variant-webm-vp9';
export const LIBAV_AV1_PACKAGE = '@libav.js/variant-av1-opus';
/** Both packages' version: names and numbers below are of this one. */
const LIBAV_VERSION = '6.10.9';

/** Results of avcodec_send_packet and avcodec_receive_frame that are no errors. */
export const AVERROR_EAGAIN = -6;
export const AVERROR_EOF = -541478725;

export const AV_PIX_FMT_YUV420P = 0;
export const AV_PICTURE_TYPE_NONE = 0;
export const AV_PICTURE_TYPE_I = 1;
export const AV_PKT_FLAG_KEY = 1;
const AV_LOG_QUIET = -8;

export interface LibAv {
  readonly HEAPU8: Uint8Array<ArrayBuffer>;
  av_log_set_level_sync(level: number): void;
  ff_init_decoder_sync(name: string): readonly number[];
  ff_free_decoder_sync(context: number, packet: number, frame: number): void;
  ff_copyin_packet_sync(
    packet: number,
    content: { readonly data: Uint8Array<ArrayBufferLike> },
  ): void;
  av_packet_make_writable_sync(packet: number): number;
  av_packet_unref_sync(packet: number): void;
  avcodec_send_packet_sync(context: number, packet: number): number;
  avcodec_receive_frame_sync(context: number, frame: number): number;
  avcodec_flush_buffers_sync(context: number): void;
  AVFrame_data_a_sync(frame: number, plane: number): number;
  AVFrame_linesize_a_sync(frame: number, plane: number): number;
  AVFrame_width_sync(frame: number): number;
  AVFrame_height_sync(frame: number): number;
  AVFrame_format_sync(frame: number): number;
  ff_error_sync(code: number): string;
  /** Returns codec, context, frame, packet, frame size. */
  ff_init_encoder_sync(
    name: string,
    config: {
      readonly ctx: Readonly<Record<string, number>>;
      readonly time_base: readonly [num: number, den: number];
      readonly options: Readonly<Record<string, string>>;
    },
  ): readonly number[];
  ff_free_encoder_sync(context: number, frame: number, packet: number): void;
  av_frame_get_buffer_sync(frame: number, align: number): number;
  av_frame_make_writable_sync(frame: number): number;
  AVFrame_width_s_sync(frame: number, value: number): void;
  AVFrame_height_s_sync(frame: number, value: number): void;
  AVFrame_format_s_sync(frame: number, value: number): void;
  AVFrame_pts_s_sync(frame: number, low: number): void;
  AVFrame_ptshi_s_sync(frame: number, high: number): void;
  AVFrame_pict_type_s_sync(frame: number, value: number): void;
  AVFrame_key_frame_s_sync(frame: number, value: number): void;
  /** A null frame begins the drain. */
  avcodec_send_frame_sync(context: number, frame: number): number;
  avcodec_receive_packet_sync(context: number, packet: number): number;
  AVPacket_data_sync(packet: number): number;
  AVPacket_size_sync(packet: number): number;
  AVPacket_flags_sync(packet: number): number;
  AVPacket_pts_sync(packet: number): number;
}

interface LibAvPackage {
  LibAV(options: { readonly noworker: true; readonly nothreads: true }): Promise<LibAv>;
}

function isPackage(module: unknown): module is LibAvPackage {
  return (
    typeof module === 'object' &&
    module !== null &&
    typeof Reflect.get(module, 'LibAV') === 'function'
  );
}

/** Whether a package can be found from here. */
export function probeLibAv(name: string = LIBAV_PACKAGE): Availability {
  try {
    createRequire(import.meta.url).resolve(name);
    return { available: true };
  } catch {
    return { available: false, reason: `npm install ${name}@${LIBAV_VERSION}` };
  }
}

/** A new instance: its own wasm memory (24 MiB), in this thread. Rejects with `ENOENT` or `EIO`. */
export async function loadLibAv(codec: string, name: string = LIBAV_PACKAGE): Promise<LibAv> {
  const state = probeLibAv(name);
  if (!state.available) {
    const detail = `${codec} needs the optional package ${name}: ${state.reason}`;
    throw new DmaBufError('ENOENT', 'open_codec', detail);
  }
  // A variable: the compiler must not ask for types of a package that need not be there.
  const imported: unknown = await import(name);
  const module: unknown =
    typeof imported === 'object' && imported !== null
      ? Reflect.get(imported, 'default')
      : undefined;
  if (!isPackage(module)) {
    throw new DmaBufError('EIO', 'open_codec', `${name} exports no LibAV function`);
  }
  const libav = await module.LibAV({ noworker: true, nothreads: true });
  libav.av_log_set_level_sync(AV_LOG_QUIET);
  return libav;
}
