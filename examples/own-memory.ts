// Memory that you have already (here a wasm memory, as decoders and libraries keep their frames in), shared with
// workers without a copy: udmabuf wraps ranges of it as dma-bufs.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { boot, exclusive, join, shared } from '@dmabuf/core';
import { ion, udmabuf } from '@dmabuf/exporter-ion';

const FRAME = 320 * 240 * 4;

if (isMainThread) {
  const machine = await boot({ drivers: [ion()] });
  const worker = new Worker(new URL(import.meta.url), machine.invite('inverter'));
  const inverter = machine.createContext(await machine.peer('inverter'));

  // What you had before: a wasm library, and 16 MiB of shared memory in which it keeps its frames where it likes.
  const memory = loadLibrary();
  const pixels = new Uint8Array(memory.buffer);
  const at = (i: number): number => 65536 + i * 2 * FRAME;

  for (let i = 0; i < 3; i++) {
    pixels.fill(i + 1, at(i), at(i) + FRAME);
    using frame = udmabuf(machine).create({ memory, offset: at(i), size: FRAME });
    inverter.submit({ buffers: [exclusive(frame)] }).wait();
    console.log(
      `frame ${i}: ${i + 1} became ${pixels[at(i)]}, its neighbour is ${pixels[at(i) - 1]}`,
    );
  }

  // Y and UV of one picture, apart from each other: one buffer of two pieces.
  const list = [
    { offset: at(3), size: 76800 - (76800 % 4096) },
    { offset: at(4), size: 36864 },
  ];
  {
    using planes = udmabuf(machine).createList({ memory, list });
    inverter.submit({ buffers: [shared(planes)] }).wait();
    const { length } = list;
    console.log(
      `${planes.size} bytes in ${length} pieces: ${String(machine.ioctl(inverter.target, 'seen'))}`,
    );
  }
  const copied = machine.actorStats(inverter.target).bytesCopied;
  console.log(`${copied} bytes copied; the memory is yours: ${pixels[at(0)]} is still there`);
  await machine.shutdown();
  await worker.terminate();
} else {
  const machine = await join(workerData);
  let seen = '';
  machine.serve({
    run(job) {
      const { pieces, exclusive: mine } = job.buffer(0);
      if (mine) for (const piece of pieces) piece.forEach((byte, i) => (piece[i] = ~byte));
      seen = pieces.map(({ length }) => length).join(' + ');
    },
    ioctl: () => seen,
  });
}

/** The smallest such library: (module (memory (export "memory") 256 256 shared)). */
function loadLibrary(): { readonly buffer: ArrayBufferLike } {
  const module = Buffer.from('AGFzbQEAAAAFBgEDgAKAAgcKAQZtZW1vcnkCAA==', 'base64');
  const { memory } = new WebAssembly.Instance(new WebAssembly.Module(module)).exports;
  return memory as { readonly buffer: ArrayBufferLike };
}
