// The map of kernel memory: no field overlaps another, no record its neighbour.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ACTOR,
  BUFFER,
  CONTEXT,
  CONTEXT_RING_SIZE,
  CONTEXT_RING_WORDS,
  DEFAULT_TABLES,
  HEADER,
  HOLDER,
  JOB,
  JOB_GEN_SHIFT,
  JOB_GRANT_MASK,
  JOB_GRANT_SHIFT,
  JOB_STATE,
  JOB_STATE_MASK,
  JOB_WAITERS,
  type Layout,
  layoutOf,
  LINK,
  LINK_FLAG,
  QUEUE,
  readyWordsFor,
  RECORD_LINKS,
  REGION,
  SYNC_FILE,
  SYNC_FILE_POINTS,
  SYNC_POINT,
  TIMELINE,
  TRACE,
  type TableSizes,
} from './layout.js';

type Fields = Readonly<Record<string, number>>;

/** Fields of more than one word; doubles must lie at even offsets. */
const RECORDS: readonly {
  name: string;
  fields: Fields;
  words: Fields;
  doubles: readonly string[];
}[] = [
  {
    name: 'HEADER',
    fields: HEADER,
    words: { DRIVERS: 32, FAULT_TEXT: 40 },
    doubles: ['MANUAL_TIME', 'BYTES_EXPORTED'],
  },
  { name: 'ACTOR', fields: ACTOR, words: { NAME: 8 }, doubles: ['DEADLINE', 'COPIED'] },
  {
    name: 'CONTEXT',
    fields: CONTEXT,
    words: { NAME: 8, RING: CONTEXT_RING_SIZE * CONTEXT_RING_WORDS },
    doubles: ['SUBMITTED', 'STARTED', 'COMPLETED', 'LOST', 'FINAL_FROM', 'RING'],
  },
  { name: 'REGION', fields: REGION, words: { IMPORTERS: 2 }, doubles: ['BYTES'] },
  {
    name: 'BUFFER',
    fields: BUFFER,
    words: { PRIV: 8, NAME: 8, META_CROP: 4, META_PITCHES: 3, META_OFFSETS: 3 },
    doubles: ['OFFSET', 'SIZE', 'META_TIMESTAMP', 'CACHE_LINES'],
  },
  { name: 'HOLDER', fields: HOLDER, words: {}, doubles: ['OFFSET', 'LENGTH'] },
  { name: 'QUEUE', fields: QUEUE, words: {}, doubles: ['SEQ'] },
  {
    name: 'JOB',
    fields: JOB,
    words: { LINK: RECORD_LINKS * LINK.WORDS },
    doubles: ['SEQNO', 'ORDER', 'T_QUEUED', 'T_GRANTED', 'T_STARTED', 'T_DONE', 'START_AT'],
  },
  { name: 'LINK', fields: LINK, words: {}, doubles: [] },
  { name: 'TIMELINE', fields: TIMELINE, words: { NAME: 8 }, doubles: ['VALUE'] },
  {
    name: 'SYNC_FILE',
    fields: SYNC_FILE,
    words: { NAME: 8, POINTS: SYNC_FILE_POINTS * SYNC_POINT.WORDS },
    doubles: [],
  },
  { name: 'SYNC_POINT', fields: SYNC_POINT, words: {}, doubles: ['SEQNO'] },
  { name: 'TRACE', fields: TRACE, words: {}, doubles: ['TIME', 'SEQNO'] },
];

for (const { name, fields, words, doubles } of RECORDS) {
  test(`no two fields of ${name} share a word, and all lie inside of the record`, () => {
    const owner = new Map<number, string>();
    const size = fields.WORDS ?? 0;
    for (const wide of [...Object.keys(words), ...doubles]) assert.ok(wide in fields, wide);
    for (const [field, offset] of Object.entries(fields)) {
      if (field === 'WORDS') continue;
      const width = words[field] ?? (doubles.includes(field) ? 2 : 1);
      if (doubles.includes(field)) assert.is(offset % 2, 0, `${name}.${field} is even`);
      for (let at = offset; at < offset + width; at++) {
        assert.is(owner.get(at), undefined, `${name}.${field} overlaps ${owner.get(at)} at ${at}`);
        assert.ok(at < size, `${name}.${field} ends within ${size} words`);
        owner.set(at, field);
      }
    }
  });
}

test('pointers that carry flags are aligned to 32 words, jobs to their own size', () => {
  for (const { name, fields } of RECORDS) {
    if (['LINK', 'SYNC_POINT', 'TRACE'].includes(name)) continue;
    assert.is((fields.WORDS ?? 1) % 32, 0, name);
  }
  assert.is(JOB.WORDS, 64);
  const flags = LINK_FLAG.EXCLUSIVE | LINK_FLAG.DISCARD | LINK_FLAG.FENCE | LINK_FLAG.MORE;
  assert.is(flags & LINK_FLAG.TARGET_MASK, 0);
  assert.is(flags | LINK_FLAG.TARGET_MASK | 16, -1);
});

test("the parts of a job's state word cover 32 bits without overlap", () => {
  const parts = [JOB_STATE_MASK, JOB_GRANT_MASK, JOB_WAITERS, -1 << JOB_GEN_SHIFT];
  let all = 0;
  for (const part of parts) {
    assert.is(all & part, 0);
    all |= part;
  }
  assert.is(all, -1);
  assert.ok(Math.max(...Object.values(JOB_STATE)) <= JOB_STATE_MASK);
  assert.is(JOB_GRANT_MASK >>> JOB_GRANT_SHIFT, 0xfff);
  assert.ok(RECORD_LINKS <= 12);
});

/** Start and end of every table and of the drivers' words, as the accessors compute them. */
function spans(
  sizes: TableSizes,
  layout: Layout,
  driverWords: readonly number[],
): [string, number, number][] {
  const actors = sizes.actors + 1;
  const { offsets } = layout;
  const words: Record<keyof typeof offsets, number> = {
    actors: actors * ACTOR.WORDS,
    contexts: sizes.contexts * CONTEXT.WORDS,
    timelines: sizes.timelines * TIMELINE.WORDS,
    syncFiles: sizes.syncFiles * SYNC_FILE.WORDS,
    holders: sizes.holders * HOLDER.WORDS,
    regions: (sizes.regions + 1) * REGION.WORDS,
    buffers: sizes.buffers * BUFFER.WORDS,
    queues: sizes.queues * QUEUE.WORDS,
    jobs: sizes.jobs * JOB.WORDS,
    payloads: sizes.jobs * layout.payloadWords,
    fds: actors * sizes.fds * 2,
    ready: actors * layout.readyWords,
    mail: actors * layout.mailWords,
    trace: actors * sizes.traceRecords * TRACE.WORDS,
  };
  const tables = Object.entries(offsets).map(([name, at]): [string, number, number] => [
    name,
    at,
    at + (words[name as keyof typeof words] ?? 0),
  ]);
  const drivers = layout.driverOffsets.map((at, i): [string, number, number] => [
    `driver ${i}`,
    at,
    at + (driverWords[i] ?? 0),
  ]);
  return [['header', 0, HEADER.WORDS], ...tables, ...drivers];
}

test('tables follow each other without overlap, aligned, whatever their sizes', () => {
  const odd = {
    ...DEFAULT_TABLES,
    actors: 3,
    jobs: 96,
    contexts: 1,
    buffers: 1,
    queues: 3,
    fds: 7,
  };
  const big = { ...DEFAULT_TABLES, actors: 63, jobs: 33_792, payloadBytes: 16, traceRecords: 2 };
  for (const sizes of [DEFAULT_TABLES, odd, big]) {
    const driverWords = [5, 0, 1000];
    const layout = layoutOf(sizes, driverWords);
    const all = spans(sizes, layout, driverWords);
    assert.is(all.length, 1 + 14 + 3, 'a new table wants a line here');
    let end = 0;
    for (const [name, from, to] of all) {
      assert.ok(from >= end, `${name} starts at ${from}, before ${end}`);
      assert.is(from % 32, 0, name);
      end = to;
    }
    assert.ok(end <= layout.totalWords);
    assert.is(layout.offsets.jobs % 64, 0, 'a link finds its job by masking');
  }
});

test('a ready set has a leaf bit for every job and a summary bit for every leaf', () => {
  for (const jobs of [32, 64, 1024, 1056, 4096, 33_792, 1 << 20]) {
    const leaves = jobs / 32;
    assert.ok(readyWordsFor(jobs) >= Math.ceil(leaves / 32) + leaves, String(jobs));
  }
});

// Design section 5: control memory.
test('a job takes at most 256 bytes, a queue 128, a buffer 512 in all', () => {
  assert.ok(JOB.WORDS * 4 <= 256);
  assert.ok(QUEUE.WORDS * 4 <= 128);
  assert.ok((BUFFER.WORDS + QUEUE.WORDS + REGION.WORDS) * 4 <= 512);
});

test.run();
