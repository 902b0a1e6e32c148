/**
 * Recording of what was on screen, as a thread of an application asks for it.
 */
import { DmaBufError, type Fence, shared } from '@dmabuf/core';
import { SINK_LIMIT_MS, WritebackSink } from './display-sink.js';
import type { DisplayPorts } from './display-ports.js';
import type { QueueWritebackOptions, SinkOptions, WritebackStats } from './display-types.js';
import { REG } from './registers.js';
import { type SinkRequest, throwFailure } from './sink-request.js';
import { encodeWriteback } from './writeback-job.js';

export class Recording {
  readonly #ports: DisplayPorts;

  constructor(ports: DisplayPorts) {
    this.#ports = ports;
  }

  /** See {@link Display.queueWriteback}. */
  queue({ fb, after }: QueueWritebackOptions): Fence {
    const { hdisplay, vdisplay } = this.#ports.committed.crtc;
    const payload = encodeWriteback({
      fourcc: fb.fourcc,
      pitch: fb.pitches[0] ?? 0,
      offset: fb.offsets[0] ?? 0,
      width: hdisplay,
      height: vdisplay,
    });
    return this.#ports.writeback.submit({
      buffers: [shared(fb.buffer)],
      inFences: [after],
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
