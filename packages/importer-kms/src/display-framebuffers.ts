/**
 * Framebuffers of a display, as a thread of an application adds and removes them.
 */
import { type DmaBuf, DmaBufError } from '@dmabuf/core';
import { encodeCommand } from './command.js';
import { Framebuffer, type FramebufferHandle } from './display-framebuffer.js';
import type { DisplayPorts } from './display-ports.js';
import type { FramebufferOptions } from './display-types.js';
import { checkFramebuffer } from './framebuffer.js';
import { checkPlaneFormat } from './objects.js';

export class Framebuffers {
  readonly #ports: DisplayPorts;

  constructor(ports: DisplayPorts) {
    this.#ports = ports;
  }

  /** See {@link Display.addFramebuffer}. */
  add(options: FramebufferOptions): Framebuffer {
    const { buffer, width, height, fourcc, pitches } = options;
    const { offsets = [], flags = 0, modifier = [] } = options;
    // Handles beyond the format's planes are excused as Linux does, so one per plane that has a pitch; the
    // first plane has one in any case, so that it is its pitch that is found wrong.
    const handles = pitches.map((pitch, i) => (pitch > 0 || i === 0 ? buffer.size : undefined));
    const request = { width, height, fourcc, pitches, offsets, flags, modifier, handles };
    const { planes } = checkFramebuffer(request);
    checkPlaneFormat(this.#ports.objects, fourcc, 'addfb2');
    const geometry = {
      ino: buffer.record.ino,
      pointer: buffer.record.pointer,
      width,
      height,
      fourcc,
      pitches: planes.map((plane) => plane.pitch),
      offsets: planes.map((plane) => plane.offset),
    };
    const own = buffer.dup();
    const attachments = [];
    try {
      for (const actor of [this.#ports.crtc.target, this.#ports.writeback.target]) {
        attachments.push(own.attach(actor));
      }
      const id = this.#ports.framebuffers.add(geometry, this.#ports.machine.self);
      const fb = new Framebuffer({ id, ...geometry }, own, attachments);
      this.#ports.known.set(id, fb);
      return fb;
    } catch (error) {
      for (const attachment of attachments) attachment.detach();
      own.close();
      throw error;
    }
  }

  /** See {@link Display.framebuffer}. */
  of(handle: FramebufferHandle, buffer: DmaBuf): Framebuffer {
    const info = this.#ports.framebuffers.get(handle.id, 'getfb2');
    if (info.ino === buffer.record.ino) return new Framebuffer(info, buffer.dup(), []);
    const detail = `framebuffer ${info.id} is of buffer ${info.ino}, an fd of buffer ${buffer.record.ino} was given`;
    throw new DmaBufError('EINVAL', 'getfb2', detail);
  }

  /** Removes all that were added here. */
  removeAll(): void {
    for (const fb of [...this.#ports.known.values()]) this.remove(fb);
  }

  /** See {@link Display.rmFramebuffer}. */
  remove(fb: Framebuffer): void {
    const { framebuffers, crtc, known } = this.#ports;
    framebuffers.get(fb.id, 'rmfb');
    if (!known.has(fb.id)) {
      const detail = `framebuffer ${fb.id} was added by another Display, which removes it`;
      throw new DmaBufError('ENOENT', 'rmfb', detail);
    }
    const fence = this.#ports.locked(() => {
      const queued = crtc.submit({ payload: encodeCommand({ kind: 'rmfb', fb: fb.id }) });
      this.#ports.forget(fb.id);
      return queued;
    });
    const status = fence.wait();
    known.delete(fb.id);
    fb.drop();
    if (status < 0) throw DmaBufError.of(status, 'rmfb', `framebuffer ${fb.id} was not removed`);
  }
}
