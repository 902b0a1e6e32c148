/**
 * Machine: a booted machine as one thread (one "process" among the actors) sees it.
 *
 * `boot()` gives the booting thread its Machine, `join()` every other one. All calls run in the
 * calling thread on kernel memory; what blocks says so.
 */
import {
  actorOf,
  wantFlags,
  wantFunction,
  wantLimit,
  wantNumber,
  wantObject,
  wantString,
  wantTimeout,
} from '../args.js';
import { allocate, type AllocOptions } from '../dmabuf/alloc.js';
import type { BracketSet } from '../dmabuf/bracket.js';
import { type BufInfo, bufinfo } from '../dmabuf/bufinfo.js';
import { DmaBuf, seekFd } from '../dmabuf/dmabuf.js';
import { type BracketModes, Mapping, type MappingAccess } from '../dmabuf/mapping.js';
import { DmaBufError } from '../errno.js';
import type { Explanation } from '../explain/explain.js';
import { claimNames } from '../explain/names.js';
import { explain } from '../explain/subject.js';
import type { FdAccess } from '../fd/access.js';
import { type BufferUse, claimsOf, Context } from '../sync/context.js';
import { contextFlags, type ContextOptions } from '../sync/context-options.js';
import { pointsOf, wantFence, wantFences, wantPoint } from '../sync/fence-args.js';
import { type FenceLike, FenceSet, mergePoints, waitAny } from '../sync/fence-set.js';
import type { Hold, PendingHold } from '../sync/holds.js';
import { limitWord } from '../sync/limits.js';
import { FenceArray } from '../sync/fence-array.js';
import { FenceChain } from '../sync/fence-chain.js';
import { unwrap } from '../sync/fence-container.js';
import { type Claimable, Queue } from '../sync/queue-object.js';
import { SyncFile } from '../sync/sync-file.js';
import { Timeline } from '../sync/timeline.js';
import { Fence } from '../sync/fence.js';
import type { FencePoint } from '../sync/jobs.js';
import { exportTrace, type TraceFile } from '../trace/perfetto.js';
import { TRACE_KIND } from '../trace/ring.js';
import { advance } from './advance.js';
import { doorOf, type DriverDoor } from './door.js';
import type { ReceivedFd, ReceivedMessage } from './ipc.js';
import { leave } from './leave.js';
import { type DeviceNode, nodeOf } from './names.js';
import { type Invitation, invite, type Peer, resetDevice, servingPeer } from './peers.js';
import { type ActorStats, actorStats, type MachineStats, machineStats } from './stats.js';
import { type ServeHandlers, serverOf } from './serving.js';
import type { Services } from './services.js';

export type { Invitation, JoinToken, Peer } from './peers.js';
export type { ServeHandlers } from './serving.js';

export class Machine {
  readonly #s: Services;
  readonly #end: (machine: Machine) => Promise<void>;
  #left = false;

  constructor(services: Services, end: (machine: Machine) => Promise<void>) {
    this.#s = services;
    this.#end = end;
  }

  /** Actor id of this thread. */
  get self(): number {
    return this.#s.kernel.self;
  }

  /** Name under which this thread joined. */
  get name(): string {
    return this.#s.kernel.nameOf(this.self);
  }

  /** Now, ms of the machine's clock: what start times and timestamps are compared with. */
  now(): number {
    return this.#s.kernel.clock.now();
  }

  /**
   * Moves the manual clock on and returns when every actor that was due has come to rest. Blocks. EINVAL
   * when the machine runs on the real clock.
   */
  advance(ms: number): void {
    advance(this.#s, ms);
  }

  /** The directory of device nodes: path → which actor serves it. */
  get devices(): ReadonlyMap<string, DeviceNode> {
    return this.#s.devices;
  }

  /** The node of a device. ENOENT lists what there is. */
  device(path: string): DeviceNode {
    wantString('device', 'path', path);
    return nodeOf(this.#s.devices, path);
  }

  /**
   * Allocates a dma-buf of zeroed memory of its own (system heap), rounded up to pages. The caller
   * owns the fd. With `deferred`, memory is allocated at the first map, mmap or job. EINVAL: not a
   * positive size, a name of more than 31 bytes; ENOMEM; ENFILE, ENOSPC, EMFILE: a table is full.
   */
  alloc(bytes: number, options: AllocOptions = {}): DmaBuf {
    return allocate(this.#s, bytes, options);
  }

  /** A handle for an fd that is open in this process (one that arrived by `receiveFd`). EBADF. */
  dmabuf(fd: number): DmaBuf {
    return new DmaBuf(this.#s, fd);
  }

  /**
   * One access bracket over several mappings, as one atomic step: all buffers are claimed together, so two
   * threads that want each other's cannot deadlock; all or none. The caller finishes the set. Errors as
   * of {@link Mapping.prepareAccess}; EINVAL: a buffer twice, or none.
   */
  prepareAccess(parts: readonly MappingAccess[], modes: BracketModes = {}): BracketSet {
    return Mapping.prepareAll(this.#s, parts, modes);
  }

  /**
   * ioctl(2) on an fd of this process, by Linux's request numbers (DMA_BUF_IOCTL_SYNC and the like; struct
   * arguments as objects); 0. ({@link ioctl} without Fd calls a device's handler by name.) EBADF; ENOTTY:
   * unknown request, or the fd is no dma-buf; else what the request fails with.
   */
  ioctlFd(fd: number, request: number, arg?: unknown): number {
    return this.#s.ioctls.call(fd, request, arg);
  }

  /** lseek(2) on an fd: how a dma-buf's size is asked. EBADF: not open, or no dma-buf; EINVAL. */
  lseek(fd: number, offset: number, whence: number): number {
    return seekFd(this.#s, fd, offset, whence);
  }

  /** Every live buffer, who holds it, its queue and fences; `String()` of it is what debugfs prints. */
  bufinfo(): BufInfo {
    const { kernel, buffers, holders, importers, jobs, doors } = this.#s;
    const expName = (index: number): string =>
      index === 0 ? 'system' : (doors[index - 1]?.spec.name ?? `driver${index}`);
    return bufinfo({ kernel, buffers, holders, importers, contexts: jobs.contexts, expName });
  }

  /**
   * Why a fence has not signalled, or who has claims on a buffer: the chain of who waits for whom, down to the
   * culprits by name. `String()` of it is text. A snapshot; blocks for no job. EBADF, EINVAL: a closed buffer.
   */
  explain(subject: FencePoint | Claimable): Explanation {
    const { kernel, jobs, waiter } = this.#s;
    return explain(kernel, jobs.contexts, waiter, subject);
  }

  /** A fence again from its plain value, as it arrived from another thread. EINVAL: not of this machine. */
  fence(point: FencePoint): Fence {
    wantPoint(this.#s.kernel, 'fence', 'point', point);
    return new Fence(this.#s.kernel, this.#s.waiter, point);
  }

  /**
   * A new context: an ordered line of jobs for an actor. With `early`, jobs are handed to the actor
   * as they are added and it waits for their grant by itself, like hardware with semaphores: no
   * dispatch between one job and the next. ESRCH, ENOSPC. The caller closes it.
   *
   * `priority` (default `'normal'`): of the jobs that it may start, the actor takes one of the highest priority, and of
   * those the one that could start first. Strictly: a context of lower priority waits for as long as jobs of a higher one
   * are ready. It decides between contexts of one actor and changes neither the order of a context's own jobs nor
   * that of claims on a buffer; a job that has begun is not interrupted.
   */
  createContext(target: Peer | number, name: string = '', options: ContextOptions = {}): Context {
    const actor = actorOf('createContext', target);
    wantString('createContext', 'name', name);
    const flags = contextFlags(options);
    this.#s.kernel.check('create_context');
    this.#s.kernel.mustLive(actor, 'create_context');
    return this.#context(this.#s.jobs.contexts.create(actor, name, flags));
  }

  /** A context that another thread made, by its id. ENOENT. */
  contextById(id: number): Context {
    wantNumber('contextById', 'id', id);
    const pointer = Number.isInteger(id) ? this.#s.jobs.contexts.find(id) : 0;
    if (pointer !== 0) return this.#context(pointer);
    throw new DmaBufError('ENOENT', 'context', `no context ${id}; it may have been closed`);
  }

  /**
   * Claims buffers for this thread, all at once, and blocks until they are granted (kds_waitall). The
   * caller releases the hold. ETIME when `timeout` ms run out (0 = only try), EDEADLK when, with no timeout, a
   * holder of one of them waits for what this thread holds: nothing stays queued. EINVAL: a buffer twice. `limit`: ms
   * that it may be held (default: the machine's; 0: none); then it is evicted: its fence fails with ETIMEDOUT,
   * and so does `release()`.
   */
  waitAll(
    uses: readonly BufferUse[],
    timeout: number = Infinity,
    options: { readonly limit?: number } = {},
  ): Hold {
    wantTimeout('waitAll', timeout);
    wantObject('waitAll', 'options', options);
    wantLimit('waitAll', options.limit);
    const claims = claimsOf(uses, 'waitAll');
    const limit = limitWord(options.limit);
    return this.#s.holds.wait(
      claims,
      timeout,
      'waitall',
      () => claimNames(this.#s.kernel, claims),
      limit,
    );
  }

  /**
   * Claims buffers for this thread and returns; `granted` gets the hold in this thread when all are
   * granted, before this returns if they are free (kds_async_waitall). Event-loop threads pump by
   * themselves, blocking ones call {@link pump}.
   */
  asyncWaitAll(
    uses: readonly BufferUse[],
    granted: (hold: Hold) => void,
    options: { readonly inFences?: readonly FenceLike[]; readonly limit?: number } = {},
  ): PendingHold {
    const claims = claimsOf(uses, 'asyncWaitAll');
    wantFunction('asyncWaitAll', 'granted', granted);
    wantObject('asyncWaitAll', 'options', options);
    const points = pointsOf(this.#s.kernel, 'asyncWaitAll', 'inFences', options.inFences);
    wantLimit('asyncWaitAll', options.limit);
    const what = (): string => claimNames(this.#s.kernel, claims);
    return this.#s.holds.async(claims, points, granted, what, limitWord(options.limit));
  }

  /** Runs the callbacks of this thread that are due, waiting up to `timeout` ms (default 0) for one. */
  pump(timeout: number = 0): void {
    wantTimeout('pump', timeout);
    if (this.#s.callbacks.pump() || timeout === 0) return;
    this.#s.callbacks.sleep(this.now() + timeout);
  }

  /** A queue without a buffer, to guard anything else. ENFILE. The caller closes it. */
  createQueue(): Queue {
    return Queue.create(this.#s.kernel);
  }

  /** A queue that another thread made, by its id. EINVAL. */
  queueById(id: number): Queue {
    return Queue.byId(this.#s.kernel, id);
  }

  /** A software timeline at 0 (sw_sync). The caller owns its fd. ENOSPC, EMFILE. */
  createTimeline(name: string = 'sw_sync'): Timeline {
    wantString('createTimeline', 'name', name);
    const { timelines, fds } = this.#s;
    return this.timeline(Timeline.install(fds, timelines, timelines.create(name)));
  }

  /** A handle for an fd of a timeline that is open in this process. EBADF, EINVAL. */
  timeline(fd: number): Timeline {
    const { kernel, fds, timelines, waiter } = this.#s;
    return new Timeline(kernel, fds, timelines, waiter, fd);
  }

  /** Fences behind an fd: they can be passed to another process and asked for ever. ENOSPC, EMFILE. */
  createSyncFile(fences: readonly FenceLike[], name: string = ''): SyncFile {
    wantFences(this.#s.kernel, 'createSyncFile', 'fences', fences);
    wantString('createSyncFile', 'name', name);
    const points = pointsOf(this.#s.kernel, 'createSyncFile', 'fences', fences);
    return SyncFile.create(this.#s.fences, name, points);
  }

  /** A handle for an fd of a sync file that is open in this process. EBADF, EINVAL. */
  syncFile(fd: number): SyncFile {
    return new SyncFile(this.#s.fences, fd);
  }

  /** Several fences as one: of each context the latest, those that signalled dropped. Pins nothing. */
  merge(...fences: readonly FenceLike[]): FenceSet {
    const { kernel, waiter } = this.#s;
    return new FenceSet(waiter, mergePoints(waiter, pointsOf(kernel, 'merge', 'fences', fences)));
  }

  /**
   * Several fences as one that signals when all have, or with `any` as soon as one has
   * (dma_fence_array); the error of the first that failed is its own. Pins nothing. EINVAL: no fences, or
   * an array or chain among them.
   */
  fenceArray(fences: readonly FenceLike[], options: { readonly any?: boolean } = {}): FenceArray {
    wantFences(this.#s.kernel, 'fenceArray', 'fences', fences);
    wantObject('fenceArray', 'options', options);
    wantFlags('fenceArray', options, ['any']);
    return new FenceArray(this.#s.kernel, this.#s.waiter, fences, options.any === true);
  }

  /**
   * A link of a timeline of fences (dma_fence_chain): signals when `fence` and all links before it have.
   * `prev` is the link before it, or a fence to begin with. Pins nothing. EINVAL.
   */
  fenceChain(prev: FenceLike | undefined, fence: FenceLike, seqno: number): FenceChain {
    if (prev !== undefined) wantFence(this.#s.kernel, 'fenceChain', 'prev', prev);
    wantFence(this.#s.kernel, 'fenceChain', 'fence', fence);
    wantNumber('fenceChain', 'seqno', seqno);
    return new FenceChain(this.#s.kernel, this.#s.waiter, prev, fence, seqno);
  }

  /** The fences in arrays, chains, sets and sync files, each once (dma_fence_unwrap). */
  unwrap(...fences: readonly FenceLike[]): readonly Fence[] {
    wantFences(this.#s.kernel, 'unwrap', 'fences', fences);
    return unwrap(fences).map((point) => this.fence(point));
  }

  /** Blocks until one of the fences has signalled; its index. ETIME; EINVAL: no fences. */
  waitAny(fences: readonly FenceLike[], timeout: number = Infinity): number {
    const { kernel, waiter, callbacks } = this.#s;
    wantFences(kernel, 'waitAny', 'fences', fences);
    wantTimeout('waitAny', timeout);
    return waitAny(kernel, waiter, callbacks, fences, timeout);
  }

  /** Sends a message to another process. Blocks while its mailbox is full, or with `block: false` EAGAIN. */
  send(target: Peer | number, value: unknown, options: { readonly block?: boolean } = {}): void {
    const actor = actorOf('send', target);
    wantObject('send', 'options', options);
    wantFlags('send', options, ['block']);
    this.#s.ipc.send(actor, value, options.block !== false);
  }

  /** Takes the oldest message that was sent here; blocks up to `timeout` ms, then ETIME. */
  receive(timeout: number = Infinity): ReceivedMessage {
    wantTimeout('receive', timeout);
    return this.#s.ipc.receive(timeout);
  }

  /**
   * Invites a thread: `new Worker(url, machine.invite('reader'))`, and in it
   * `await join(workerData)`. One invitation per joiner. EMFILE when the actor table is full.
   */
  invite(name: string): Invitation {
    wantString('invite', 'name', name);
    return invite(this.#s, name);
  }

  /**
   * Resolves with an actor once it serves (takes jobs). ENODEV, EOWNERDEAD when the machine ends
   * first; ETIME after `timeout` ms (default 10 s).
   */
  async peer(name: string, timeout: number = 10_000): Promise<Peer> {
    wantString('peer', 'name', name);
    wantTimeout('peer', timeout);
    return servingPeer(this.#s.kernel, name, timeout);
  }

  /** Takes jobs and ioctls in this thread until the machine stops. Blocks the thread. */
  serve(handlers: ServeHandlers): void {
    serverOf(this.#s, handlers).run();
  }

  /** {@link serve} in the event loop: handlers may return promises. Resolves when the machine stops. */
  async serveAsync(handlers: ServeHandlers): Promise<void> {
    await serverOf(this.#s, handlers).runAsync();
  }

  /**
   * Calls an actor's ioctl handler and blocks for the answer. ENOTTY: it takes none; ESRCH: not alive;
   * ETIME after `timeout` ms (default 5 s); else what the handler threw.
   */
  ioctl(target: Peer | number, request: string, args?: unknown, timeout: number = 5000): unknown {
    const actor = actorOf('ioctl', target);
    wantString('ioctl', 'request', request);
    wantTimeout('ioctl', timeout);
    return this.#s.ipc.ioctl(actor, request, args, timeout);
  }

  /**
   * Sends an fd to another process, as SCM_RIGHTS does; this process keeps its own. With `access: 'read'` the
   * other's can neither write nor be handed on with more. EBADF, ESRCH; EACCES: more than this fd has.
   */
  passFd(
    target: Peer | number,
    fd: number,
    tag?: unknown,
    options: { readonly access?: FdAccess } = {},
  ): void {
    wantObject('passFd', 'options', options);
    this.#s.ipc.passFd(actorOf('passFd', target), fd, tag, options.access);
  }

  /** Takes the oldest fd that was sent here; blocks up to `timeout` ms, then ETIME. EMFILE. */
  receiveFd(timeout: number = Infinity): ReceivedFd {
    wantTimeout('receiveFd', timeout);
    return this.#s.ipc.receiveFd(timeout);
  }

  /** The driver's door, for the driver half of package `name`. ENODEV lists what was booted. */
  driver(name: string): DriverDoor {
    wantString('driver', 'name', name);
    return doorOf(this.#s.doors, name);
  }

  /**
   * Terminates a device's worker, wherever it is, and has it started again: what a GPU reset is. Its job in
   * hand fails with EOWNERDEAD, the others go on when it is back; `actorStats(…).restarts` counts. Does not wait for
   * it. ENOTTY: that actor is no device; ESRCH.
   */
  resetDevice(target: Peer | number, why: string = 'it was reset'): void {
    const actor = actorOf('resetDevice', target);
    wantString('resetDevice', 'why', why);
    resetDevice(this.#s, actor, why);
  }

  /** Counters of the whole machine. */
  stats(): MachineStats {
    return machineStats(this.#s.kernel);
  }

  /** Counters of one actor. ESRCH: there is no such place in the machine. */
  actorStats(target: Peer | number): ActorStats {
    return actorStats(this.#s.kernel, actorOf('actorStats', target));
  }

  /** Everything that the trace rings hold, as a Chrome trace that opens in Perfetto. */
  trace(): TraceFile {
    return exportTrace(this.#s.kernel);
  }

  /** Notes an event of the application's in this thread's trace ring. */
  mark(a: number, b: number = 0): void {
    wantNumber('mark', 'a', a);
    wantNumber('mark', 'b', b);
    this.#s.kernel.trace.emit(TRACE_KIND.MARK, 0, 0, a, b);
  }

  /**
   * Leaves the machine: closes all fds of this process and gives its free jobs back. Jobs that it
   * queued still run. The machine goes on. Harmless the second time.
   */
  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    await leave(this.#s);
  }

  /**
   * Stops the machine: devices finish the job in hand, everybody's waits end with ENODEV, workers
   * of ours are gone when this resolves. By any process; the booting thread's also ends the broker.
   */
  async shutdown(): Promise<void> {
    await this.#end(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #context(pointer: number): Context {
    return new Context(this.#s.kernel, this.#s.jobs, this.#s.waiter, pointer);
  }
}
