/**
 * AtomicRequest: a list of property values, as libdrm's drmModeAtomicReq. Plain data of the caller's;
 * nothing is looked at before it is committed.
 */
import { DmaBufError } from '@dmabuf/core';
import type { Framebuffer } from './display-framebuffer.js';

/** Object and property by their ids; a property also by its name, an object also by itself. */
export type ObjectRef = number | { readonly id: number };

/** An integer; a framebuffer for its id; what an out-fence's fd is written to. */
export type PropertyValue = number | Framebuffer | Int32Array;

export interface AtomicProperty {
  readonly object: number;
  readonly property: number | string;
  readonly value: PropertyValue;
}

export class AtomicRequest {
  readonly #properties: AtomicProperty[] = [];

  /** In the order in which they were added; of one that was added twice the last value counts. */
  get properties(): readonly AtomicProperty[] {
    return this.#properties;
  }

  /** drmModeAtomicAddProperty. Returns itself. */
  add(object: ObjectRef, property: number | string, value: PropertyValue): this {
    const id = typeof object === 'number' ? object : object.id;
    this.#properties.push({ object: id, property, value });
    return this;
  }

  /** Several properties of one object. */
  set(object: ObjectRef, values: Readonly<Record<string, PropertyValue>>): this {
    for (const [property, value] of Object.entries(values)) this.add(object, property, value);
    return this;
  }

  /** drmModeAtomicSetCursor: drops what was added after the first `count` properties. EINVAL. */
  truncate(count: number): this {
    if (Number.isInteger(count) && count >= 0 && count <= this.#properties.length) {
      this.#properties.length = count;
      return this;
    }
    const detail = `${count} of ${this.#properties.length} properties cannot be kept`;
    throw new DmaBufError('EINVAL', 'atomic', detail);
  }
}
