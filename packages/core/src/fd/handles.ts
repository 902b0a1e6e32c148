/**
 * Handles: a handle that is collected without having been closed warns once, and says where it was
 * opened (`process.emitWarning`, at most once a second; what came meanwhile is counted in the next).
 *
 * The place costs a stack trace of some microseconds, so it is taken for what is opened rarely (fds,
 * mappings, attachments); brackets name their mapping's or their fd's. Where NODE_ENV is `production` no
 * place is taken and brackets are not watched: they then cost nothing here. Submitting and running
 * jobs makes no handles at all.
 */
import { ACTOR, ACTOR_STATE } from '../memory/layout.js';
import type { Kernel } from '../kernel.js';
import type { FdTable } from './fd-table.js';

const FRAMES = 10;
const QUIET_MS = 1000;
/** Where core's own modules are: frames of theirs say nothing to the user. */
const OWN = new URL('..', import.meta.url).href;
const TESTS = /\.test\.[jt]s/;

const DEBUG = process.env.NODE_ENV !== 'production';
const always = (): boolean => true;

interface Leak {
  readonly kernel: Kernel;
  readonly what: string;
  readonly close: string;
  readonly place: string;
  /** False when something else has closed it, or other handles of its fd are left. */
  readonly leaked: () => boolean;
}

let lastWarning = -Infinity;
let unsaid: Leak[] = [];
let timer: NodeJS.Timeout | undefined;

const registry = new FinalizationRegistry<Leak>((leak) => {
  if (!leak.leaked() || !isHere(leak.kernel)) return;
  unsaid.push(leak);
  const wait = lastWarning + QUIET_MS - performance.now();
  if (wait <= 0) say();
  else timer ??= setTimeout(say, wait).unref();
});

function say(): void {
  clearTimeout(timer);
  timer = undefined;
  const [first, ...more] = unsaid;
  unsaid = [];
  if (first === undefined) return;
  lastWarning = performance.now();
  const others = more.length === 0 ? '' : ` (and ${more.length} more handles)`;
  process.emitWarning(
    `${first.what} was garbage-collected without ${first.close}${others}; it was opened ${first.place}`,
    { type: 'DmaBufWarning', code: 'DMABUF_LEAK' },
  );
}

/** Whether the process is still part of a running machine: leaving closes everything. */
function isHere(kernel: Kernel): boolean {
  return !kernel.over && kernel.words.load(kernel.actor + ACTOR.STATE) === ACTOR_STATE.LIVE;
}

export class Handles {
  readonly #k: Kernel;
  readonly #fds: FdTable;
  /** Open handles by fd: several may name one, and one of them closes it. */
  readonly #perFd: Map<number, { readonly object: number; count: number }> = new Map();

  constructor(kernel: Kernel, fds: FdTable) {
    this.#k = kernel;
    this.#fds = fds;
  }

  /** Watches a handle; where it was opened, which is what {@link openedAt} can be told of others. */
  opened(handle: object, what: string, close: string): string {
    const place = callSite();
    const leak: Leak = { kernel: this.#k, what, close, place, leaked: always };
    registry.register(handle, leak, handle);
    return place;
  }

  /** {@link opened} for what is opened often, with the place of something that it belongs to. */
  openedOften(handle: object, what: string, close: string, place: string): void {
    if (!DEBUG) return;
    const leak: Leak = { kernel: this.#k, what, close, place, leaked: always };
    registry.register(handle, leak, handle);
  }

  /** {@link opened} for a handle of an fd; `object` is what the fd names now. */
  openedFd(handle: object, fd: number, object: number, what: string): string {
    const known = this.#perFd.get(fd);
    const entry = known !== undefined && known.object === object ? known : { object, count: 0 };
    entry.count++;
    this.#perFd.set(fd, entry);
    const leaked = (): boolean => {
      entry.count--;
      return entry.count === 0 && this.#perFd.get(fd) === entry && this.#fds.names(fd, object);
    };
    const place = callSite();
    const leak: Leak = { kernel: this.#k, what, close: 'close()', place, leaked };
    registry.register(handle, leak, handle);
    return place;
  }

  /** The handle was closed in order. */
  closed(handle: object): void {
    registry.unregister(handle);
  }

  /** The fd of a handle was closed in order: other handles of it are void. */
  closedFd(handle: object, fd: number): void {
    registry.unregister(handle);
    this.#perFd.delete(fd);
  }

  /** The handle is given up, its fd stays open for the caller to manage as a number. */
  releasedFd(handle: object, fd: number): void {
    registry.unregister(handle);
    const entry = this.#perFd.get(fd);
    if (entry !== undefined) entry.count--;
  }
}

/** `at file:line:column` of the innermost caller outside of core. */
function callSite(): string {
  if (!DEBUG) return 'somewhere (NODE_ENV is production: no places are taken)';
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = FRAMES;
  Error.prepareStackTrace = foreignFrame;
  // The text is made now: frames that were kept would keep their receivers, so the handle itself, alive.
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, callSite);
  const place = holder.stack ?? '';
  Error.stackTraceLimit = stackTraceLimit;
  Error.prepareStackTrace = prepareStackTrace;
  return place === '' ? 'at an unknown place' : place;
}

function foreignFrame(_error: unknown, frames: readonly NodeJS.CallSite[]): string {
  for (const frame of frames) {
    const file = frame.getFileName();
    if (file === null || file === undefined || file.startsWith('node:')) continue;
    if (file.startsWith(OWN) && !TESTS.test(file)) continue;
    return `at ${file}:${frame.getLineNumber()}:${frame.getColumnNumber()}`;
  }
  return '';
}
