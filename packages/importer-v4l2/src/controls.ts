/**
 * Controls: the settings of a file (drivers/media/v4l2-core/v4l2-ctrls-*.c), integers with a range.
 *
 * What may be set is kept here, in the handle's thread; it goes to the device with each buffer that is
 * queued, so that a change has its exact place in the stream.
 */
import { DmaBufError } from '@dmabuf/core';
import {
  V4L2_CTRL_FLAG_NEXT_CTRL,
  V4L2_CTRL_FLAG_READ_ONLY,
  V4L2_CTRL_FLAG_WRITE_ONLY,
  V4L2_CTRL_TYPE_BUTTON,
  V4L2_CTRL_TYPE_MENU,
} from './videodev2.js';

/** struct v4l2_queryctrl. */
export interface QueryCtrl {
  readonly id: number;
  readonly type: number;
  readonly name: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly step: number;
  readonly default_value: number;
  /** V4L2_CTRL_FLAG_* */
  readonly flags: number;
  /** MENU: the names of its values, from `minimum` on. */
  readonly menu?: readonly string[];
}

/** struct v4l2_ext_control. */
export interface ExtControl {
  readonly id: number;
  readonly value: number;
}

/** A control and where its value comes from, when it is the device's to say. */
export interface ControlSpec extends QueryCtrl {
  readonly volatile?: () => number;
}

export class Controls {
  readonly #specs: readonly ControlSpec[];
  readonly #values: Map<number, number>;
  readonly #changed: (id: number, value: number) => void;

  constructor(specs: readonly ControlSpec[], changed: (id: number, value: number) => void) {
    this.#specs = [...specs].sort((a, b) => a.id - b.id);
    this.#values = new Map(specs.map((spec) => [spec.id, spec.default_value]));
    this.#changed = changed;
  }

  /** VIDIOC_QUERYCTRL; with V4L2_CTRL_FLAG_NEXT_CTRL in the id the one after it. EINVAL. */
  query(id: number): QueryCtrl {
    const next = id >= V4L2_CTRL_FLAG_NEXT_CTRL;
    const after = id - V4L2_CTRL_FLAG_NEXT_CTRL;
    const found = this.#specs.find((spec) => (next ? spec.id > after : spec.id === id));
    if (found === undefined) throw unknown('VIDIOC_QUERYCTRL', id);
    const { volatile: _volatile, ...query } = found;
    return query;
  }

  /** VIDIOC_QUERYMENU. EINVAL: no menu, or no such entry. */
  menu(id: number, index: number): string {
    const spec = this.#find('VIDIOC_QUERYMENU', id);
    const name = spec.type === V4L2_CTRL_TYPE_MENU ? spec.menu?.[index - spec.minimum] : undefined;
    if (name !== undefined) return name;
    throw new DmaBufError('EINVAL', 'VIDIOC_QUERYMENU', `control ${id} has no entry ${index}`);
  }

  /** VIDIOC_G_CTRL. EINVAL: no such control; EACCES: it can only be written. */
  get(id: number): number {
    const spec = this.#find('VIDIOC_G_CTRL', id);
    if ((spec.flags & V4L2_CTRL_FLAG_WRITE_ONLY) !== 0) {
      throw new DmaBufError('EACCES', 'VIDIOC_G_CTRL', `'${spec.name}' can only be written`);
    }
    return spec.volatile?.() ?? this.#values.get(id) ?? spec.default_value;
  }

  /**
   * VIDIOC_S_CTRL; the value that was set, on the control's grid. EINVAL: no such control; EACCES: it can
   * only be read; ERANGE: out of its range.
   */
  set(id: number, value: number): number {
    const [set] = this.try('VIDIOC_S_CTRL', [{ id, value }]);
    this.#store(id, set?.value ?? value);
    return set?.value ?? value;
  }

  /** VIDIOC_S_EXT_CTRLS: all or none. */
  setAll(controls: readonly ExtControl[]): readonly ExtControl[] {
    const tried = this.try('VIDIOC_S_EXT_CTRLS', controls);
    for (const { id, value } of tried) this.#store(id, value);
    return tried;
  }

  /** VIDIOC_TRY_EXT_CTRLS: what they would be set to. */
  try(call: string, controls: readonly ExtControl[]): readonly ExtControl[] {
    return controls.map(({ id, value }) => {
      const spec = this.#find(call, id);
      if ((spec.flags & V4L2_CTRL_FLAG_READ_ONLY) !== 0) {
        throw new DmaBufError('EACCES', call, `'${spec.name}' can only be read`);
      }
      return { id, value: spec.type === V4L2_CTRL_TYPE_BUTTON ? 1 : onGrid(call, spec, value) };
    });
  }

  /** Takes back a button that was pressed: whether it was. */
  takeButton(id: number): boolean {
    const pressed = this.#values.get(id) === 1;
    this.#values.set(id, 0);
    return pressed;
  }

  has(id: number): boolean {
    return this.#specs.some((spec) => spec.id === id);
  }

  #store(id: number, value: number): void {
    const before = this.#values.get(id);
    this.#values.set(id, value);
    if (before !== value) this.#changed(id, value);
  }

  #find(call: string, id: number): ControlSpec {
    const spec = this.#specs.find((other) => other.id === id);
    if (spec !== undefined) return spec;
    throw unknown(call, id);
  }
}

function unknown(call: string, id: number): DmaBufError {
  return new DmaBufError('EINVAL', call, `this device has no control 0x${id.toString(16)}`);
}

/** The nearest value that the control takes. */
function onGrid(call: string, spec: ControlSpec, value: number): number {
  const { minimum, maximum, step, name } = spec;
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    const detail = `${value} for '${name}'; it takes ${minimum} to ${maximum}`;
    throw new DmaBufError('ERANGE', call, detail);
  }
  return minimum + Math.round((value - minimum) / step) * step;
}
