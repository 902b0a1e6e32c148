/** The sample clip's packets, as the codecs of importer-v4l2 take them. Demuxed by mediabunny. */
import { avcToAnnexB, codecOfString, parseAvcConfig } from '@dmabuf/importer-v4l2';
import { peer } from '../harness/peers.js';

interface Mediabunny {
  readonly Input: new (options: object) => {
    getPrimaryVideoTrack(): Promise<{
      getDecoderConfig(): Promise<{ readonly codec: string; readonly description?: unknown }>;
    }>;
  };
  readonly FilePathSource: new (path: string) => object;
  readonly ALL_FORMATS: unknown;
  readonly EncodedPacketSink: new (track: object) => {
    packets(): AsyncIterable<{ readonly data: Uint8Array<ArrayBuffer>; readonly type: string }>;
  };
}
export interface Loaded {
  readonly codec: ReturnType<typeof codecOfString>;
  readonly header: Uint8Array<ArrayBufferLike> | undefined;
  readonly packets: readonly Uint8Array<ArrayBufferLike>[];
}

/** Reads a clip; undefined where mediabunny is not installed. */
export async function loadClip(path: string): Promise<Loaded | undefined> {
  const bunny = await peer<Mediabunny>('mediabunny');
  if (bunny === undefined) return undefined;
  const { Input, FilePathSource, ALL_FORMATS, EncodedPacketSink } = bunny;
  const input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(path) });
  const track = await input.getPrimaryVideoTrack();
  const { codec, description } = await track.getDecoderConfig();
  const bytes =
    description instanceof ArrayBuffer
      ? new Uint8Array(description)
      : description instanceof Uint8Array
        ? description
        : undefined;
  const avc = bytes === undefined ? undefined : parseAvcConfig(bytes);
  const packets: Uint8Array<ArrayBufferLike>[] = [];
  for await (const { data, type } of new EncodedPacketSink(track).packets()) {
    packets.push(avc === undefined ? data : avcToAnnexB(data, avc, type === 'key'));
  }
  const header = avc === undefined ? undefined : avcToAnnexB(new Uint8Array(), avc, true);
  return { codec: codecOfString(codec), header, packets };
}
