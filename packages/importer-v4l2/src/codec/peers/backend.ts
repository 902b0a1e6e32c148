/**
 * A decoder that is not part of this package: found at run time, where the user has installed it.
 *
 * Nothing is loaded or started until a stream is opened with it.
 */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { DmaBufError } from '@dmabuf/core';
import type { Decoder, PacketInfo } from '../codec.js';

type Bytes = Uint8Array<ArrayBufferLike>;

/** A format as a backend is asked for it. */
export interface PeerFormat {
  /** V4L2 pixel format of the OUTPUT queue. */
  readonly fourcc: string;
  readonly description: string;
  inspect(data: Bytes): PacketInfo;
  /** Whether nothing after this packet refers to anything before it, in display order either. */
  closed(data: Bytes): boolean;
  /** A packet that shows no picture may hold one all the same (AV1); else it holds parameter sets. */
  readonly hasHidden?: boolean;
  /** Parameter sets within a packet, which later packets rely on; none where every group repeats them. */
  parameterSets?(data: Bytes): readonly Bytes[];
}

/** What can decode. */
export interface DecoderBackend {
  readonly name: string;
  /** What to do to have it: `'npm install node-av'`. */
  readonly install: string;
  takes(fourcc: string): boolean;
  /** Looks for it; loads and starts nothing. */
  present(): boolean;
  /** Rejects with `EIO` where it is there, but not as it should be. */
  open(format: PeerFormat, header: Bytes | undefined): Promise<Decoder>;
}

/** More than any stream's parameter sets. */
const MAX_PREFIX_BYTES = 1 << 20;

/** Packets without pictures that wait for the next one: joined, or the newest alone where they are too many. */
export function joinPrefix(prefix: Bytes, data: Bytes): Bytes {
  const kept = prefix.length + data.length > MAX_PREFIX_BYTES ? [] : [prefix];
  return Buffer.concat([...kept, data]);
}

const require = createRequire(import.meta.url);

/** Where a package's entry lies; undefined where it is not installed. */
export function packagePath(specifier: string): string | undefined {
  try {
    return require.resolve(specifier);
  } catch {
    return undefined;
  }
}

/** The members of an installed module, those of a CommonJS one too. `ENOENT`, or what its code throws. */
export async function loadPackage(specifier: string): Promise<Readonly<Record<string, unknown>>> {
  const path = packagePath(specifier);
  if (path === undefined) {
    throw new DmaBufError('ENOENT', 'open_codec', `${specifier} is not installed`);
  }
  const module: unknown = await import(pathToFileURL(path).href);
  return typeof module === 'object' && module !== null ? { ...module } : {};
}
