/**
 * Builds the pipeline on a machine: allocates the buffers, stages the bitstream, draws the subtitle,
 * opens the devices. Runs once, on the main thread, before anything is queued.
 */
import type { DmaBuf, Machine } from '@dmabuf/core';
import { IonClient } from '@dmabuf/exporter-ion';
import {
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  fit,
  GpuContext,
  packedLayout,
  scratchBytes,
  type Size,
} from '@dmabuf/importer-gpu';
import { Display, parseMode } from '@dmabuf/importer-kms';
import { VideoDevice } from '@dmabuf/importer-v4l2';
import type { Clip } from './clip.js';
import type { PlayerOptions } from './options.js';
import { type Buffers, type Devices, Pipeline, type Setup } from './pipeline.js';
import { makePlan, stage } from './plan.js';
import { drawSubtitle, layOutSubtitle, type Subtitle } from './subtitle.js';

/** Decoded pictures in flight. */
export const CAPTURES = 4;
/** One on screen, one next, one being rendered, one to spare. */
export const FRAMEBUFFERS = 4;
const PAGE = 4096;

/** The sizes of everything that is allocated from the pool, bytes. */
interface PoolSizes {
  readonly capture: number;
  readonly framebuffer: number;
  readonly overlay: number;
  readonly scratch: number;
}

/** The screen of a mode, pixels. */
export function screenOf(mode: string): Size {
  const { hdisplay, vdisplay } = parseMode(mode);
  return { width: hdisplay, height: vdisplay };
}

/** The subtitle of a run: the text that was asked for, else the clip's name. */
export function subtitleOf(options: PlayerOptions, clip: Clip): Subtitle | undefined {
  return layOutSubtitle(options.subtitle ?? clip.name, screenOf(options.mode));
}

/** Bytes that the machine's pool must have for {@link buildPipeline}. */
export function poolBytes(options: PlayerOptions, clip: Clip): number {
  const { capture, framebuffer, overlay, scratch } = poolSizes(options, clip);
  const pages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;
  const frames = CAPTURES * pages(capture) + FRAMEBUFFERS * pages(framebuffer);
  return frames + pages(overlay) + pages(scratch);
}

function poolSizes(options: PlayerOptions, clip: Clip): PoolSizes {
  const screen = screenOf(options.mode);
  const subtitle = subtitleOf(options, clip);
  const { maxWidth, maxHeight } = clip;
  return {
    capture: packedLayout(DRM_FORMAT_YUV420, maxWidth, maxHeight).size,
    framebuffer: packedLayout(DRM_FORMAT_XRGB8888, screen.width, screen.height).size,
    overlay: subtitle === undefined ? 0 : subtitle.rect.width * subtitle.rect.height * 4,
    scratch: scratchBytes(maxWidth, screen.width),
  };
}

/**
 * Builds it. The machine owns all of it: buffers and devices go with its shutdown. `recorded`:
 * whether frames are to be written back.
 */
export function buildPipeline(
  machine: Machine,
  options: PlayerOptions,
  clip: Clip,
  recorded: boolean,
): Pipeline {
  const screen = screenOf(options.mode);
  const subtitle = subtitleOf(options, clip);
  const plan = makePlan(clip);
  const sizes = poolSizes(options, clip);
  const ion = IonClient.open(machine);
  const many = (count: number, name: string, size: number): DmaBuf[] =>
    Array.from({ length: count }, (_, i) =>
      ion.alloc({ size, heaps: 'carveout', name: `${name} ${i}` }),
    );
  const bitstream = ion.alloc({ size: plan.bytes, heaps: 'system', name: 'bitstream' });
  const buffers: Buffers = {
    bitstream,
    captures: many(CAPTURES, 'capture', sizes.capture),
    framebuffers: many(FRAMEBUFFERS, 'framebuffer', sizes.framebuffer),
    overlay: many(subtitle === undefined ? 0 : 1, 'overlay', sizes.overlay)[0],
  };
  fill(bitstream, (bracket) => stage(clip, bracket.bytes));
  const { overlay } = buffers;
  if (subtitle !== undefined && overlay !== undefined) {
    fill(overlay, (bracket) => drawSubtitle(subtitle, bracket.words));
  }
  const [scratch] = many(1, 'gpu scratch', sizes.scratch);
  const devices = openDevices(machine, clip, screen, buffers, scratch, subtitle);
  const whole = clip.width === screen.width && clip.height === screen.height;
  const to = fit(clip, screen);
  const fills = whole || (to.width === screen.width && to.height === screen.height);
  const setup: Setup = {
    plan,
    to: fills ? undefined : to,
    overlayAt: subtitle?.rect,
    paced: options.speed === 'realtime',
    recorded,
  };
  return new Pipeline(setup, buffers, devices);
}

/** Writes a buffer by the CPU: a mapping, and in it a bracket that overwrites everything. */
function fill(buffer: DmaBuf, write: (bracket: ReturnType<DmaBuf['access']>) => void): void {
  const mapping = buffer.mmap();
  const bracket = mapping.prepareAccess({ write: true, discard: true });
  try {
    write(bracket);
  } finally {
    bracket.finish();
    mapping.close();
  }
}

function openDevices(
  machine: Machine,
  clip: Clip,
  screen: Size,
  buffers: Buffers,
  scratch: DmaBuf | undefined,
  subtitle: Subtitle | undefined,
): Devices {
  const video = VideoDevice.open(machine);
  const { fourcc, header, width: visibleWidth, height: visibleHeight } = clip;
  video.setFormat({
    output: { fourcc, ...(header !== undefined && { header }) },
    capture: { width: visibleWidth, height: visibleHeight },
    depth: CAPTURES,
  });
  const gpu = GpuContext.create(machine, {
    name: 'render',
    ...(scratch !== undefined && { scratch }),
  });
  scratch?.close(); // the GPU has an fd of its own
  const display = Display.open(machine);
  const { maxWidth: width, maxHeight: height } = clip;
  const { overlay } = buffers;
  return {
    video,
    gpu,
    display,
    frames: buffers.captures.map((buffer) => gpu.importFrame({ buffer, width, height })),
    targets: buffers.framebuffers.map((buffer) => {
      const shape = { buffer, fourcc: DRM_FORMAT_XRGB8888, ...screen };
      const image = gpu.importImage(shape);
      return { image, fb: display.addFramebuffer({ ...shape, pitches: [screen.width * 4] }) };
    }),
    overlay:
      overlay === undefined || subtitle === undefined
        ? undefined
        : gpu.importImage({
            buffer: overlay,
            fourcc: DRM_FORMAT_ARGB8888,
            width: subtitle.rect.width,
            height: subtitle.rect.height,
          }),
  };
}
