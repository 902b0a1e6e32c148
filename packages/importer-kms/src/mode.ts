/**
 * Display modes: the timings of `struct drm_display_mode`, made by VESA CVT 1.2 reduced blanking
 * version 2 (as `drm_cvt_mode` does for version 1), and the text form `WxH@HZ`.
 *
 * The refresh rate in mHz is the authority for time: {@link DisplayMode.clock} is rounded to
 * whole kHz as in DRM and would drift.
 */
import { DmaBufError } from '@dmabuf/core';

/** Least and greatest active width and height, pixels. */
export const MODE_SIZE_LIMITS: Readonly<{ min: number; max: number }> = { min: 64, max: 8192 };
/** Least and greatest refresh rate, mHz. */
export const MODE_VREFRESH_LIMITS: Readonly<{ min: number; max: number }> = {
  min: 1_000,
  max: 240_000,
};

/** One mode. A plain value: compare with {@link sameMode}, send it anywhere. */
export interface DisplayMode {
  /** `'1280x720@59.94'`; {@link parseMode} reads it back to an equal mode. */
  readonly name: string;
  /** Refresh rate in mHz, exact: 60 Hz is 60000, 59.94 Hz is 59940. */
  readonly vrefresh: number;
  /** Pixel clock in kHz, rounded. */
  readonly clock: number;
  readonly hdisplay: number;
  readonly hsyncStart: number;
  readonly hsyncEnd: number;
  readonly htotal: number;
  readonly vdisplay: number;
  readonly vsyncStart: number;
  readonly vsyncEnd: number;
  readonly vtotal: number;
}

// CVT 1.2, section 3.4.3 (reduced blanking timing version 2).
const RB2_H_FRONT_PORCH = 8;
const RB2_H_SYNC = 32;
const RB2_H_BLANK = 80;
const RB2_V_SYNC = 8;
const RB2_V_BACK_PORCH = 6;
const RB2_MIN_V_FRONT_PORCH = 1;
const RB2_MIN_V_BLANK_US = 460;

/** Lines of vertical blanking that last at least 460 µs at this rate. */
function verticalBlankLines(vdisplay: number, vrefresh: number): number {
  const framePeriodUs = 1e9 / vrefresh;
  const lineUs = (framePeriodUs - RB2_MIN_V_BLANK_US) / vdisplay;
  const lines = Math.floor(RB2_MIN_V_BLANK_US / lineUs) + 1;
  return Math.max(lines, RB2_MIN_V_FRONT_PORCH + RB2_V_SYNC + RB2_V_BACK_PORCH);
}

function refuse(text: string, why: string): DmaBufError {
  return new DmaBufError(
    'EINVAL',
    'modeset',
    `mode ${text}: ${why}; write it as 1280x720@60, with ` +
      `${MODE_SIZE_LIMITS.min} to ${MODE_SIZE_LIMITS.max} pixels each way and ` +
      `${MODE_VREFRESH_LIMITS.min / 1000} to ${MODE_VREFRESH_LIMITS.max / 1000} Hz`,
  );
}

function checkSize(text: string, what: string, pixels: number): void {
  const { min, max } = MODE_SIZE_LIMITS;
  if (!Number.isInteger(pixels) || pixels < min || pixels > max) {
    throw refuse(text, `${what} ${pixels} is not between ${min} and ${max}`);
  }
}

/**
 * The timings of a mode. `vrefresh` is in mHz.
 *
 * Throws EINVAL that says which of the three is out of range.
 */
export function makeMode(hdisplay: number, vdisplay: number, vrefresh: number): DisplayMode {
  const name = `${hdisplay}x${vdisplay}@${vrefresh / 1000}`;
  checkSize(name, 'width', hdisplay);
  checkSize(name, 'height', vdisplay);
  const { min, max } = MODE_VREFRESH_LIMITS;
  if (!Number.isInteger(vrefresh) || vrefresh < min || vrefresh > max) {
    throw refuse(name, `${vrefresh / 1000} Hz is not between ${min / 1000} and ${max / 1000} Hz`);
  }
  const htotal = hdisplay + RB2_H_BLANK;
  const vtotal = vdisplay + verticalBlankLines(vdisplay, vrefresh);
  const hsyncStart = hdisplay + RB2_H_FRONT_PORCH;
  const vsyncEnd = vtotal - RB2_V_BACK_PORCH;
  return {
    name,
    vrefresh,
    clock: Math.round((htotal * vtotal * vrefresh) / 1e6),
    hdisplay,
    hsyncStart,
    hsyncEnd: hsyncStart + RB2_H_SYNC,
    htotal,
    vdisplay,
    vsyncStart: vsyncEnd - RB2_V_SYNC,
    vsyncEnd,
    vtotal,
  };
}

/**
 * Reads `WxH@HZ`, for example `1280x720@60` or `1920x1080@59.94` (up to three decimals).
 *
 * Called by command lines and by the driver half. Throws EINVAL that quotes the text, says what
 * is wrong and what is accepted.
 */
export function parseMode(text: string): DisplayMode {
  const match = /^(\d+)x(\d+)@(\d+)(?:\.(\d{1,3}))?$/.exec(text);
  if (match === null) throw refuse(JSON.stringify(text), 'not of the form WxH@HZ');
  const [, width = '', height = '', hertz = '', fraction = ''] = match;
  const vrefresh = Number(hertz) * 1000 + Number(fraction.padEnd(3, '0'));
  return makeMode(Number(width), Number(height), vrefresh);
}

/** Whether two modes have the same timings, so that a switch between them needs no modeset. */
export function sameMode(a: DisplayMode, b: DisplayMode): boolean {
  return a.hdisplay === b.hdisplay && a.vdisplay === b.vdisplay && a.vrefresh === b.vrefresh;
}

/** Length of a frame in nanoseconds, rounded, for printing; for time keep to `vrefresh`. */
export function framePeriodNs(mode: DisplayMode): number {
  return Math.round(1e12 / mode.vrefresh);
}
