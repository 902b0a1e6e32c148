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

export const LIBAV_PACKAGE = '@libav.js/variant-webm-vp9';

/** Results of avcodec_send_packet and avcodec_receive_frame that are no errors. */
export const AVERROR_EAGAIN = -6;
export const AVERROR_EOF = -541478725;

export const AV_PIX_FMT_YUV420P = 0;
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

/** Whether the package can be found from here. */
export function probeLibAv(): Availability {
  try {
    createRequire(import.meta.url).resolve(LIBAV_PACKAGE);
    return { available: true };
  } catch {
    return { available: false, reason: `npm install ${LIBAV_PACKAGE}` };
  }
}

/** A new instance: its own wasm memory (24 MiB), in this thread. Rejects with `ENOENT` or `EIO`. */
export async function loadLibAv(codec: string): Promise<LibAv> {
  const state = probeLibAv();
  if (!state.available) {
    const detail = `${codec} needs the optional package ${LIBAV_PACKAGE}: ${state.reason}`;
    throw new DmaBufError('ENOENT', 'open_codec', detail);
  }
  // A variable: the compiler must not ask for types of a package that need not be there.
  const name: string = LIBAV_PACKAGE;
  const imported: unknown = await import(name);
  const module: unknown =
    typeof imported === 'object' && imported !== null
      ? Reflect.get(imported, 'default')
      : undefined;
  if (!isPackage(module)) {
    throw new DmaBufError('EIO', 'open_codec', `${LIBAV_PACKAGE} exports no LibAV function`);
  }
  const libav = await module.LibAV({ noworker: true, nothreads: true });
  libav.av_log_set_level_sync(AV_LOG_QUIET);
  return libav;
}
