/** The camera's pixel formats, each against the same frame by a plain loop, and what of Y4M files can be shown. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boot, type FrameMetadata, type Machine } from '@dmabuf/core';
import {
  camera,
  CameraDevice,
  type CameraOptions,
  V4L2_BUF_TYPE_VIDEO_CAPTURE,
  V4L2_CID_TEST_PATTERN,
  v4l2_fourcc,
} from './index.js';

const TYPE = V4L2_BUF_TYPE_VIDEO_CAPTURE;
const WIDTH = 320;
const HEIGHT = 240;
const INTERVAL = 20;

function withCamera(options: CameraOptions): Promise<Machine> {
  return boot({ drivers: [camera({ fps: 1000 / INTERVAL, ...options })], clock: 'manual' });
}

interface Shot {
  readonly bytes: Buffer;
  readonly sizeimage: number;
  readonly bytesperline: number;
  readonly metadata: FrameMetadata;
}

/** Frame `number` in a format. */
function shoot(machine: Machine, video: CameraDevice, pixelformat: string, number: number): Shot {
  video.sFmt({ type: TYPE, pixelformat });
  const { planes, pixelformat: set } = video.gFmt(TYPE);
  assert.is(set, pixelformat);
  const [{ sizeimage, bytesperline } = { sizeimage: 0, bytesperline: 0 }] = planes;
  // One byte more than is needed, which nobody may touch.
  const buffer = machine.alloc(sizeimage + 1);
  buffer.access({ write: true }).finish();
  for (let i = 0; i <= number; i++) video.queueCapture({ capture: buffer });
  machine.advance(INTERVAL * (number + 1));
  machine.advance(INTERVAL); // with nothing queued it comes to rest
  using access = buffer.access({ read: true });
  assert.is(access.bytes[sizeimage], 0);
  const bytes = Buffer.from(access.bytes.subarray(0, sizeimage));
  const { metadata } = buffer;
  assert.is(metadata.sequence, number);
  return { bytes, sizeimage, bytesperline, metadata };
}

type Pixel = readonly [y: number, u: number, v: number];

/** Y, Cb and Cr of each pixel of an I420 picture. */
function pixels(i420: Buffer): Pixel[] {
  const half = WIDTH / 2;
  const [u, v] = [WIDTH * HEIGHT, WIDTH * HEIGHT + half * (HEIGHT / 2)];
  return Array.from({ length: WIDTH * HEIGHT }, (_, i) => {
    const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
    const at = (y >> 1) * half + (x >> 1);
    return [i420[i] ?? 0, i420[u + at] ?? 0, i420[v + at] ?? 0];
  });
}

/** BT.601 by the numbers of the standard's table. */
function rgbOf([y, u, v]: Pixel): number[] {
  const luma = 1.164383 * (y - 16);
  return [
    luma + 1.596027 * (v - 128),
    luma - 0.391762 * (u - 128) - 0.812968 * (v - 128),
    luma + 2.017232 * (u - 128),
  ].map((value) => Math.min(Math.max(Math.round(value), 0), 255));
}

/** The bytes of pixel `i`, of a format. */
const PLAIN: Readonly<Record<string, (pixel: Pixel, i: number) => number[]>> = {
  YUYV: ([y, u, v], i) => [y, i % 2 === 0 ? u : v],
  XR24: (pixel) => [...rgbOf(pixel).toReversed(), 255],
  RGB3: (pixel) => rgbOf(pixel),
};

test('each packed format has the pixels of the same frame in YU12, of every pattern', async () => {
  await using machine = await withCamera({ width: WIDTH, height: HEIGHT });
  const video = CameraDevice.open(machine);
  assert.equal(
    video.enumFmt(TYPE).map(({ fourcc, description }) => [fourcc, description]),
    [
      ['YU12', 'Planar YUV 4:2:0'],
      ['NV12', 'Y/UV 4:2:0'],
      ['YUYV', 'YUYV 4:2:2'],
      ['XR24', '32-bit BGRX 8-8-8-8'],
      ['RGB3', '24-bit RGB 8-8-8'],
    ],
  );
  for (const [pattern, number] of [
    [0, 3],
    [1, 0],
    [2, 1],
  ] as const) {
    video.sCtrl(V4L2_CID_TEST_PATTERN, pattern);
    const wanted = pixels(shoot(machine, video, 'YU12', number).bytes);
    for (const [pixelformat, plain] of Object.entries(PLAIN)) {
      const { bytes, sizeimage, bytesperline, metadata } = shoot(
        machine,
        video,
        pixelformat,
        number,
      );
      const expected = Buffer.from(wanted.flatMap(plain));
      assert.equal([sizeimage, bytesperline], [expected.length, expected.length / HEIGHT]);
      assert.ok(bytes.equals(expected), `${pixelformat}, pattern ${pattern}`);
      assert.equal(
        [metadata.fourcc, metadata.pitches[0], metadata.range, metadata.matrix],
        [
          v4l2_fourcc(pixelformat),
          bytesperline,
          pixelformat === 'YUYV' ? 'limited' : 'full',
          'bt601',
        ],
      );
    }
  }
  video.close();
});

/** Writes a Y4M file of frames of counted bytes, and runs with its path. */
async function withFile(
  { width, height, tag, bytes }: { width: number; height: number; tag: string; bytes: number },
  run: (path: string, frames: readonly Buffer[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'camera-'));
  const path = join(folder, 'clip.y4m');
  const frames = [0, 1].map((n) =>
    Buffer.from(Array.from({ length: bytes }, (_, i) => 64 * n + i)),
  );
  const parts = frames.flatMap((frame) => [Buffer.from('FRAME\n'), frame]);
  const head = Buffer.from(`YUV4MPEG2 W${width} H${height} F25:1 ${tag}\n`);
  writeFileSync(path, Buffer.concat([head, ...parts]));
  try {
    await run(path, frames);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const width of [4, 5]) {
  test(`a file of 4:2:2 is shown as YUYV, sample for sample, ${width} columns wide`, async () => {
    const height = 3;
    const half = Math.ceil(width / 2);
    const bytes = (width + 2 * half) * height;
    await withFile({ width, height, tag: 'C422', bytes }, async (path, frames) => {
      await using machine = await withCamera({ source: path });
      const video = CameraDevice.open(machine);
      assert.equal(
        video.enumFmt(TYPE).map(({ fourcc }) => fourcc),
        ['YUYV'],
      );
      assert.is(video.gFmt(TYPE).pixelformat, 'YUYV');
      assert.is(video.tryFmt({ type: TYPE, pixelformat: 'YU12' }).pixelformat, 'YUYV');
      const { bytes: shown, bytesperline } = shoot(machine, video, 'YUYV', 1);
      assert.is(bytesperline, 4 * half);
      const [, frame = Buffer.alloc(0)] = frames;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const at = y * bytesperline + 2 * x;
          const chroma = width * height + y * half + (x >> 1) + (x % 2 === 0 ? 0 : half * height);
          assert.is(shown[at], frame[y * width + x], `luma at ${x}, ${y}`);
          assert.is(shown[at + 1], frame[chroma], `chroma at ${x}, ${y}`);
        }
      }
      video.close();
    });
  });
}

test('what no format has is refused: 4:4:4, 16 bits, grey, interlaced', async () => {
  for (const tag of ['C444', 'C420p10', 'C422p10', 'Cmono', 'C420jpeg It']) {
    await withFile({ width: 4, height: 2, tag, bytes: 24 }, async (path) => {
      assert.throws(
        () => camera({ source: path }),
        /^EINVAL: .*(8-bit 4:2:0 or 4:2:2 is|interlaced)/,
        tag,
      );
    });
  }
});

test.run();
