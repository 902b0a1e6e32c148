/**
 * The part of node-av's low-level interface that is used here (package node-av 6, FFmpeg as a native
 * module), and how it is loaded. Synchronous calls only: what they cost is the decoding itself.
 */
import { DmaBufError } from '@dmabuf/core';
import { loadPackage } from './backend.js';

export const NODE_AV = 'node-av';

export interface AvPacket {
  alloc(): void;
  free(): void;
  unref(): void;
  data: Buffer | null;
  pts: bigint;
}

export interface AvFrame {
  alloc(): void;
  free(): void;
  readonly width: number;
  readonly height: number;
  readonly format: number;
  readonly pts: bigint;
  readonly bestEffortTimestamp: bigint;
  readonly keyFrame: number;
  readonly colorRange: number;
  readonly colorSpace: number;
  readonly decodeErrorFlags: number;
  readonly linesize: readonly number[];
  readonly data: readonly Buffer[] | null;
}

export interface AvContext {
  allocContext3(codec: unknown): void;
  open2Sync(codec: unknown, options: null): number;
  freeContext(): void;
  threadCount: number;
  sendPacketSync(packet: AvPacket | null): number;
  receiveFrameSync(frame: AvFrame): number;
  flushBuffers(): void;
}

export interface NodeAv {
  context(): AvContext;
  packet(): AvPacket;
  frame(): AvFrame;
  /** FFmpeg's decoder by its AV_CODEC_ID_ name; null where it was built without. */
  decoder(id: string): unknown;
}

function construct(module: Readonly<Record<string, unknown>>, name: string): () => unknown {
  const found = module[name];
  if (typeof found !== 'function') {
    throw new DmaBufError(
      'EIO',
      'open_codec',
      `${NODE_AV} exports no ${name}: version 6 is needed`,
    );
  }
  return () => Reflect.construct(found, []) as unknown;
}

/** Loads it. Rejects with `ENOENT`, or `EIO` where its native part does not load. */
export async function loadNodeAv(): Promise<NodeAv> {
  try {
    const lib = await loadPackage(`${NODE_AV}/lib`);
    const ids = await loadPackage(`${NODE_AV}/constants`);
    const { Codec } = lib;
    const find: unknown =
      Codec === undefined ? undefined : Reflect.get(Object(Codec), 'findDecoder');
    if (typeof find !== 'function') {
      throw new DmaBufError('EIO', 'open_codec', `${NODE_AV} has no Codec.findDecoder`);
    }
    return {
      context: construct(lib, 'CodecContext') as () => AvContext,
      packet: construct(lib, 'Packet') as () => AvPacket,
      frame: construct(lib, 'Frame') as () => AvFrame,
      decoder: (id) => Reflect.apply(find, Codec, [ids[`AV_CODEC_ID_${id}`]]) as unknown,
    };
  } catch (error) {
    if (error instanceof DmaBufError) throw error;
    throw new DmaBufError('EIO', 'open_codec', `${NODE_AV} does not load: ${String(error)}`);
  }
}
