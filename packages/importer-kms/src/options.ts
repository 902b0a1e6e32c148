/**
 * Options of a display: what `kms()` was given, checked once and carried in the driver's spec.
 */
import { MAX_FRAMEBUFFERS } from './framebuffer-table.js';
import { DUE_TOLERANCE_MS, type FlipSpeed } from './flip-queue.js';
import { makeMode, parseMode, type DisplayMode } from './mode.js';
import { MAX_PLANES } from './registers.js';

const SPIN_MS = 0.5;
const KEYS = [
  'mode',
  'speed',
  'tolerance',
  'spin',
  'overlays',
  'framebuffers',
  'slots',
  'card',
  'vrr',
];

/** Options of {@link kms}. */
export interface KmsOptions {
  /** The mode at boot: `'1280x720@60'` (default) or what `parseMode` gave. */
  readonly mode?: string | DisplayMode;
  /**
   * `'realtime'` (default): flips are shown at vblanks, not before their time, late ones are dropped.
   * `'max'`: no vblanks; every flip is shown, in order, the moment it is ready.
   */
  readonly speed?: FlipSpeed;
  /**
   * ms by which a flip may come before its time. Default 0.002, for rounding alone; give 1 for
   * timestamps in whole ms (WebM), where a frame would else wait for the next vblank.
   */
  readonly tolerance?: number;
  /**
   * Longest busy wait, ms, by which a vblank with a flip is met exactly, 0 to 2. Default 0.5; with 0 flips
   * come as late as timed sleeps end.
   */
  readonly spin?: number;
  /** Overlay planes, 0 to 8, beside the primary and the cursor plane. Default 2. */
  readonly overlays?: number;
  /** Framebuffers that can exist at one time, 1 to 255. Default 64. */
  readonly framebuffers?: number;
  /** Frames that writeback keeps while it encodes, 1 to 64. Default 3. */
  readonly slots?: number;
  /**
   * Lowest refresh rate of the screen, Hz, for one that can vary it (`vrr_capable`); the highest is that of the
   * mode. Default 0: it cannot.
   */
  readonly vrr?: number;
  /** Number of the display: `/dev/dri/card<n>`. Default 0; the driver is then called `kms`. */
  readonly card?: number;
}

/** The same, complete. Plain data, for other threads. */
export interface KmsSettings {
  readonly mode: DisplayMode;
  readonly speed: FlipSpeed;
  readonly tolerance: number;
  readonly spin: number;
  readonly overlays: number;
  readonly framebuffers: number;
  readonly slots: number;
  readonly card: number;
  /** mHz; 0: none. */
  readonly vrr: number;
}

/** Completes and checks options. EINVAL for a mode, RangeError and TypeError for the rest. */
export function checkOptions(options: KmsOptions): KmsSettings {
  const { mode = '1280x720@60', speed = 'realtime' } = options;
  const { tolerance = DUE_TOLERANCE_MS, spin = SPIN_MS } = options;
  if (speed !== 'realtime' && speed !== 'max') {
    throw new TypeError(`kms: speed must be 'realtime' or 'max', not ${String(speed)}`);
  }
  if (typeof tolerance !== 'number' || !(tolerance >= 0) || tolerance === Infinity) {
    throw new RangeError(`kms: tolerance must be a number of ms from 0, not ${tolerance}`);
  }
  if (typeof spin !== 'number' || !(spin >= 0 && spin <= 2)) {
    throw new RangeError(`kms: spin must be a number of ms from 0 to 2, not ${spin}`);
  }
  const { vrr = 0 } = options;
  if (typeof vrr !== 'number' || !(vrr >= 0 && vrr <= 240)) {
    throw new RangeError(`kms: vrr must be a number of Hz from 0 to 240, not ${vrr}`);
  }
  return {
    mode: toMode(mode),
    speed,
    tolerance,
    spin,
    overlays: whole('overlays', options.overlays ?? 2, 0, MAX_PLANES - 2),
    framebuffers: whole('framebuffers', options.framebuffers ?? 64, 1, MAX_FRAMEBUFFERS),
    slots: whole('slots', options.slots ?? 3, 1, 64),
    card: whole('card', options.card ?? 0, 0, 63),
    vrr: Math.round(vrr * 1000),
  };
}

/** A mode from its text, or checked again from its fields. EINVAL. */
export function toMode(mode: string | DisplayMode): DisplayMode {
  if (typeof mode === 'string') return parseMode(mode);
  return makeMode(mode.hdisplay, mode.vdisplay, mode.vrefresh);
}

/** The settings that a driver's spec carries. TypeError when `kms()` did not make it. */
export function settingsOf(options: unknown): KmsSettings {
  if (isSettings(options)) return options;
  throw new TypeError('kms: the options of the driver are not what kms() made of them');
}

function isSettings(options: unknown): options is KmsSettings {
  if (typeof options !== 'object' || options === null) return false;
  return KEYS.every((key) => key in options);
}

function whole(name: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new RangeError(`kms: ${name} must be an integer from ${low} to ${high}, not ${value}`);
}
