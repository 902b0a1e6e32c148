/** docs/BENCH.md: what the last whole run has measured. */
import type { Finished } from './table.js';
import { gridOf, markdown, verdict } from './text.js';

/** Of a run as a whole. */
export interface RunFacts {
  readonly machine: string;
  /** Load average before the first table and after the last one. */
  readonly load: readonly [number, number];
  readonly seconds: number;
  readonly date: string;
}

const INTRO = `# Bench

Written by \`npm run bench\`; do not edit. \`npm run bench -- --table NAME\` runs one table, \`--quick\` a
quarter of the rounds, \`--json\` prints everything for machines.

## How to read it

- Each table ran in a process of its own. Its variants ran in turn, round by round, after rounds of warm-up
  that are not counted; the order turns round from one round to the next. What is compared was thus
  measured in the same process within seconds.
- A figure is the median over the rounds; **±** is half the range of the middle half of the rounds: the noise
  of that figure in this run. A ratio is taken within each round, and its median and ± stand here. Of
  latencies, p50 and p99 are those of one round's samples, and "a / b" are the ratios of the two.
- All ran with \`NODE_ENV=production\`: otherwise core notes the place where each handle is opened, for leak
  warnings, which costs some microseconds a handle.
- Absolute figures belong to this machine on this day. Compare ratios.
`;

export function reportOf(tables: readonly Finished[], facts: RunFacts): string {
  const [before, after] = facts.load;
  const parts = [
    INTRO,
    `## Where and when\n\n${facts.machine}.\n${facts.date}, ${facts.seconds.toFixed(0)} s in all; load average ${before.toFixed(1)} before, ${after.toFixed(1)} after (the bench itself included).\n`,
    `## The marks of the design\n\n${marksText(tables)}\n`,
    ...tables.map(section),
  ];
  return parts.join('\n');
}

function marksText(tables: readonly Finished[]): string {
  const marks = tables.flatMap((table) => table.marks.map((mark) => ({ mark, table })));
  const grid = [
    ['what', 'reach', 'measured', '', 'table'],
    ...marks.map(({ mark, table }) => [mark.what, mark.reach, mark.got, verdict(mark), table.name]),
  ];
  const reasons = marks.filter(({ mark }) => mark.why !== undefined && mark.reached !== true);
  const why = reasons.map(({ mark }) => `- **${mark.what}**: ${mark.why ?? ''}`).join('\n');
  return why === ''
    ? markdown(grid)
    : `${markdown(grid)}\n\nOf those that were missed, or need a word:\n\n${why}`;
}

function section(table: Finished): string {
  const method = table.method.map((line) => `- ${line}`).join('\n');
  return `## ${table.title}\n\n\`--table ${table.name}\`, ${table.seconds.toFixed(0)} s\n\n${method}\n\n${markdown(gridOf(table))}\n`;
}
