/**
 * The pipeline of the player as it is written with postMessage: one worker decodes and posts each picture,
 * one converts it to XRGB8888 in its own wasm memory and posts the result, one stands for the display. The
 * codec and the kernel are this project's own, so that only the way of handing on differs.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Picture } from '@dmabuf/importer-v4l2';
import { loadClip } from './clip.js';

/** A planar picture, or pixels, on its way. */
export interface Posted {
  readonly bytes: ArrayBuffer;
  readonly width: number;
  readonly height: number;
}
/** Starts the clip anew, with so many frames under way; a number is as many more. */
export interface Run {
  readonly credits: number;
}
interface Role {
  readonly role: 'decode' | 'convert' | 'show';
  readonly path: string;
  /** Gives buffers away instead of having them cloned. */
  readonly transfer: boolean;
}
interface WasmModule {
  wasmKernels(memory: WebAssembly.Memory): {
    convert(dst: object, to: object, src: object, from: object): void;
  };
}

const { role, path, transfer } = workerData as Role;

function post(message: Posted): void {
  parentPort?.postMessage(message, transfer ? [message.bytes] : []);
}

/** Decodes a picture a credit; `{ credits }` starts the clip anew. */
async function decoder(): Promise<(message: unknown) => void> {
  const clip = await loadClip(path);
  if (clip === undefined) return () => {};
  const { codec, header, packets } = clip;
  const options = header === undefined ? {} : { header };
  let decode = codec.open(options);
  let [next, credits, busy] = [0, 0, false];
  const pump = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    while (credits > 0) {
      const data = packets[next];
      if (data === undefined) break;
      for (const picture of (await (await decode).decode({ data, timestamp: next })).pictures) {
        credits--;
        post(copied(picture));
      }
      next++;
    }
    busy = false;
  };
  return (message) => {
    if (typeof message === 'number') credits += message;
    else {
      const old = decode;
      decode = old.then(async (one) => one.close()).then(async () => codec.open(options));
      [next, credits] = [0, (message as Run).credits];
    }
    void pump();
  };
}

/** A picture in memory of its own, planes one after the other. */
function copied(picture: Picture): Posted {
  const { width, height } = picture;
  const [luma, half] = [width * height, width >> 1];
  const chroma = half * (height >> 1);
  const bytes = new ArrayBuffer(luma + 2 * chroma);
  picture.copyTo(new Uint8Array(bytes), [
    { offset: 0, pitch: width },
    { offset: luma, pitch: half },
    { offset: luma + chroma, pitch: half },
  ]);
  return { bytes, width, height };
}

/** The memory and the views of one size of picture. */
async function converter(): Promise<(message: unknown) => void> {
  const { DRM_FORMAT_XRGB8888, DRM_FORMAT_YUV420 } = await import('@dmabuf/importer-gpu');
  const bundle = import.meta.resolve('@dmabuf/importer-gpu');
  const { wasmKernels } = (await import(new URL('../kernels/wasm.js', bundle).href)) as WasmModule;
  const pages = 160;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const kernels = wasmKernels(memory);
  return (message) => {
    const { bytes, width, height } = message as Posted;
    const [luma, half, size] = [width * height, width >> 1, width * height * 4];
    const chroma = half * (height >> 1);
    const from = Math.ceil(size / 64) * 64;
    new Uint8Array(memory.buffer, from).set(new Uint8Array(bytes));
    const shape = { memory: memory.buffer, width, height };
    const rect = { x: 0, y: 0, width, height };
    const dst = { offset: 0, pitch: width * 4 };
    const planes = [
      { offset: 0, pitch: width },
      { offset: luma, pitch: half },
      { offset: luma + chroma, pitch: half },
    ];
    kernels.convert(
      { ...shape, byteOffset: 0, byteLength: size, fourcc: DRM_FORMAT_XRGB8888, planes: [dst] },
      rect,
      {
        ...shape,
        byteOffset: from,
        byteLength: bytes.byteLength,
        fourcc: DRM_FORMAT_YUV420,
        planes,
      },
      rect,
    );
    const out = new ArrayBuffer(size);
    new Uint8Array(out).set(new Uint8Array(memory.buffer, 0, size));
    post({ bytes: out, width, height });
  };
}

/** Keeps the newest frame, as a display does, and says that the one before is free. */
function display(): (message: unknown) => void {
  let shown: Posted | undefined;
  return (message) => {
    shown = message as Posted;
    parentPort?.postMessage(shown.bytes.byteLength);
  };
}

const make = { decode: decoder, convert: converter, show: async () => display() };
const receive = await make[role]();
parentPort?.on('message', receive);
parentPort?.postMessage(0);
