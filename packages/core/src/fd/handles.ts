/**
 * Handles: a handle that is collected without having been closed warns once, and says where it was
 * opened (`process.emitWarning`, at most once a second; what came meanwhile is counted in the next).
 *
 * The place costs a stack trace of some microseconds, so it is taken for what is opened rarely (fds,
 * mappings, attachments); brackets name their mapping's or their fd's. Where NODE_ENV is `production` no
 * place is taken and brackets are not watched: they then cost nothing here. Submitting and running
 * jobs makes no handles at all.
 *
 * What is watched of an fd is not each handle, since registering one costs a microsecond and more work for the
 * collector, but one FdWatch that all handles of the fd keep: once it is collected, none of them is left.
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

/** What all handles of an fd keep, see {@link Handles.watchOf}. */
export class FdWatch {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }
}

/** What is known of the handles of an fd. */
interface Watched {
  /** What the fd names. */
  readonly object: number;
  readonly watch: WeakRef<FdWatch>;
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
  /** By fd, while handles of it are open: several may name one, and one of them closes it. */
  readonly #perFd: Map<number, Watched> = new Map();

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

  /** A bracket, which is opened often, with the place of its mapping, or of its fd's handle. */
  openedBracket(bracket: object, buffer: number, place: string): void {
    if (!DEBUG) return;
    const what = `an access bracket on buffer ${buffer}`;
    const leak: Leak = { kernel: this.#k, what, close: 'finish()', place, leaked: always };
    registry.register(bracket, leak, bracket);
  }

  /** The bracket was finished in order. */
  closedBracket(bracket: object): void {
    if (DEBUG) registry.unregister(bracket);
  }

  /** Where the caller of core is: for a handle that others are to name the place of. */
  place(): string {
    return callSite();
  }

  /** What a new handle of an open fd must keep, if others have handles of it; `object` is what the fd names now. */
  watchOf(fd: number, object: number): FdWatch | undefined {
    const known = this.#perFd.get(fd);
    return known !== undefined && known.object === object ? known.watch.deref() : undefined;
  }

  /** What the first handle of an fd must keep; `what` and `place` are that one's. */
  openedFd(fd: number, object: number, what: string, place: string = callSite()): FdWatch {
    const watch = new FdWatch(fd);
    const watched: Watched = { object, watch: new WeakRef(watch) };
    this.#perFd.set(fd, watched);
    // Not if the fd was closed in order since, or has handles again.
    const leaked = (): boolean => this.#perFd.get(fd) === watched && this.#fds.names(fd, object);
    registry.register(watch, { kernel: this.#k, what, close: 'close()', place, leaked }, watch);
    return watch;
  }

  /** The handle was closed in order. */
  closed(handle: object): void {
    registry.unregister(handle);
  }

  /** The fd of a handle was closed in order: other handles of it are void. */
  closedFd(watch: FdWatch): void {
    registry.unregister(watch);
    this.#perFd.delete(watch.fd);
  }

  /** The fd is the caller's from now on, to manage as a number. */
  releasedFd(fd: number): void {
    const watch = this.#perFd.get(fd)?.watch.deref();
    if (watch !== undefined) this.closedFd(watch);
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
