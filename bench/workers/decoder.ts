/**
 * The bare decoder: a clip's packets through the codec of importer-v4l2 in one worker, as fast as they
 * go, and nothing else. With `copy` each picture is copied out, as the codec device does.
 */
import { parentPort } from 'node:worker_threads';
import { type Loaded, loadClip } from './clip.js';

interface Order {
  readonly path: string;
  readonly frames: number;
  readonly copy: boolean;
}

let loaded: Promise<Loaded | undefined> | undefined;

/** Frames a second; undefined: nothing here reads the clip. */
async function decode({ path, frames, copy }: Order): Promise<number | undefined> {
  loaded ??= loadClip(path);
  const clip = await loaded;
  if (clip === undefined) return undefined;
  const { codec, header, packets } = clip;
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

parentPort?.on('message', (order: Order) => {
  void decode(order).then((rate) => parentPort?.postMessage(rate));
});
parentPort?.postMessage(0);
