/**
 * Codecs by optional peers, in the order in which these are tried: in this process first.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Availability, CodecInfo, Decoder, OpenOptions } from '../codec.js';
import type { DecoderBackend, PeerFormat } from './backend.js';
import { ffmpegCore } from './ffmpeg-core.js';
import { ffmpegProgram } from './ffmpeg-program.js';
import { peerFormats } from './formats.js';
import { h264Format, h264WithPeers as withH264Peers } from './h264.js';
import { nodeAv } from './node-av.js';

const BACKENDS: readonly DecoderBackend[] = [nodeAv, ffmpegProgram, ffmpegCore];

function backendsOf({ fourcc }: PeerFormat): DecoderBackend[] {
  return BACKENDS.filter((backend) => backend.takes(fourcc));
}

function probePeers(format: PeerFormat, more: readonly string[]): Availability {
  const backends = backendsOf(format);
  if (backends.some((backend) => backend.present())) return { available: true };
  return {
    available: false,
    reason: [...more, ...backends.map(({ install }) => install)].join(', or '),
  };
}

/** Opens the first backend that is present and starts. Rejects with `ENOENT`, `EIO`. */
async function openPeer(
  format: PeerFormat,
  options: OpenOptions,
  more: readonly string[],
): Promise<Decoder> {
  if (options.drains === false && probePeers(format, []).available) {
    const detail = `${format.description} is decoded by a peer here, which holds pictures back until a drain, and queueDecode has none: use S_FMT, QBUF and DECODER_CMD`;
    throw new DmaBufError('EINVAL', 'open_codec', detail);
  }
  let failed: DmaBufError | undefined;
  for (const backend of backendsOf(format).filter((found) => found.present())) {
    try {
      return await backend.open(format, options.header);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      failed ??= error;
    }
  }
  if (failed !== undefined) throw failed;
  const state = probePeers(format, more);
  const how = state.available ? '' : state.reason;
  throw new DmaBufError(
    'ENOENT',
    'open_codec',
    `${format.description} needs an optional peer: ${how}`,
  );
}

function peerCodec(format: PeerFormat): CodecInfo {
  const { fourcc, description } = format;
  return {
    fourcc,
    description,
    accepts: `${description} ('${fourcc}')`,
    optional: true,
    probe: () => probePeers(format, []),
    inspect: (data) => format.inspect(data),
    open: (options = {}) => openPeer(format, options, []),
  };
}

/** A codec of our own that peers stand in for where its package is not installed. */
function withPeers(codec: CodecInfo, format: PeerFormat): CodecInfo {
  const own = (): readonly string[] => {
    const state = codec.probe();
    return state.available ? [] : [state.reason];
  };
  return {
    ...codec,
    probe: () => (codec.probe().available ? codec.probe() : probePeers(format, own())),
    open: (options = {}) =>
      codec.probe().available ? codec.open(options) : openPeer(format, options, own()),
  };
}

/** Formats that only peers decode. */
export const peerCodecs: readonly CodecInfo[] = [
  peerFormats.hevc,
  peerFormats.mpeg1,
  peerFormats.mpeg2,
  peerFormats.mpeg4,
].map(peerCodec);

/** AV1 by its own package, else by a peer. */
export function av1WithPeers(av1: CodecInfo): CodecInfo {
  return withPeers(av1, peerFormats.av1);
}

/** Whether a peer is here that decodes all of H.264. */
function hasH264Peer(): boolean {
  return probePeers(h264Format, []).available;
}

/** H.264 by our own decoder; what that refuses, by a peer. */
export function h264WithPeers(h264: CodecInfo): CodecInfo {
  return withH264Peers(h264, {
    present: hasH264Peer,
    open: (header) => openPeer(h264Format, header === undefined ? {} : { header }, []),
  });
}
