/**
 * The nominal frame rate of a clip, from its timestamps: what a Y4M header says.
 */

/** A frame rate as a fraction, frames a second. */
export type Rate = readonly [numerator: number, denominator: number];

/** What cameras and films use; a clip within half a percent of one has that rate. */
const COMMON: readonly Rate[] = [
  [24000, 1001],
  [24, 1],
  [25, 1],
  [30000, 1001],
  [30, 1],
  [48, 1],
  [50, 1],
  [60000, 1001],
  [60, 1],
  [120, 1],
];
const FALLBACK: Rate = [30, 1];

/**
 * The rate of frames at `timestamps` (ms, ascending): the nearest common one, else their mean in
 * thousandths. 30 for fewer than two frames.
 */
export function frameRate(timestamps: readonly number[]): Rate {
  const first = timestamps[0] ?? 0;
  const last = timestamps.at(-1) ?? 0;
  const mean = (1000 * (timestamps.length - 1)) / (last - first);
  if (!(mean > 0) || !Number.isFinite(mean)) return FALLBACK;
  const off = ([n, d]: Rate): number => Math.abs(n / d / mean - 1);
  const nearest = COMMON.reduce((best, rate) => (off(rate) < off(best) ? rate : best));
  return off(nearest) < 0.0002 || (off(nearest) < 0.005 && nearest[1] === 1)
    ? nearest
    : [Math.max(1, Math.round(mean * 1000)), 1000];
}
