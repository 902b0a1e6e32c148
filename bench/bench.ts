/**
 * The bench: this project beside what one would use instead. Each table runs in a process of its own.
 *
 *   npm run bench                     all tables; writes docs/BENCH.md
 *   npm run bench -- --table NAME     one (may be given more than once); writes nothing
 *   npm run bench -- --quick          a quarter of the rounds; writes nothing
 *   npm run bench -- --json           everything as JSON on stdout
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { load, machineLine } from './harness/machine-info.js';
import { reportOf } from './harness/report.js';
import type { Finished, Table } from './harness/table.js';
import { aligned, gridOf, verdict } from './harness/text.js';
import { tables } from './tables/index.js';

const REPORT = new URL('../../docs/BENCH.md', import.meta.url);
const LIMIT_MS = 120_000;

const { values } = parseArgs({
  options: {
    table: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    run: { type: 'string' },
  },
});

if (values.run !== undefined) await runHere(named(values.run));
else if (values.list)
  for (const { name, title } of tables) console.log(`${name.padEnd(12)}${title}`);
else await runAll();

function named(name: string): Table {
  const table = tables.find((candidate) => candidate.name === name);
  if (table === undefined) {
    const known = tables.map((other) => other.name).join(', ');
    console.error(`bench: no table '${name}'; there are: ${known}`);
    process.exit(2);
  }
  return table;
}

/** In the process of one table: measures, and hands the result to the parent. */
async function runHere(table: Table): Promise<void> {
  const { name, title, method } = table;
  const start = performance.now();
  const result = await table.run({ quick: values.quick });
  const seconds = (performance.now() - start) / 1000;
  const finished: Finished = { name, title, method, seconds, ...result };
  process.send?.(finished, () => process.exit(0));
}

async function runAll(): Promise<void> {
  const chosen = values.table === undefined ? tables : values.table.map(named);
  const start = performance.now();
  const before = load();
  const finished: Finished[] = [];
  if (!values.json) console.log(`${machineLine()}; load ${before.toFixed(1)}\n`);
  for (const { name } of chosen) {
    const table = await runApart(name).catch((error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    });
    if (table === undefined) continue;
    finished.push(table);
    if (!values.json) print(table);
  }
  const seconds = (performance.now() - start) / 1000;
  const date = new Date().toISOString().slice(0, 10);
  const facts = { machine: machineLine(), load: [before, load()] as const, seconds, date };
  if (values.json) console.log(JSON.stringify({ ...facts, tables: finished }, undefined, 1));
  // Half a report is none.
  if (values.table === undefined && !values.quick && finished.length === tables.length) {
    writeFileSync(REPORT, reportOf(finished, facts));
    console.error(`wrote ${fileURLToPath(REPORT)}`);
  }
}

/** Runs a table in a process of its own. */
async function runApart(name: string): Promise<Finished> {
  const args = ['--run', name, ...(values.quick ? ['--quick'] : [])];
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ['ignore', 2, 2, 'ipc'],
    // As a program that is in use runs: places where handles were opened are not taken.
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  try {
    return await new Promise<Finished>((resolve, reject) => {
      child.once('message', (message: Finished) => resolve(message));
      child.once('exit', (code) =>
        reject(
          new Error(`bench: table '${name}' ended with code ${String(code)}, without a result`),
        ),
      );
    });
  } finally {
    clearTimeout(limit);
  }
}

function print(table: Finished): void {
  console.log(`${table.title}  (--table ${table.name}, ${table.seconds.toFixed(1)} s)`);
  console.log(aligned(gridOf(table)));
  for (const mark of table.marks) {
    console.log(
      `  ${verdict(mark).toUpperCase()}  ${mark.what}\n    reach ${mark.reach}\n    got   ${mark.got}`,
    );
  }
  console.log('');
}
