/**
 * Recording of what was on screen, as a thread of an application asks for it.
 */
import { DmaBufError, type Fence, shared } from '@dmabuf/core';
import type { Composition, Scene } from './display-composition.js';
import type { Framebuffer } from './display-framebuffer.js';
import { SINK_LIMIT_MS, WritebackSink } from './display-sink.js';
import type { DisplayPorts } from './display-ports.js';
import type { QueueWritebackOptions, SinkOptions, WritebackStats } from './display-types.js';
import { DRM_FORMAT_ARGB8888 } from './fourcc.js';
import { ALPHA_OPAQUE, DRM_MODE_BLEND_PREMULTI, fullScreen, samePlane } from './plane-state.js';
import { REG } from './registers.js';
import { type SinkRequest, throwFailure } from './sink-request.js';
import { encodeWriteback } from './writeback-job.js';

export class Recording {
  readonly #ports: DisplayPorts;
  readonly #composition: Composition;

  constructor(ports: DisplayPorts, composition: Composition) {
    this.#ports = ports;
    this.#composition = composition;
  }

  /** See {@link Display.queueWriteback}. */
  queue({ fb, after }: QueueWritebackOptions): Fence {
    return this.#ports.locked(() => {
      const scene = this.#composition.committed([after]);
      if (this.#isPlain(scene, fb)) return this.#copy(scene, fb);
      const planes = scene.planes.map(({ plane, state }) =>
        plane === 0 ? { plane, state: { ...state, fb: fb.id } } : { plane, state },
      );
      return this.#composition.queue({ ...scene, planes }, { record: true, crc: false });
    });
  }

  /** Whether a framebuffer is all that there is to be seen, so that copying it does. */
  #isPlain({ planes, width, height }: Scene, fb: Framebuffer): boolean {
    const [first, ...rest] = planes;
    if (first === undefined) return true; // the flip that shows it is from before the display went off
    const { plane, state } = first;
    if (plane !== 0 || rest.length > 0 || state.alpha !== ALPHA_OPAQUE) return false;
    const onBlack = state.blend === DRM_MODE_BLEND_PREMULTI || fb.fourcc !== DRM_FORMAT_ARGB8888;
    return onBlack && samePlane(state, fullScreen(state, state.fb, width, height));
  }

  #copy({ width, height, after }: Scene, fb: Framebuffer): Fence {
    const { fourcc } = fb;
    const [pitch = 0] = fb.pitches;
    const [offset = 0] = fb.offsets;
    const payload = encodeWriteback({ fourcc, pitch, offset, width, height });
    return this.#ports.writeback.submit({
      buffers: [shared(fb.buffer)],
      inFences: after,
      payload,
    });
  }

  /** See {@link Display.openSink}. */
  openSink(options: SinkOptions): WritebackSink {
    const { machine, writeback } = this.#ports;
    const request = this.#request(options);
    const reply = machine.ioctl(writeback.target, 'OPEN_SINK', request, SINK_LIMIT_MS);
    const id = throwFailure(reply);
    if (typeof id === 'number') return new WritebackSink(machine, writeback, id);
    throw new DmaBufError('EIO', 'writeback', 'the writeback worker gave a malformed reply');
  }

  /** See {@link Display.writebackStats}. */
  stats(): WritebackStats {
    const ports = this.#ports;
    return {
      sinks: ports.get(REG.SINKS),
      recorded: ports.get(REG.RECORDED) >>> 0,
      notRecorded: ports.get(REG.NOT_RECORDED) >>> 0,
      bytes: ports.double(REG.BYTES),
      copied: ports.double(REG.COPIED),
    };
  }

  #request(options: SinkOptions): SinkRequest {
    if ('view' in options) return { view: options.view, fd: options.fd ?? 1 };
    const { hdisplay, vdisplay, vrefresh } = this.#ports.committed.crtc;
    const { file, rate = [vrefresh, 1000], matrix = 'BT709' } = options;
    return { file, format: { width: hdisplay, height: vdisplay, rate, matrix } };
  }
}
