/**
 * The trace as a Chrome trace file (`traceEvents`), which opens in Perfetto (ui.perfetto.dev).
 *
 * One track per actor. A job's run on its device is a slice; its whole life, from queued to
 * signalled, an async span; an arrow leads from the thread that granted it to its run. Flips, vblanks and
 * wake-ups are instants. Rings that have lapped lost their oldest records: `otherData` says how many.
 */
import type { Kernel } from '../kernel.js';
import { ACTOR, ACTOR_STATE, CONTEXT, HEADER, TRACE } from '../memory/layout.js';
import { readName } from '../memory/tables.js';
import { TRACE_KIND } from './ring.js';

/** One event of the Chrome trace format. `ts` in µs. */
export interface TraceEvent {
  readonly name: string;
  readonly ph: 'B' | 'E' | 'b' | 'e' | 'i' | 's' | 'f' | 'M' | 'X';
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  /** Actor id. */
  readonly tid: number;
  readonly cat?: string;
  readonly id?: string;
  readonly s?: 't';
  readonly bp?: 'e';
  readonly args?: Readonly<Record<string, string | number>>;
}

export interface TraceFile {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms';
  readonly otherData: Readonly<Record<string, string | number>>;
}

interface Entry {
  readonly actor: number;
  readonly time: number;
  readonly kind: number;
  readonly job: number;
  readonly seqno: number;
  readonly a: number;
  readonly b: number;
}

/** Reads all rings. By any thread, at any time; best when the machine is idle. */
export function exportTrace(kernel: Kernel): TraceFile {
  const events: TraceEvent[] = [];
  let lost = 0;
  const entries: Entry[] = [];
  for (const at of kernel.actors.live()) {
    const actor = kernel.actors.indexOf(at);
    if (kernel.words.load(at + ACTOR.STATE) === ACTOR_STATE.RESERVED) continue;
    const name = { name: `${actor} ${kernel.nameOf(actor)}` };
    events.push({ name: 'thread_name', ph: 'M', ts: 0, pid: 1, tid: actor, args: name });
    lost += readRing(kernel, actor, entries);
  }
  entries.sort((x, y) => x.time - y.time);
  const names = contextNames(kernel);
  for (const entry of entries) convert(entry, names, events);
  const otherData = { machine: 'dmabuf', recordsLost: lost };
  return { traceEvents: pairRuns(events), displayTimeUnit: 'ms', otherData };
}

/** Appends an actor's records; returns how many were overwritten. */
function readRing(kernel: Kernel, actor: number, out: Entry[]): number {
  const { words } = kernel;
  const size = words.get(HEADER.TRACE_RECORDS);
  const base = words.get(HEADER.TRACE) + actor * size * TRACE.WORDS;
  const count = words.load(kernel.actors.at(actor) + ACTOR.TRACED) >>> 0;
  const first = Math.max(0, count - size);
  for (let i = first; i < count; i++) {
    const at = base + (i % size) * TRACE.WORDS;
    out.push({
      actor,
      time: words.getDouble(at + TRACE.TIME),
      kind: words.get(at + TRACE.KIND),
      job: words.get(at + TRACE.JOB),
      seqno: words.getDouble(at + TRACE.SEQNO),
      a: words.get(at + TRACE.A),
      b: words.get(at + TRACE.B),
    });
  }
  return first;
}

function contextNames(kernel: Kernel): (id: number) => string {
  const names = new Map<number, string>();
  for (const context of kernel.contexts.live()) {
    const id = (kernel.words.get(context + CONTEXT.GEN) << 10) | kernel.contexts.indexOf(context);
    names.set(id, readName(kernel.words, context + CONTEXT.NAME, 8));
  }
  return (id) => names.get(id) ?? `context ${id}`;
}

function convert(e: Entry, nameOf: (id: number) => string, out: TraceEvent[]): void {
  const base = { pid: 1, tid: e.actor, ts: e.time * 1000 };
  const job = `${nameOf(e.a)} ${e.seqno}`;
  const span = { cat: 'job', id: `${e.a}:${e.seqno}` };
  const grant = { cat: 'grant', id: `${e.job}:${e.seqno}` };
  switch (e.kind) {
    case TRACE_KIND.QUEUE:
      out.push({ ...base, ...span, name: job, ph: 'b', args: { target: e.b } });
      break;
    case TRACE_KIND.GRANT:
      out.push({ ...base, ...grant, name: 'grant', ph: 's' });
      break;
    case TRACE_KIND.START:
      out.push({ ...base, name: job, ph: 'B', cat: 'run' });
      out.push({ ...base, ...grant, name: 'grant', ph: 'f', bp: 'e' });
      break;
    case TRACE_KIND.END:
      out.push({ ...base, name: job, ph: 'E', cat: 'run' });
      break;
    case TRACE_KIND.DONE:
      out.push({ ...base, ...span, name: job, ph: 'e', args: { status: e.b } });
      break;
    case TRACE_KIND.FLIP:
      out.push({ ...base, name: `flip ${e.b}`, ph: 'i', s: 't', args: { vblank: e.seqno } });
      break;
    case TRACE_KIND.VBLANK:
      out.push({
        ...base,
        name: 'vblank',
        ph: 'i',
        s: 't',
        args: { sequence: e.seqno, missed: e.a },
      });
      break;
    case TRACE_KIND.WAKE:
      out.push({ ...base, name: 'wake', ph: 'i', s: 't' });
      break;
    case TRACE_KIND.MARK:
      out.push({ ...base, name: `mark ${e.a}`, ph: 'i', s: 't', args: { b: e.b } });
      break;
    default:
  }
}

/** Drops run ends whose begin was overwritten, so that slices nest. */
function pairRuns(events: readonly TraceEvent[]): TraceEvent[] {
  const open = new Map<number, number>();
  return events.filter((event) => {
    const depth = open.get(event.tid) ?? 0;
    if (event.ph === 'B') open.set(event.tid, depth + 1);
    if (event.ph !== 'E') return true;
    open.set(event.tid, Math.max(0, depth - 1));
    return depth > 0;
  });
}
