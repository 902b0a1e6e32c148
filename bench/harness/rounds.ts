/**
 * Interleaved rounds: every variant runs once a round, in turn, so that drift of the machine meets all of
 * them alike; ratios are taken within a round. The order alternates from round to round.
 */
import { median, percentile, spread } from './stats.js';
import type { Figure, Row, RunOptions } from './table.js';

/** What a variant gives for one round. */
export interface Sample {
  readonly value: number;
  readonly p99?: number;
}

export interface Variant {
  readonly label: string;
  readonly unit: string;
  /** Label of the variant that it is compared with. */
  readonly against?: string;
  readonly note?: string;
  run(): Sample | Promise<Sample>;
}

/** The rounds of each variant, by its label. */
export type Rounds = ReadonlyMap<string, readonly Sample[]>;

/**
 * Runs all variants `warmUp` times unmeasured, then `rounds` times; of those fewer, but at least one, when
 * `budget` ms have passed: on a busy machine.
 */
export async function interleave(
  variants: readonly Variant[],
  rounds: number,
  warmUp: number = 1,
  budget: number = 20_000,
): Promise<Rounds> {
  const samples = new Map<string, Sample[]>(variants.map(({ label }) => [label, []]));
  const until = performance.now() + budget;
  for (let round = -warmUp; round < rounds; round++) {
    if (round >= 1 && performance.now() > until) break;
    const order = round % 2 === 0 ? variants : [...variants].reverse();
    for (const variant of order) {
      const sample = await variant.run();
      if (round >= 0) samples.get(variant.label)?.push(sample);
    }
  }
  return samples;
}

/** Rounds for a table: a quarter of them when it is to be quick, at least three. */
export function roundsFor({ quick }: RunOptions, rounds: number): number {
  return quick ? Math.max(3, rounds >> 2) : rounds;
}

/** Rows from rounds. */
export function rowsOf(variants: readonly Variant[], rounds: Rounds): Row[] {
  return variants.map((variant) => rowOf(variant, rounds));
}

function rowOf({ label, unit, against, note }: Variant, rounds: Rounds): Row {
  const own = rounds.get(label) ?? [];
  const base = against === undefined ? [] : (rounds.get(against) ?? []);
  const p99s = own.flatMap(({ p99 }) => (p99 === undefined ? [] : [p99]));
  const value = figure(own.map((sample) => sample.value));
  return {
    label,
    unit,
    ...(value !== undefined && { value }),
    ...defined('p99', figure(p99s)),
    ...defined('ratio', figure(ratios(own, base, (sample) => sample.value))),
    ...defined('p99Ratio', figure(ratios(own, base, (sample) => sample.p99))),
    ...defined('against', against),
    ...defined('note', note),
  };
}

function defined<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  const part: Partial<Record<K, V>> = {};
  if (value !== undefined) part[key] = value;
  return part;
}

/** The median of some rounds, with its noise; undefined of none. */
export function figure(rounds: readonly number[]): Figure | undefined {
  if (rounds.length === 0) return undefined;
  return { value: median(rounds), spread: spread(rounds) };
}

function ratios(
  own: readonly Sample[],
  base: readonly Sample[],
  of: (sample: Sample) => number | undefined,
): number[] {
  const out: number[] = [];
  for (const [i, sample] of own.entries()) {
    const a = of(sample);
    const b = base[i] === undefined ? undefined : of(base[i]);
    if (a !== undefined && b !== undefined && b > 0) out.push(a / b);
  }
  return out;
}

/** p50 and p99 of one round's samples. */
export function latency(samples: ArrayLike<number>): Sample {
  return { value: percentile(samples, 0.5), p99: percentile(samples, 0.99) };
}

/** The row with a label; its figures are NaN where it was skipped. For marks. */
export function find(
  rows: readonly Row[],
  label: string,
): { value: number; p99: number; ratio: number; p99Ratio: number } {
  const row = rows.find((candidate) => candidate.label === label);
  return {
    value: row?.value?.value ?? NaN,
    p99: row?.p99?.value ?? NaN,
    ratio: row?.ratio?.value ?? NaN,
    p99Ratio: row?.p99Ratio?.value ?? NaN,
  };
}
