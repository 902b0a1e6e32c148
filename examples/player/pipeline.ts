/**
 * The pipeline: decode → render → flip (→ writeback), on a handful of buffers that are named in
 * advance. Queueing a frame waits for nothing; each buffer's own queue says whose turn it is.
 *
 * The main thread builds it (build.ts) and owns its buffers. Any thread that has the handle and fds of
 * the buffers attaches and goes on queueing: contexts are lines in kernel memory, not objects of a
 * thread.
 */
import type { DmaBuf, Fence, Machine } from '@dmabuf/core';
import {
  blend,
  blit,
  clear,
  GpuContext,
  type Command,
  type GpuHandle,
  type GpuImage,
  type Rect,
} from '@dmabuf/importer-gpu';
import {
  Display,
  type DisplayHandle,
  type Framebuffer,
  type FramebufferHandle,
} from '@dmabuf/importer-kms';
import { VideoDevice, type VideoHandle } from '@dmabuf/importer-v4l2';
import type { FrameQueue } from './feed.js';
import type { Plan, PlannedFrame, PlannedPacket } from './plan.js';

/** The buffers of a run. The order of {@link list} is how their fds travel. */
export interface Buffers {
  readonly bitstream: DmaBuf;
  readonly captures: readonly DmaBuf[];
  readonly framebuffers: readonly DmaBuf[];
  /** The subtitle's, if there is one. */
  readonly overlay: DmaBuf | undefined;
}

/** The devices as this thread has them open, and the buffers as they know them. */
export interface Devices {
  readonly video: VideoDevice;
  readonly gpu: GpuContext;
  readonly display: Display;
  /** Of the captures and the framebuffers, in their order. */
  readonly frames: readonly GpuImage[];
  readonly targets: readonly { readonly image: GpuImage; readonly fb: Framebuffer }[];
  readonly overlay: GpuImage | undefined;
}

/** How frames are drawn and shown. Plain data. */
export interface Setup {
  readonly plan: Plan;
  /** Where the picture goes; undefined: it fills the screen. */
  readonly to: Rect | undefined;
  /** Where the subtitle goes. */
  readonly overlayAt: Rect | undefined;
  /** Show frames at their timestamps. */
  readonly paced: boolean;
  /** Write back what was on screen. */
  readonly recorded: boolean;
}

/** What another thread needs, beside fds of the buffers. Plain data. */
export interface PipelineHandle {
  readonly setup: Setup;
  readonly captures: number;
  readonly video: VideoHandle;
  readonly gpu: GpuHandle;
  readonly display: DisplayHandle;
  readonly frames: readonly number[];
  readonly targets: readonly { readonly image: number; readonly fb: FramebufferHandle }[];
  readonly overlay: number | undefined;
}

export class Pipeline implements FrameQueue {
  readonly setup: Setup;
  readonly buffers: Buffers;
  readonly devices: Devices;
  /** Commands for each pair of capture and framebuffer: the same objects, frame after frame. */
  readonly #commands: readonly (readonly Command[])[][];

  constructor(setup: Setup, buffers: Buffers, devices: Devices) {
    this.setup = setup;
    this.buffers = buffers;
    this.devices = devices;
    this.#commands = devices.frames.map((frame) =>
      devices.targets.map(({ image }) => commandsFor(setup, frame, image, devices.overlay)),
    );
  }

  /** Opens in this thread what another has built; `fds` are those of {@link fds}, received here. */
  static attach(machine: Machine, handle: PipelineHandle, fds: readonly DmaBuf[]): Pipeline {
    const { setup, captures: count } = handle;
    const bitstream = taken(fds, 0);
    const captures = fds.slice(1, 1 + count);
    const framebuffers = fds.slice(1 + count, 1 + count + handle.targets.length);
    const overlay = fds[1 + count + framebuffers.length];
    const gpu = GpuContext.fromHandle(machine, handle.gpu);
    const display = Display.fromHandle(machine, handle.display);
    const devices: Devices = {
      video: VideoDevice.fromHandle(machine, handle.video),
      gpu,
      display,
      frames: handle.frames.map((id, i) => gpu.imageById(id, taken(captures, i))),
      targets: handle.targets.map(({ image, fb }, i) => ({
        image: gpu.imageById(image, taken(framebuffers, i)),
        fb: display.framebuffer(fb, taken(framebuffers, i)),
      })),
      overlay:
        handle.overlay === undefined || overlay === undefined
          ? undefined
          : gpu.imageById(handle.overlay, overlay),
    };
    return new Pipeline(setup, { bitstream, captures, framebuffers, overlay }, devices);
  }

  get handle(): PipelineHandle {
    const { video, gpu, display, frames, targets, overlay } = this.devices;
    return {
      setup: this.setup,
      captures: this.buffers.captures.length,
      video: video.handle,
      gpu: gpu.handle,
      display: display.handle,
      frames: frames.map(({ id }) => id),
      targets: targets.map(({ image, fb }) => ({ image: image.id, fb: fb.handle })),
      overlay: overlay?.id,
    };
  }

  /** The fds of all buffers, in the order in which {@link attach} takes them. */
  get fds(): readonly DmaBuf[] {
    const { bitstream, captures, framebuffers, overlay } = this.buffers;
    const rest = overlay === undefined ? [] : [overlay];
    return [bitstream, ...captures, ...framebuffers, ...rest];
  }

  get frames(): number {
    return this.setup.plan.frames.length;
  }

  /** Queues all of a frame and returns the fence that signals last. Waits for nothing. */
  queue(frame: number): Fence {
    this.decode(frame);
    this.render(frame);
    return this.show(frame);
  }

  /** Queues the decoding of a frame into its capture, and of hidden frames before it. */
  decode(frame: number): Fence {
    const { hidden, shown } = this.#planned(frame);
    const capture = taken(this.buffers.captures, frame % this.buffers.captures.length);
    for (const packet of hidden) this.devices.video.queueDecode(this.#request(packet));
    return this.devices.video.queueDecode({ ...this.#request(shown), capture });
  }

  /** Queues the drawing of a frame into its framebuffer. */
  render(frame: number): Fence {
    const { frames, targets, gpu } = this.devices;
    const commands = this.#commands[frame % frames.length]?.[frame % targets.length] ?? [];
    return gpu.submit({ commands });
  }

  /** Queues the flip to a frame, and its recording. */
  show(frame: number): Fence {
    const { targets, display } = this.devices;
    const { fb } = taken(targets, frame % targets.length);
    const { timestamp } = this.#planned(frame).shown;
    const at = this.setup.paced ? { at: timestamp } : {};
    const shown = display.queueFlip({ fb, ...at, payload: frame });
    return this.setup.recorded ? display.queueWriteback({ fb, after: shown }) : shown;
  }

  #planned(frame: number): PlannedFrame {
    return taken(this.setup.plan.frames, frame);
  }

  #request(packet: PlannedPacket): {
    readonly bitstream: { readonly buffer: DmaBuf; readonly offset: number; readonly size: number };
    readonly timestamp: number;
  } {
    const { offset, size, timestamp } = packet;
    return { bitstream: { buffer: this.buffers.bitstream, offset, size }, timestamp };
  }
}

/** Conversion and scaling are one pass; bars around the picture are what `clear` leaves. */
function commandsFor(
  { to, overlayAt }: Setup,
  src: GpuImage,
  dst: GpuImage,
  overlay: GpuImage | undefined,
): readonly Command[] {
  const draw = to === undefined ? [blit({ src, dst })] : [clear({ dst }), blit({ src, dst, to })];
  if (overlay === undefined || overlayAt === undefined) return draw;
  return [...draw, blend({ src: overlay, dst, to: overlayAt })];
}

function taken<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`the pipeline has no ${index} of ${list.length}`);
  return item;
}
