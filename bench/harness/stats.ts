/** Numbers from samples: medians, percentiles, spread over rounds. */

/** A sorted copy. */
export function sorted(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/** The value below which the fraction `p` of the samples lies (nearest rank); NaN of none. */
export function percentile(values: ArrayLike<number>, p: number): number {
  const list = sorted(values);
  const rank = Math.min(list.length - 1, Math.max(0, Math.ceil(p * list.length) - 1));
  return list[rank] ?? NaN;
}

export function median(values: ArrayLike<number>): number {
  const list = sorted(values);
  const middle = list.length >> 1;
  const high = list[middle] ?? NaN;
  return list.length % 2 === 1 ? high : ((list[middle - 1] ?? NaN) + high) / 2;
}

/** Half the range of the middle half of the rounds, as a fraction of the median: the noise of a figure. */
export function spread(rounds: readonly number[]): number {
  const half = (percentile(rounds, 0.75) - percentile(rounds, 0.25)) / 2;
  return half / Math.abs(median(rounds));
}
