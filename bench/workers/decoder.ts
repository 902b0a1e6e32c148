/**
 * The bare decoder: a clip's packets through the codec of importer-v4l2 in one worker, as fast as they
 * go, and nothing else. With `copy` each picture is copied out, as the codec device does.
 */
import { parentPort } from 'node:worker_threads';
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
interface Order {
  readonly path: string;
  readonly frames: number;
  readonly copy: boolean;
}

interface Loaded {
  readonly codec: ReturnType<typeof codecOfString>;
  readonly header: Uint8Array<ArrayBufferLike> | undefined;
  readonly packets: readonly Uint8Array<ArrayBufferLike>[];
}

async function load(path: string, bunny: Mediabunny): Promise<Loaded> {
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

let loaded: Promise<Loaded> | undefined;

/** Frames a second. */
async function decode({ path, frames, copy }: Order, bunny: Mediabunny): Promise<number> {
  loaded ??= load(path, bunny);
  const { codec, header, packets } = await loaded;
  const decoder = await codec.open(header === undefined ? {} : { header });
  const room = new Uint8Array(new SharedArrayBuffer(1920 * 1088 * 2));
  let pictures = 0;
  const start = performance.now();
  for (const [i, data] of packets.slice(0, frames).entries()) {
    const result = await decoder.decode({ data, timestamp: i });
    for (const picture of result.pictures) {
      pictures++;
      if (!copy) continue;
      const { width, height } = picture;
      const half = width >> 1;
      picture.copyTo(room, [
        { offset: 0, pitch: width },
        { offset: width * height, pitch: half },
        { offset: width * height + half * (height >> 1), pitch: half },
      ]);
    }
  }
  const rate = (pictures / (performance.now() - start)) * 1000;
  await decoder.close();
  return rate;
}

const bunny = await peer<Mediabunny>('mediabunny');
parentPort?.on('message', (order: Order) => {
  if (bunny === undefined) parentPort?.postMessage(undefined);
  else void decode(order, bunny).then((rate) => parentPort?.postMessage(rate));
});
parentPort?.postMessage(0);
