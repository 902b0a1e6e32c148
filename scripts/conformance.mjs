#!/usr/bin/env node
// Writes docs/CONFORMANCE.md: which cases of other projects' test programs the suites here cover.
//   node scripts/conformance.mjs [--check]      --check only says whether the file is up to date
//
// The convention, for every package: `src/conformance/cases.json` lists origins, each with the names of
// its cases, notes on those that differ, and reasons for those that are left out; a case of origin
// `suite` is covered when `src/conformance/<suite>.test.ts` of any package has a test whose name is
// the case's, or begins with it and a colon.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { walk } from './runner/discover.mjs';

/**
 * @typedef {object} Origin as cases.json has it
 * @property {string} suite
 * @property {string} title
 * @property {string} source
 * @property {string[]} cases
 * @property {Record<string, string>} notes
 * @property {Record<string, string>} leftOut
 * @property {boolean} [ours] there is no test program: the list of cases is this project's own
 */

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {string[]} files that cover it
 * @property {string} note
 * @property {string} leftOut reason, or empty
 */

/**
 * @typedef {Omit<Origin, 'cases'> & { cases: Case[], extra: number }} Covered
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'docs', 'CONFORMANCE.md');

/**
 * Names of the tests in a source: of a template only what stands before its first expression.
 * @param {string} source
 * @returns {string[]}
 */
export function testNames(source) {
  const calls = source.matchAll(/\btest\(\s*(?:'((?:[^'\\]|\\.)*)'|`((?:[^`\\]|\\.)*)`)/g);
  return [...calls].map(([, plain, template]) => plain ?? (template ?? '').split('${')[0] ?? '');
}

/** @param {string} name */
export function caseOf(name) {
  return name.split(':')[0] ?? name;
}

/** @param {string} at root of the workspaces */
export function collect(at) {
  /** @type {{ workspaces: string[] }} */
  const { workspaces } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
  /** @type {Map<string, { file: string, names: string[] }[]>} */
  const suites = new Map();
  /** @type {Origin[]} */
  const origins = [];
  for (const folder of workspaces) {
    const place = `${folder}/src/conformance`;
    const list = join(at, place, 'cases.json');
    if (existsSync(list)) origins.push(...JSON.parse(readFileSync(list, 'utf8')).origins);
    for (const file of walk(join(at, place)).filter((path) => path.endsWith('.test.ts'))) {
      const suite = file.slice(0, -'.test.ts'.length);
      const names = testNames(readFileSync(join(at, place, file), 'utf8'));
      suites.set(suite, [...(suites.get(suite) ?? []), { file: `${place}/${file}`, names }]);
    }
  }
  return origins.map((origin) => cover(origin, suites.get(origin.suite) ?? []));
}

/**
 * @param {Origin} origin
 * @param {{ file: string, names: string[] }[]} files
 * @returns {Covered}
 */
function cover(origin, files) {
  const known = new Set(origin.cases);
  const cases = origin.cases.map((name) => ({
    name,
    files: files.filter((f) => f.names.some((n) => caseOf(n) === name)).map((f) => f.file),
    note: origin.notes[name] ?? '',
    leftOut: origin.leftOut[name] ?? '',
  }));
  const names = files.flatMap((f) => f.names);
  return { ...origin, cases, extra: names.filter((name) => !known.has(caseOf(name))).length };
}

/** @param {Covered[]} origins */
export function countOf(origins) {
  const cases = origins.flatMap((origin) => origin.cases);
  const covered = cases.filter((c) => c.files.length > 0).length;
  const leftOut = cases.filter((c) => c.files.length === 0 && c.leftOut !== '').length;
  const rest = cases.length - leftOut;
  return { cases: cases.length, covered, leftOut, missing: rest - covered, share: covered / rest };
}

/**
 * What is wrong with the lists, as sentences.
 * @param {Covered[]} origins
 */
export function faultsOf(origins) {
  return origins.flatMap(({ suite, cases, notes, leftOut }) => {
    const names = cases.map((c) => c.name);
    const twice = names.filter((name, i) => names.indexOf(name) !== i);
    const unknown = [...Object.keys(notes), ...Object.keys(leftOut)].filter(
      (n) => !names.includes(n),
    );
    const both = cases.filter((c) => c.leftOut !== '' && c.files.length > 0);
    return [
      ...twice.map((name) => `${suite}: ${name} is listed twice`),
      ...unknown.map((name) => `${suite}: ${name} has a note or a reason and is not listed`),
      ...both.map(({ name }) => `${suite}: ${name} is left out and covered`),
    ];
  });
}

/** @param {number} share */
const percent = (share) => `${Math.floor(share * 1000) / 10} %`;

/** @param {Covered} origin */
function section({ suite, title, source, cases, extra }) {
  const rows = cases.map(({ name, files, note, leftOut }) => {
    const state = files.length > 0 ? 'covered' : leftOut === '' ? '**missing**' : 'left out';
    return `| ${name} | ${state} | ${[leftOut, note].filter((text) => text !== '').join(' ')} |`;
  });
  const files = [...new Set(cases.flatMap((c) => c.files))].map((file) => `\`${file}\``);
  return [
    `## ${title}`,
    '',
    `${source}. Suite \`${suite}\`${files.length > 0 ? `: ${files.join(', ')}` : ''}.`,
    ...(extra > 0 ? ['', `Beside these cases, ${extra} tests of our own.`] : []),
    '',
    '| case | | |',
    '|---|---|---|',
    ...rows,
    '',
  ];
}

/** @param {Covered[]} origins */
export function render(origins) {
  /** @param {string} name @param {ReturnType<typeof countOf>} c */
  const row = (name, c) =>
    `| ${name} | ${c.cases} | ${c.covered} | ${c.leftOut} | ${c.missing} | ${percent(c.share)} |`;
  /** @type {[string, Covered[]][]} */
  const kinds = [
    ['of test programs', origins.filter(({ ours }) => ours !== true)],
    ['listed by us', origins.filter(({ ours }) => ours === true)],
  ];
  const totals = kinds.filter(([, some]) => some.length > 0);
  const lines = [
    '# Conformance',
    '',
    '<!-- Written by scripts/conformance.mjs from the suites; do not edit. -->',
    '',
    'What this project is modelled on has test programs. Their cases are written anew here, under their own',
    'names, and assert on this library. A case is left out only where its concept does not exist here.',
    'Where an answer differs on purpose, or a count was made smaller so that the suites stay quick, a',
    'note says so. Where there is no test program, the list of cases is our own, drawn from the sources and',
    'from what users report; such origins are counted apart.',
    '',
    '| origin | cases | covered | left out | missing | covered of the rest |',
    '|---|---|---|---|---|---|',
    ...origins.map((origin) => row(`${origin.title} (${origin.suite})`, countOf([origin]))),
    ...totals.map(([name, some]) => row(`**${name}**`, countOf(some))),
    '',
    ...origins.flatMap(section),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Whether docs/CONFORMANCE.md is what this would write. */
export function isUpToDate() {
  return existsSync(target) && readFileSync(target, 'utf8') === render(collect(root));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const origins = collect(root);
  for (const fault of faultsOf(origins)) {
    console.error(fault);
    process.exitCode = 1;
  }
  if (!process.argv.includes('--check')) writeFileSync(target, render(origins));
  else if (!isUpToDate()) {
    console.error('docs/CONFORMANCE.md is out of date: run node scripts/conformance.mjs');
    process.exitCode = 1;
  }
  const { cases, covered, leftOut, missing } = countOf(origins);
  console.log(`${covered} of ${cases} cases covered, ${leftOut} left out, ${missing} missing`);
}
