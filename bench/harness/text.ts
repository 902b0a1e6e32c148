/** Figures as text. */
import type { Figure, Finished, Mark, Row } from './table.js';

/** Three significant digits, thousands grouped. */
export function amount(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

function figure(value: Figure | undefined): string {
  if (value === undefined) return '';
  const noise = value.spread > 0.005 ? ` ±${(value.spread * 100).toFixed(0)} %` : '';
  return `${amount(value.value)}${noise}`;
}

function ratio(value: Figure | undefined): string {
  if (value === undefined) return '';
  const noise = value.spread > 0.005 ? ` ±${(value.spread * 100).toFixed(0)} %` : '';
  return `${Number(value.value.toPrecision(value.value < 0.1 ? 2 : 3))} ×${noise}`;
}

function cells(row: Row, p99: boolean): string[] {
  if (row.skipped !== undefined) {
    return [row.label, row.unit, `skipped: ${row.skipped}`, ...(p99 ? [''] : []), '', ''];
  }
  const ratios = [ratio(row.ratio), ratio(row.p99Ratio)].filter((text) => text !== '').join(' / ');
  const against = [row.against, row.note].filter((text) => text !== undefined).join('; ');
  return [
    row.label,
    row.unit,
    figure(row.value),
    ...(p99 ? [figure(row.p99)] : []),
    ratios,
    against,
  ];
}

/** Head and body of a table. */
export function gridOf(table: Finished): string[][] {
  const p99 = table.rows.some((row) => row.p99 !== undefined);
  const head = ['', 'unit', p99 ? 'p50' : 'value', ...(p99 ? ['p99'] : []), 'ratio', 'to'];
  return [head, ...table.rows.map((row) => cells(row, p99))];
}

export function verdict({ reached }: Mark): string {
  return reached === undefined ? 'not judged' : reached ? 'reached' : 'missed';
}

/** Columns aligned, for a terminal. */
export function aligned(grid: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of grid) {
    for (const [i, cell] of row.entries()) {
      if (!cell.startsWith('skipped')) widths[i] = Math.max(widths[i] ?? 0, cell.length);
    }
  }
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i < 1 ? cell.padEnd(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return grid.map(line).join('\n');
}

/** A Markdown table. */
export function markdown(grid: readonly (readonly string[])[]): string {
  const [head = [], ...body] = grid;
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...body.map(line)].join('\n');
}
