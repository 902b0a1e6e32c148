/**
 * Composition of what the planes show, as a thread of an application asks for it: for sinks, and for CRCs.
 *
 * Nothing is composed unless somebody looks: planes are scanned out side by side. Whoever does, queues the
 * composer's jobs (see compose-job.ts) with the states of the planes as they are then.
 */
import { discard, DmaBufError, type Fence, shared } from '@dmabuf/core';
import { encodeCompose } from './compose-job.js';
import type { DisplayPorts } from './display-ports.js';
import type { InFences } from './display-types.js';
import { shownPlanes } from './display-state.js';
import { FrameCrcs } from './frame-crcs.js';
import type { PlaneUpdate } from './plane-state.js';
import type { PlaneTable } from './plane-table.js';
import { REG } from './registers.js';

/** What is composed, and when. */
export interface Scene {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** The planes that are on, in their order. */
  readonly planes: readonly PlaneUpdate[];
  /** Fences that must have signalled before: of the commit that shows it. */
  readonly after: InFences;
}

/** The CRC of a frame, once it is composed. */
export class FrameCrc {
  /** Signals when the frame is composed; fails with the errno of the commit, or of a render. */
  readonly fence: Fence;
  readonly #crcs: FrameCrcs;

  /** By Display alone. */
  constructor(fence: Fence, crcs: FrameCrcs) {
    this.fence = fence;
    this.#crcs = crcs;
  }

  /** Undefined before the fence has signalled, if it failed, or once 64 others have been asked for. */
  get value(): number | undefined {
    return this.fence.status === 1 ? this.#crcs.find(this.fence.seqno) : undefined;
  }

  /** Blocks until it is there. Throws the errno with which the frame failed; ETIME; ESTALE: too long ago. */
  wait(timeout: number = Infinity): number {
    const status = this.fence.wait(timeout);
    if (status < 0)
      throw DmaBufError.of(status, 'crc', 'the frame was not shown, so it has no CRC');
    const { value } = this;
    if (value !== undefined) return value;
    throw new DmaBufError('ESTALE', 'crc', '64 other CRCs have been asked for since');
  }
}

export class Composition {
  readonly #ports: DisplayPorts;
  readonly #crcs: FrameCrcs;

  constructor(ports: DisplayPorts) {
    this.#ports = ports;
    this.#crcs = new FrameCrcs(ports.door.words, ports.door.base);
  }

  /** What has been committed. Under FLIP_LOCK. */
  committed(after: InFences): Scene {
    const { committed } = this.#ports;
    const { hdisplay: width, vdisplay: height } = committed.crtc;
    return { width, height, planes: this.#planesOf(committed.planes), after };
  }

  /** What is on screen. EBUSY: nothing, the CRTC is off. */
  shown(): Scene {
    const { door, path } = this.#ports;
    if (this.#ports.get(REG.ACTIVE) === 0) {
      throw new DmaBufError('EBUSY', 'crc', `${path} is off; turn it on with setMode or queueFlip`);
    }
    const width = this.#ports.get(REG.HDISPLAY);
    const height = this.#ports.get(REG.VDISPLAY);
    return { width, height, planes: this.#planesOf(shownPlanes(door.words, door.base)), after: [] };
  }

  #planesOf(table: PlaneTable): PlaneUpdate[] {
    const { planes } = this.#ports.objects;
    const all = planes.map(({ index }) => ({ plane: index, state: table.get(index) }));
    return all.filter(({ state }) => state.fb !== 0);
  }

  /** The CRC of a scene. Under FLIP_LOCK. */
  crc(scene: Scene): FrameCrc {
    return new FrameCrc(this.queue(scene, { record: false, crc: true }), this.#crcs);
  }

  /**
   * Queues the jobs of a frame; the fence of the last. `target`: a framebuffer to write it into. Under
   * FLIP_LOCK. ENOENT: a framebuffer is gone.
   */
  queue(
    scene: Scene,
    what: { readonly record: boolean; readonly crc: boolean },
    target: number = 0,
  ): Fence {
    const { framebuffers, writeback } = this.#ports;
    const { width, height, after: inFences } = scene;
    writeback.submit({ inFences, payload: encodeCompose({ kind: 'clear', width, height }) });
    const upwards = [...scene.planes].sort((a, b) => a.state.zpos - b.state.zpos);
    for (const { state } of upwards) {
      const fb = framebuffers.get(state.fb, 'compose');
      const payload = encodeCompose({ kind: 'draw', fb, state });
      this.#ports.withBuffer(state.fb, 'compose', (buffer) =>
        writeback.submit({ buffers: [shared(buffer)], inFences, payload }),
      );
    }
    const to = target === 0 ? undefined : framebuffers.get(target, 'writeback');
    const payload = encodeCompose({ kind: 'end', ...what, to });
    if (to === undefined) return writeback.submit({ inFences, payload });
    return this.#ports.withBuffer(to.id, 'writeback', (buffer) =>
      writeback.submit({ buffers: [discard(buffer)], inFences, payload }),
    );
  }
}
