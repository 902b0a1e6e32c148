// Transcodes a video: file → decode → scale to a half → encode → file, then decodes the result and compares.
//   node examples/dist/transcode.js [input [output.ivf [VP80 | VP90]]]
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { boot, type DmaBuf } from '@dmabuf/core';
import {
  blit,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  GpuContext,
  gpu,
} from '@dmabuf/importer-gpu';
import * as v4l2 from '@dmabuf/importer-v4l2';
import { readClip } from './player/clip.js';
import { compare } from './transcode/compare.js';

const own = fileURLToPath(new URL('../media/dog-h264-tiny.mp4', import.meta.url));
const [
  input = own,
  output = join(mkdtempSync(join(tmpdir(), 'transcode-')), 'out.ivf'),
  to = 'VP80',
] = process.argv.slice(2);
const clip = await readClip(input);
const packets = clip.packets.filter(({ data }) => data.length > 0);
const even = (side: number): number => Math.max(16, (side >> 1) & ~1);
const [width, height] = [even(clip.width), even(clip.height)];
const bytes = v4l2.captureFormat(width, height).sizeimage;
const [OUTPUT, CAPTURE] = [v4l2.V4L2_BUF_TYPE_VIDEO_OUTPUT, v4l2.V4L2_BUF_TYPE_VIDEO_CAPTURE];
const [MMAP, DMABUF] = [v4l2.V4L2_MEMORY_MMAP, v4l2.V4L2_MEMORY_DMABUF];

const machine = await boot({ drivers: [v4l2.v4l2(), v4l2.v4l2Encoder(), gpu()] });
const context = GpuContext.create(machine);

const encoder = v4l2.EncoderDevice.open(machine);
encoder.sFmt({ type: CAPTURE, pixelformat: to });
encoder.sFmt({ type: OUTPUT, pixelformat: 'YU12', width, height });
encoder.sCtrl(v4l2.V4L2_CID_MPEG_VIDEO_BITRATE, Math.max(100_000, width * height * 10));
const [numerator, denominator] = clip.rate;
encoder.sParm(OUTPUT, { numerator: denominator, denominator: numerator });
const DEPTH = encoder.reqbufs({ count: 4, type: OUTPUT, memory: DMABUF }).count;
encoder.reqbufs({ count: 4, type: CAPTURE, memory: MMAP });
const queuePacketBuffer = (index: number) =>
  encoder.qbuf({ index, type: CAPTURE, memory: MMAP, planes: [{}] });
for (let index = 0; index < 4; index++) queuePacketBuffer(index);
encoder.streamon(OUTPUT);
encoder.streamon(CAPTURE);

// Decoded picture → RGB of half the size → I420, which the encoder takes as it lies.
const largest = v4l2.captureFormat(clip.maxWidth, clip.maxHeight).sizeimage;
const stages = Array.from({ length: DEPTH }, () => {
  const [decoded, rgb, scaled] = [largest, width * height * 4, bytes].map((size) =>
    machine.alloc(size),
  );
  if (decoded === undefined || rgb === undefined || scaled === undefined) throw new RangeError();
  const src = context.importFrame({
    buffer: decoded,
    width: clip.maxWidth,
    height: clip.maxHeight,
  });
  const half = context.importImage({ buffer: rgb, fourcc: DRM_FORMAT_XRGB8888, width, height });
  const dst = context.importImage({ buffer: scaled, fourcc: DRM_FORMAT_YUV420, width, height });
  return { decoded, scaled, commands: [blit({ src, dst: half }), blit({ src: half, dst })] };
});

const bitstream = machine.alloc(packets.reduce((sum, { data }) => sum + data.length, 0));
const staging = bitstream.access({ write: true, discard: true });
const offsets: number[] = [];
for (const { data } of packets) {
  const at = (offsets.at(-1) ?? 0) + (packets[offsets.length - 1]?.data.length ?? 0);
  staging.bytes.set(data, at);
  offsets.push(at);
}
staging.finish();

function read(buffer: DmaBuf, length: number): Buffer {
  using access = buffer.access({ read: true });
  return Buffer.from(access.bytes.subarray(0, length)); // a copy
}

const [sources, encoded]: [Buffer[], Buffer[]] = [[], []];
const free = stages.map((_, index) => index);
/** Takes what the encoder is done with, a picture or a packet; false once the last packet has come. */
function pump(): boolean {
  const ready = encoder.poll(v4l2.EPOLLIN | v4l2.EPOLLOUT, 10_000);
  if ((ready & v4l2.EPOLLOUT) !== 0) {
    const { index } = encoder.dqbuf(OUTPUT);
    sources.push(read(stages[index]?.scaled as DmaBuf, bytes));
    free.push(index);
  }
  if ((ready & v4l2.EPOLLIN) === 0) return true;
  const buffer = encoder.dqbuf(CAPTURE);
  const [plane] = buffer.planes;
  if (plane !== undefined && plane.bytesused > 0) {
    using packet = encoder.expbuf({ type: CAPTURE, index: buffer.index });
    encoded.push(read(packet, plane.bytesused));
  }
  if (v4l2.EncoderDevice.isLast(buffer)) return false;
  queuePacketBuffer(buffer.index);
  return true;
}

const decoder = v4l2.VideoDevice.open(machine);
decoder.setFormat({
  output: { fourcc: clip.fourcc, ...(clip.header !== undefined && { header: clip.header }) },
  capture: { width: clip.width, height: clip.height },
});
packets.forEach(({ data, timestamp, shown }, i) => {
  const request = {
    bitstream: { buffer: bitstream, offset: offsets[i] ?? 0, size: data.length },
    timestamp,
  };
  if (!shown) return void decoder.queueDecode(request);
  while (free.length === 0) pump();
  const index = free.shift() ?? 0;
  const stage = stages[index];
  if (stage === undefined) throw new RangeError(`no stage ${index}`);
  const { decoded, scaled, commands } = stage;
  // Three stages of one picture, queued at once: each waits for the one before it on the buffer between them.
  decoder.queueDecode({ ...request, capture: decoded });
  context.submit({ commands });
  const planes = [{ m: { fd: scaled.fd }, bytesused: bytes }];
  return void encoder.qbuf({ index, type: OUTPUT, memory: DMABUF, planes, timestamp });
});
encoder.encoderCmd({ cmd: v4l2.V4L2_ENC_CMD_STOP });
while (pump());
writeFileSync(output, v4l2.writeIvf(to, encoded, { width, height, rate: clip.rate }));

const result = compare(machine, readFileSync(output), sources);
console.log(`${clip.name}: ${clip.frames} pictures of ${clip.width}x${clip.height}`);
console.log(
  `${output}: ${result.pictures} pictures of ${width}x${height}, ${to}, ${result.bytes} bytes`,
);
console.log(`PSNR ${result.psnr.toFixed(2)} dB against what was encoded`);
console.log(`lost on the way: ${encoder.stats().errors + decoder.stats().errors + result.errors}`);
await machine.shutdown();
