/**
 * The legacy calls for single planes (SETPLANE, CURSOR): atomic commits of one plane.
 */
import type { Fence } from '@dmabuf/core';
import { AtomicRequest, type PropertyValue } from './atomic-request.js';
import type { AtomicCommits } from './display-atomic.js';
import type { Framebuffer } from './display-framebuffer.js';
import type { DisplayPorts } from './display-ports.js';
import type { PlaneObject } from './objects.js';

/** Where a plane is, and what part of its framebuffer it shows; pixels. */
export interface PlanePlace {
  readonly x: number;
  readonly y: number;
  /** Size on screen. Default: that of the source. */
  readonly width?: number;
  readonly height?: number;
  /** The part that is shown, in pixels, fractions included. Default: all of the framebuffer. */
  readonly source?: {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
  };
}

export class Planes {
  readonly #ports: DisplayPorts;
  readonly #commits: AtomicCommits;

  constructor(ports: DisplayPorts, commits: AtomicCommits) {
    this.#ports = ports;
    this.#commits = commits;
  }

  /** See {@link Display.setPlane}. */
  setPlane(plane: PlaneObject, fb: Framebuffer | undefined, place: PlanePlace): void {
    const request = new AtomicRequest().set(plane, this.#values(fb, place));
    this.#commits.commit(request, {});
  }

  /** See {@link Display.setCursor}. */
  setCursor(fb: Framebuffer | undefined, x: number, y: number): Fence {
    const { cursor } = this.#ports.objects;
    const request = new AtomicRequest().set(cursor, this.#values(fb, { x, y }));
    return this.#commits.queue(request, {}).fence;
  }

  /** See {@link Display.moveCursor}. */
  moveCursor(x: number, y: number): Fence {
    const { cursor } = this.#ports.objects;
    const request = new AtomicRequest().set(cursor, { CRTC_X: x, CRTC_Y: y });
    return this.#commits.queue(request, {}).fence;
  }

  #values(fb: Framebuffer | undefined, place: PlanePlace): Record<string, PropertyValue> {
    if (fb === undefined) return { FB_ID: 0, CRTC_ID: 0 };
    const source = place.source ?? { x: 0, y: 0, width: fb.width, height: fb.height };
    return {
      FB_ID: fb,
      CRTC_ID: this.#ports.objects.crtc.id,
      CRTC_X: place.x,
      CRTC_Y: place.y,
      CRTC_W: place.width ?? Math.round(source.width),
      CRTC_H: place.height ?? Math.round(source.height),
      SRC_X: Math.round(source.x * 65536),
      SRC_Y: Math.round(source.y * 65536),
      SRC_W: Math.round(source.width * 65536),
      SRC_H: Math.round(source.height * 65536),
    };
  }
}
