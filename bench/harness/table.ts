/**
 * What a table of the bench is made of. A table runs in a process of its own and comes back as plain
 * data, which report.ts turns into text.
 */

/** What the command line asks of a table. */
export interface RunOptions {
  /** A quarter of the rounds: to see that it runs, not to quote. */
  readonly quick: boolean;
}

/** One figure of one row, over all rounds. */
export interface Figure {
  /** Median over the rounds. */
  readonly value: number;
  /** See `spread`: a fraction. */
  readonly spread: number;
}

export interface Row {
  readonly label: string;
  /** What {@link value} counts: `µs`, `jobs/s`, … */
  readonly unit: string;
  /** The figure itself; of a latency its p50. Undefined where the row was skipped. */
  readonly value?: Figure;
  readonly p99?: Figure;
  /** value ÷ value of the row that it is compared with, median of the ratios of each round. */
  readonly ratio?: Figure;
  readonly p99Ratio?: Figure;
  /** Label of that row. */
  readonly against?: string;
  readonly note?: string;
  /** Why the row was not measured. */
  readonly skipped?: string;
}

/** A mark of design section 5, and how far it was reached. */
export interface Mark {
  readonly what: string;
  readonly reach: string;
  readonly got: string;
  /** Undefined where the machine does not let it be judged. */
  readonly reached: boolean | undefined;
  /** Why not, or what to know of the figure. */
  readonly why?: string;
}

export interface TableResult {
  readonly rows: readonly Row[];
  readonly marks: readonly Mark[];
}

export interface Table {
  /** Name on the command line. */
  readonly name: string;
  readonly title: string;
  /** How it is measured: stated before the numbers. */
  readonly method: readonly string[];
  run(options: RunOptions): Promise<TableResult>;
}

/** A finished table, as a process hands it over. */
export interface Finished extends TableResult {
  readonly name: string;
  readonly title: string;
  readonly method: readonly string[];
  readonly seconds: number;
}

/** A mark that was judged; `why` is said only if it was missed. */
export function judged(mark: Omit<Mark, 'reached' | 'why'>, reached: boolean, why: string): Mark {
  return reached ? { ...mark, reached } : { ...mark, reached, why };
}

export function skippedRow(label: string, unit: string, reason: string): Row {
  return { label, unit, skipped: reason };
}
