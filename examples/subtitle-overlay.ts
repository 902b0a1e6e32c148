// Subtitles drawn by the CPU onto decoded frames, where the CPU may map them. Where mmap is refused, the frames go on
// screen without, found out by asking before anything is drawn: EPERM for protected video, ENODEV where the exporter
// has no mmap at all.
import { fileURLToPath } from 'node:url';
import { boot, type DmaBuf, DmaBufError, type Fence } from '@dmabuf/core';
import { ion, IonClient } from '@dmabuf/exporter-ion';
import { AtomicRequest, Display, DRM_FORMAT_YUV420, kms } from '@dmabuf/importer-kms';
import { captureFormat, v4l2, VideoDevice } from '@dmabuf/importer-v4l2';
import { readClip } from './player/clip.js';
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphPixel } from './player/font.js';

const FRAMES = 30;
const TEXT = 'Zero copies, two pixels';
const clip = await readClip(fileURLToPath(new URL('../media/dog-h264-tiny.mp4', import.meta.url)));
const { width, height } = clip;
const { sizeimage, pitches, offsets } = captureFormat(width, height);

const devices = ['video0', 'card0', 'card0-writeback'];
const machine = await boot({
  pool: 16 << 20,
  drivers: [
    ion({
      heaps: [
        { type: 'carveout', size: 4 << 20 },
        { type: 'unmapped', id: 9, inPool: true, size: 4 << 20 },
        { type: 'protected', devices },
      ],
      module: new URL('./subtitle/unmapped-heap.js', import.meta.url).href,
    }),
    v4l2(),
    kms({ mode: `${width}x${height}@60`, speed: 'max' }),
  ],
});
const heaps = IonClient.open(machine, { name: 'player' });
const display = Display.open(machine);
const [overlay = display.objects.primary] = display.objects.overlays;

/** Draws a line of text into the luma of a frame, over its last rows. Throws what mmap is refused with. */
function drawSubtitle(frame: DmaBuf): void {
  const top = height - 2 * GLYPH_HEIGHT;
  // Read and write, for the pixels around the letters stay; the rows of the text alone.
  const range = { offset: top * width, length: GLYPH_HEIGHT * width };
  const access = frame.access({ read: true, write: true, ...range });
  for (let y = 0; y < GLYPH_HEIGHT; y++) {
    for (let x = 0; x < TEXT.length * (GLYPH_WIDTH + 1); x++) {
      const [at, column] = [Math.floor(x / (GLYPH_WIDTH + 1)), x % (GLYPH_WIDTH + 1)];
      if (column < GLYPH_WIDTH && glyphPixel(TEXT[at] ?? ' ', column, y)) {
        access.bytes[y * width + 8 + x] = 235;
      }
    }
  }
  access.finish();
}

/** Plays the clip through buffers of a heap; how many frames have a subtitle, and why the others do not. */
function play(heap: string): { readonly drawn: number; readonly refused: Set<string> } {
  const video = VideoDevice.open(machine);
  video.setFormat({
    output: { fourcc: clip.fourcc, ...(clip.header && { header: clip.header }) },
  });
  const frames = [0, 1, 2, 3].map(() => {
    const buffer = heaps.alloc({ size: sizeimage, heaps: heap });
    const shape = { width, height, fourcc: DRM_FORMAT_YUV420, pitches, offsets };
    return display.addFramebuffer({ buffer, ...shape });
  });
  const bitstream = heaps.alloc({ size: 1 << 20, heaps: 'carveout' });
  const refused = new Set<string>();
  let [drawn, offset] = [0, 0];
  let last: Fence | undefined;
  for (const [i, { data, timestamp }] of clip.packets.slice(0, FRAMES).entries()) {
    const fb = frames[i % frames.length];
    if (fb === undefined) continue;
    const staging = bitstream.access({ write: true, offset, length: data.length, sync: false });
    staging.bytes.set(data);
    staging.finish();
    const source = { buffer: bitstream, offset, size: data.length };
    video.queueDecode({ bitstream: source, timestamp, capture: fb.buffer });
    offset += data.length;
    try {
      drawSubtitle(fb.buffer); // the frame's own queue lets the CPU in when it is decoded
      drawn++;
    } catch (error) {
      if (!(error instanceof DmaBufError) || !['EPERM', 'ENODEV'].includes(error.code)) throw error;
      refused.add(error.code); // nobody's fault: this frame goes without
    }
    last = display.queueCommit(
      new AtomicRequest().set(overlay, {
        ...{ FB_ID: fb, CRTC_ID: display.objects.crtc.id, CRTC_X: 0, CRTC_Y: 0 },
        ...{ CRTC_W: width, CRTC_H: height },
        ...{ SRC_X: 0, SRC_Y: 0, SRC_W: width << 16, SRC_H: height << 16 },
      }),
    )?.fence;
  }
  last?.wait();
  video.close();
  return { drawn, refused };
}

const screen = machine.alloc(width * height * 4);
const shape = { width, height, fourcc: 0x34325258, pitches: [width * 4] };
display.setMode(display.mode, display.addFramebuffer({ buffer: screen, ...shape }));
for (const heap of ['carveout', 'protected', 'unmapped']) {
  const before = display.stats().shown;
  const { drawn, refused } = play(heap);
  const why = refused.size === 0 ? '' : `; mmap of the others: ${[...refused].join(', ')}`;
  console.log(
    `${heap}: ${display.stats().shown - before} frames shown, ${drawn} with a subtitle${why}`,
  );
}
await machine.shutdown();
