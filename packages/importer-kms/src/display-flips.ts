/**
 * The legacy calls of a display (SETCRTC, PAGE_FLIP, DPMS off), and flips that are queued (design D8a).
 *
 * All of them go under FLIP_LOCK: the line of jobs and the committed state have one order. What they
 * leave is read back by atomic commits and property reads, and the other way round.
 */
import { DmaBufError, type Fence, shared } from '@dmabuf/core';
import { DRM_MODE_PAGE_FLIP_ASYNC, DRM_MODE_PAGE_FLIP_EVENT } from './atomic-check.js';
import { AT_ONCE, type CrtcCommand, encodeCommand, type FlipCommand } from './command.js';
import type { Framebuffer } from './display-framebuffer.js';
import type { DisplayPorts } from './display-ports.js';
import type { InFences, PageFlipOptions, QueueFlipOptions } from './display-types.js';
import { type DisplayMode, makeMode } from './mode.js';
import { toMode } from './options.js';
import { checkCovers, checkPrimaryFormat } from './plane.js';
import { fullScreen } from './plane-state.js';

export class Flips {
  readonly #ports: DisplayPorts;

  constructor(ports: DisplayPorts) {
    this.#ports = ports;
  }

  /** See {@link Display.setMode}. */
  setMode(mode: string | DisplayMode, fb: Framebuffer | undefined): void {
    const wanted = toMode(mode);
    const { hdisplay, vdisplay, vrefresh, name } = wanted;
    if (fb !== undefined) {
      const info = this.#ports.framebuffers.get(fb.id, 'modeset');
      checkPrimaryFormat(info, 'modeset');
      checkCovers(info, hdisplay, vdisplay, 'modeset');
    }
    const fence = this.#ports.locked(() => {
      const { committed, blobs } = this.#ports;
      const old = committed.plane(0);
      const shown = fb?.id ?? old.fb;
      const state = fullScreen(old, shown, hdisplay, vdisplay);
      const active = fb === undefined ? undefined : true;
      const queued = this.#submit(
        {
          kind: 'commit',
          parts: 0,
          ...AT_ONCE,
          mode: { active, hdisplay, vdisplay, vrefresh, refit: true },
          vrr: undefined,
          update: fb === undefined ? undefined : { plane: 0, state },
        },
        fb,
        [],
      );
      const crtc = committed.crtc;
      committed.put(shown === 0 ? [] : [{ plane: 0, state }], {
        active: active ?? crtc.active,
        blob: blobs.own(wanted),
        hdisplay,
        vdisplay,
        vrefresh,
        connected: true,
        linkBad: false, // SETCRTC always trains the link anew
        writeback: crtc.writeback,
        vrr: crtc.vrr,
      });
      return queued;
    });
    const status = fence.wait();
    if (status < 0) throw DmaBufError.of(status, 'modeset', `mode ${name} was not set`);
  }

  /** See {@link Display.disable}. */
  disable(): void {
    const { machine, crtc, committed, objects } = this.#ports;
    // Under the lock to the end: a flip that is queued meanwhile comes after it.
    this.#ports.locked(() => {
      machine.ioctl(crtc.target, 'DISABLE', crtc.submitted);
      const off = objects.planes.map(({ index }) => ({
        plane: index,
        state: { ...committed.plane(index), fb: 0 },
      }));
      committed.put(off, { ...committed.crtc, active: false });
    });
  }

  /** See {@link Display.queueFlip}. */
  queue(options: QueueFlipOptions): Fence {
    const { fb, at, start = false, payload, inFences = [] } = options;
    if (at !== undefined && !Number.isFinite(at)) {
      throw new TypeError(`queueFlip: at must be finite ms, not ${at}`);
    }
    if (payload !== undefined && (payload | 0) !== payload) {
      throw new TypeError(`queueFlip: payload must be a 32-bit integer, not ${payload}`);
    }
    const command = { kind: 'flip', fb: fb.id, at, start, async: false, payload } as const;
    return this.#ports.locked(() => this.#flip(command, fb, inFences, 'queue_flip'));
  }

  /** See {@link Display.pageFlip}. */
  pageFlip(fb: Framebuffer, { flags = 0, userData }: PageFlipOptions): Fence {
    if ((flags & ~(DRM_MODE_PAGE_FLIP_EVENT | DRM_MODE_PAGE_FLIP_ASYNC)) !== 0) {
      const detail = `flags 0x${flags.toString(16)} has bits beside DRM_MODE_PAGE_FLIP_EVENT and DRM_MODE_PAGE_FLIP_ASYNC`;
      throw new DmaBufError('EINVAL', 'page_flip', detail);
    }
    return this.#ports.locked(() => {
      this.#mayFlip(fb);
      const event = (flags & DRM_MODE_PAGE_FLIP_EVENT) !== 0;
      const async = (flags & DRM_MODE_PAGE_FLIP_ASYNC) !== 0;
      if (event) this.#ports.events.reserve('page_flip');
      const command = { kind: 'flip', fb: fb.id, ...AT_ONCE, async } as const;
      const fence = this.#flip(command, fb, [], 'page_flip');
      if (event) this.#ports.wantFlipEvent(fence, userData);
      return fence;
    });
  }

  /** ENOENT, EINVAL, ENOSPC: what the primary plane cannot show as it stands. */
  check(fb: Framebuffer, syscall: string): void {
    const { framebuffers, committed } = this.#ports;
    const info = framebuffers.get(fb.id, syscall);
    checkPrimaryFormat(info, syscall);
    if (committed.planes.fb(0) === 0) {
      const { hdisplay, vdisplay } = committed.crtc;
      checkCovers(info, hdisplay, vdisplay, syscall);
    } else {
      const { width, height } = committed.planes.extent(0);
      checkCovers(info, width, height, syscall);
    }
  }

  #flip(command: FlipCommand, fb: Framebuffer, inFences: InFences, syscall: string): Fence {
    const { committed, blobs } = this.#ports;
    this.check(fb, syscall);
    const fence = this.#submit(command, fb, inFences);
    const { crtc } = committed;
    if (crtc.active && committed.planes.fb(0) !== 0) {
      committed.planes.setFb(0, fb.id);
      return fence;
    }
    const { hdisplay, vdisplay } = crtc;
    const old = committed.plane(0);
    const state = old.fb === 0 ? fullScreen(old, fb.id, hdisplay, vdisplay) : { ...old, fb: fb.id };
    const blob =
      crtc.blob === 0 ? blobs.own(makeMode(hdisplay, vdisplay, crtc.vrefresh)) : crtc.blob;
    committed.put([{ plane: 0, state }], { ...crtc, active: true, connected: true, blob });
    return fence;
  }

  #submit(command: CrtcCommand, fb: Framebuffer | undefined, inFences: InFences): Fence {
    const buffers = fb === undefined ? [] : [shared(fb.buffer)];
    return this.#ports.crtc.submit({ buffers, inFences, payload: encodeCommand(command) });
  }

  #mayFlip(fb: Framebuffer): void {
    const { crtc, path, framebuffers, committed } = this.#ports;
    const pending = crtc.submitted - crtc.completed;
    if (pending > 0) {
      const detail = `${pending} flips are pending on ${path}; wait for their fences, or use queueFlip`;
      throw new DmaBufError('EBUSY', 'page_flip', detail);
    }
    const onScreen = committed.crtc.active ? committed.planes.fb(0) : 0;
    if (onScreen === 0) {
      const detail = `${path} is off; use setMode with a framebuffer, or queueFlip, to turn it on`;
      throw new DmaBufError('EBUSY', 'page_flip', detail);
    }
    const shown = framebuffers.find(onScreen);
    const info = framebuffers.get(fb.id, 'page_flip');
    if (shown === undefined || shown.fourcc === info.fourcc) return;
    const detail = `framebuffer ${fb.id} has another pixel format than framebuffer ${onScreen} on screen; use setMode or queueFlip`;
    throw new DmaBufError('EINVAL', 'page_flip', detail);
  }
}
