/**
 * Display: a card as an application uses it (the driver half of importer-kms).
 *
 * All calls run in the calling thread on kernel memory; those that block say so. Any number of threads
 * may have a Display of one card open at a time: they share its framebuffers, its committed state, and the
 * one line of its flips and commits, so that their fences signal in the order in which they were queued,
 * whoever queued them.
 */
import { type DmaBuf, DmaBufError, type Fence, type FencePoint, type Machine } from '@dmabuf/core';
import type { AtomicRequest, ObjectRef, PropertyValue } from './atomic-request.js';
import {
  AtomicCommits,
  type CommitOptions,
  type CommitResult,
  type QueueCommitOptions,
} from './display-atomic.js';
import type { ConnectorStatus } from './connector.js';
import { type Connector, ConnectorPort, type PlugOptions } from './display-connector.js';
import type { DrmEvent } from './display-events.js';
import { Composition, type FrameCrc } from './display-composition.js';
import { Flips } from './display-flips.js';
import type { Framebuffer, FramebufferHandle } from './display-framebuffer.js';
import { Framebuffers } from './display-framebuffers.js';
import { Planes, type PlanePlace } from './display-planes.js';
import { DisplayPorts } from './display-ports.js';
import { Properties, type Property } from './display-properties.js';
import type { WritebackSink } from './display-sink.js';
import { shownPlanes } from './display-state.js';
import type {
  DisplayHandle,
  DisplayStats,
  FramebufferOptions,
  InFences,
  PageFlipOptions,
  QueueFlipOptions,
  QueueWritebackOptions,
  SinkOptions,
  WritebackStats,
} from './display-types.js';
import { type VblankRequest, Vblanks } from './display-vblank.js';
import { Recording } from './display-writeback.js';
import type { Presented } from './flip-records.js';
import { LatenessHistogram } from './lateness.js';
import { makeMode, type DisplayMode } from './mode.js';
import type { DisplayObjects, PlaneObject } from './objects.js';
import type { PlaneTable } from './plane-table.js';
import { REG } from './registers.js';

export class Display {
  readonly path: string;
  /** CRTC, planes and connector, with the tables of their properties. */
  readonly objects: DisplayObjects;
  readonly #ports: DisplayPorts;
  readonly #framebuffers: Framebuffers;
  readonly #flips: Flips;
  readonly #composition: Composition;
  readonly #commits: AtomicCommits;
  readonly #planes: Planes;
  readonly #properties: Properties;
  readonly #vblanks: Vblanks;
  readonly #recording: Recording;
  readonly #connector: ConnectorPort;
  readonly #lateness: LatenessHistogram;
  readonly #shown: PlaneTable;
  #mode: DisplayMode;

  private constructor(machine: Machine, path: string) {
    const ports = new DisplayPorts(machine, path);
    const { words, base } = ports.door;
    this.path = path;
    this.objects = ports.objects;
    this.#ports = ports;
    this.#framebuffers = new Framebuffers(ports);
    this.#flips = new Flips(ports);
    this.#composition = new Composition(ports);
    this.#commits = new AtomicCommits(ports, this.#composition);
    this.#planes = new Planes(ports, this.#commits);
    this.#properties = new Properties(ports, this.#commits);
    this.#vblanks = new Vblanks(ports);
    this.#recording = new Recording(ports, this.#composition);
    this.#connector = new ConnectorPort(ports);
    this.#lateness = new LatenessHistogram(words, base + REG.LATENESS);
    this.#shown = shownPlanes(words, base);
    this.#mode = ports.settings.mode;
  }

  /**
   * Opens a card in this thread. Does not block. ENOENT: no such device in this machine; ENODEV: it
   * is no display.
   */
  static open(machine: Machine, path: string = '/dev/dri/card0'): Display {
    const { info } = machine.device(path);
    const isCard = typeof info === 'object' && info !== null && 'writeback' in info;
    if (isCard) return new Display(machine, path);
    throw new DmaBufError('ENODEV', 'open', `${path} is no display; open /dev/dri/card0`);
  }

  /** Opens the display that another thread's {@link handle} names. */
  static fromHandle(machine: Machine, handle: DisplayHandle): Display {
    return Display.open(machine, handle.path);
  }

  /**
   * Closes the file: removes all framebuffers that were added here, which turns the display off if one is on
   * the primary plane. Blocks as {@link rmFramebuffer} does. Other Displays of the card go on.
   */
  close(): void {
    this.#framebuffers.removeAll();
    this.#vblanks.close();
    this.#connector.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Plain data by which another thread of the machine opens the same display. */
  get handle(): DisplayHandle {
    return { path: this.path };
  }

  /** Actor id of the CRTC worker. */
  get actor(): number {
    return this.#ports.crtc.target;
  }

  /** Actor id of the writeback worker. */
  get writebackActor(): number {
    return this.#ports.writeback.target;
  }

  /** The mode that is set. */
  get mode(): DisplayMode {
    const hdisplay = this.#ports.get(REG.HDISPLAY);
    const vdisplay = this.#ports.get(REG.VDISPLAY);
    const vrefresh = this.#ports.get(REG.VREFRESH);
    const old = this.#mode;
    const same =
      old.hdisplay === hdisplay && old.vdisplay === vdisplay && old.vrefresh === vrefresh;
    if (!same) this.#mode = makeMode(hdisplay, vdisplay, vrefresh);
    return this.#mode;
  }

  /** Whether something is scanned out. Off at boot; the first flip or `setMode` with one turns it on. */
  get active(): boolean {
    return this.#ports.get(REG.ACTIVE) !== 0;
  }

  /** Id of the framebuffer on the primary plane, on screen; 0 for none. */
  get onScreen(): number {
    return this.active ? this.#shown.fb(0) : 0;
  }

  /** Id of the framebuffer that a plane has on screen; 0 for none. EINVAL: no plane of this display. */
  shownOn(plane: ObjectRef): number {
    const id = typeof plane === 'number' ? plane : plane.id;
    const found = this.objects.planes.find((each) => each.id === id);
    if (found !== undefined) return this.active ? this.#shown.fb(found.index) : 0;
    throw new DmaBufError('EINVAL', 'getplane', `object ${id} is no plane of ${this.path}`);
  }

  /**
   * An atomic commit: all of the request is shown at one vblank, or nothing of it is. Blocks until it is
   * shown, unless DRM_MODE_ATOMIC_NONBLOCK says otherwise; undefined for DRM_MODE_ATOMIC_TEST_ONLY, which
   * changes nothing. Setting FB_ID to what the plane shows already is no new claim on its buffer.
   *
   * Every refusal names the object, the property and the value. EINVAL: bad flags or value, CRTC_ID without
   * FB_ID or the other way round, a format that the plane does not take, a modeset without
   * DRM_MODE_ATOMIC_ALLOW_MODESET, an event or out-fence of a CRTC that stays off; ENOENT: no such object or
   * property; ERANGE: scaling or overflow; ENOSPC: the source leaves the framebuffer, or the job table is
   * full; EFAULT: OUT_FENCE_PTR; EBUSY: non-blocking, and something is pending (queueCommit takes it);
   * EMFILE: no fd for the out-fence. A refused commit leaves no residue.
   */
  commit(request: AtomicRequest, options: CommitOptions = {}): CommitResult | undefined {
    return this.#commits.commit(request, options);
  }

  /**
   * {@link commit} without EBUSY, queued as far ahead as the tables allow (design D8a): shown in its turn, at
   * the first vblank from `at` on. Of commits that are due at one vblank those are dropped (ECANCELED) which
   * newer ones replace on all their planes. Never blocks.
   */
  queueCommit(request: AtomicRequest, options: QueueCommitOptions = {}): CommitResult | undefined {
    return this.#commits.queueCommit(request, options);
  }

  /**
   * SETPLANE: shows a framebuffer on a plane, or with none turns the plane off. A {@link commit} of that plane;
   * blocks until it is shown. Errors are those of the commit.
   */
  setPlane(
    plane: PlaneObject,
    fb: Framebuffer | undefined,
    place: PlanePlace = { x: 0, y: 0 },
  ): void {
    this.#planes.setPlane(plane, fb, place);
  }

  /**
   * CURSOR: shows a framebuffer of ARGB8888 on the cursor plane, with its upper left corner at `x`, `y`, or
   * with none turns it off. A {@link queueCommit} of that plane: never blocks. Its fence signals when it is shown.
   */
  setCursor(fb: Framebuffer | undefined, x: number = 0, y: number = 0): Fence {
    return this.#planes.setCursor(fb, x, y);
  }

  /** Moves the cursor plane, as {@link setCursor}. */
  moveCursor(x: number, y: number): Fence {
    return this.#planes.moveCursor(x, y);
  }

  /**
   * Properties of an object by their names, with what the newest commit or flip that was queued has made of
   * them. Does not block. ENOENT: no such object; EINVAL: a framebuffer, which has none.
   */
  getProperties(object: ObjectRef): ReadonlyMap<string, Property> {
    return this.#properties.get(object);
  }

  /** Sets one property, as a commit of its own; a modeset is allowed. Blocks until it is shown. Errors: {@link commit}'s. */
  setProperty(object: ObjectRef, property: number | string, value: PropertyValue): void {
    this.#properties.set(object, property, value);
  }

  /** CREATEPROPBLOB: a mode as MODE_ID takes it. It lives until it is destroyed. EINVAL: the mode; ENOSPC. */
  createModeBlob(mode: string | DisplayMode): number {
    return this.#properties.createModeBlob(mode);
  }

  /** GETPROPBLOB: the mode of a blob. ENOENT. */
  getModeBlob(id: number): DisplayMode {
    return this.#properties.getModeBlob(id);
  }

  /** DESTROYPROPBLOB. A CRTC that has the mode keeps it. ENOENT; EPERM: the display's own blob. */
  destroyModeBlob(id: number): void {
    this.#properties.destroyModeBlob(id);
  }

  /**
   * When a flip or commit came on screen, by its fence; undefined before that, if it never did, or if more
   * than 256 have been shown since.
   */
  presented(fence: FencePoint): Presented | undefined {
    return this.#ports.presented(fence);
  }

  /**
   * CRC-32 of the picture that is on screen, all planes composed: 32-bit pixels, 0xFFRRGGBB, little-endian, row by
   * row. Blocks until the writeback worker has composed it, which takes its turn behind renders that are
   * queued already into a buffer on screen. EBUSY: the CRTC is off; the errno of a render that failed.
   */
  crc(): number {
    return this.#ports.locked(() => this.#composition.crc(this.#composition.shown())).wait();
  }

  /**
   * Queues the CRC of what has been committed so far, to be composed once `after` has signalled: the flip or commit
   * that shows it. Queue it right behind that; or ask for `crc` with a commit. Never blocks. ENOSPC.
   */
  queueCrc(after: InFences[number]): FrameCrc {
    return this.#ports.locked(() => this.#composition.crc(this.#composition.committed([after])));
  }

  /**
   * Waits for a vblank, by its number or relative to the newest, and returns its number and time (ms of the
   * machine's clock); by default it asks which was the newest, and does not wait. One that passed without being
   * served is missed (see {@link stats}): then the first after it that was. When the display goes off
   * meanwhile, the newest there was.
   *
   * With DRM_VBLANK_EVENT it does not block: `readEvent` gives the event; what is returned is the number of the
   * vblank that is meant. EINVAL: a bad type, another CRTC than the first, or the CRTC is off; EOPNOTSUPP: there are none
   * at speed `max`; EBUSY: it has not come within 3 s (an event has no such limit); ENOMEM: too many unread events.
   */
  waitVblank(request: VblankRequest = {}): Presented {
    return this.#vblanks.wait(request);
  }

  /**
   * The next event that this Display has asked for. By default it does not wait; `timeout` in ms waits for
   * one (it may be Infinity), and blocks the thread. EAGAIN: there is none yet, or none was asked for; ETIME: none
   * came in time. Events come in the order in which they happened, each once; ENOMEM is what a request for
   * another one gets while 128 are unread.
   */
  readEvent(options: { readonly timeout?: number } = {}): DrmEvent {
    return this.#ports.events.read(options.timeout ?? 0);
  }

  /** {@link readEvent} without blocking the thread: resolves when there is one. EAGAIN: none was asked for. */
  async nextEvent(): Promise<DrmEvent> {
    return this.#ports.events.next();
  }

  /** GETCONNECTOR: the connector's status and the modes of its screen. Does not block. */
  getConnector(): Connector {
    return this.#connector.get();
  }

  /**
   * Pulls the cable, plugs a screen in, or another one: the hardware's side of a hotplug, as one writes to
   * `/sys/class/drm/card0-Virtual-1/status`. For tests and simulations, in any thread; does not block. As in
   * Linux that is all: the CRTC goes on with its mode, flips and commits succeed, until somebody who was told sets
   * another one. EINVAL: no such status, a mode out of range, or more than 16 of them.
   */
  setConnectorStatus(status: ConnectorStatus, options: PlugOptions = {}): void {
    this.#connector.set(status, options);
  }

  /**
   * The link to the screen has failed, as after a cable of poor quality: the hardware's side of it
   * (drm_connector_set_link_status_property). The connector's link-status is DRM_MODE_LINK_STATUS_BAD, and whoever waits
   * for a hotplug is told. As in Linux flips and commits go on, to no effect on the screen, until a modeset with
   * link-status DRM_MODE_LINK_STATUS_GOOD trains the link anew, or {@link setMode}. For tests and simulations, in any
   * thread; does not block.
   */
  failLink(): void {
    this.#connector.failLink();
  }

  /**
   * Waits until the connector has changed since this Display last looked (by {@link getConnector} or this), and
   * returns it as it is then: the HOTPLUG uevent, and the look at the connector that follows it. Several changes
   * in between are one. Blocks. ETIME: nothing changed within `timeout` ms.
   */
  waitHotplug(options: { readonly timeout?: number } = {}): Connector {
    return this.#connector.wait(options.timeout ?? Infinity);
  }

  /** {@link waitHotplug} without blocking the thread. */
  async nextHotplug(): Promise<Connector> {
    return this.#connector.next();
  }

  /**
   * Sets a mode (`'1920x1080@60'`) and, if given, puts a framebuffer on screen with it; else what is
   * on screen stays. Takes its turn behind the flips that are queued already, and blocks until it is
   * done. EINVAL: the mode is out of range; ENOSPC: the framebuffer does not cover it; ECANCELED:
   * `disable()` came first; the errno of the render, if that of `fb` failed.
   */
  setMode(mode: string | DisplayMode, fb?: Framebuffer): void {
    this.#flips.setMode(mode, fb);
  }

  /**
   * Goes off at once (dpms off): lets go of what is on screen, takes back all flips that are queued
   * (their fences: ECANCELED), stops vblanks. The next flip turns it on again. Blocks for the answer of
   * the CRTC worker.
   */
  disable(): void {
    this.#flips.disable();
  }

  /**
   * ADDFB2: makes a framebuffer of a buffer, with all the checks of Linux, and attaches it to both
   * workers (which blocks for some 100 µs). The caller owns it; the buffer's own handle may be closed.
   * EINVAL and ERANGE name the field that is wrong; ENOSPC: the table of framebuffers is full; EMFILE.
   */
  addFramebuffer(options: FramebufferOptions): Framebuffer {
    return this.#framebuffers.add(options);
  }

  /**
   * A framebuffer that another process added, by its handle and an fd of its buffer that was passed
   * here. It takes a reference of its own; whoever added it removes it. ENOENT: removed already; EINVAL:
   * another buffer's.
   */
  framebuffer(handle: FramebufferHandle, buffer: DmaBuf): Framebuffer {
    return this.#framebuffers.of(handle, buffer);
  }

  /**
   * RMFB: removes a framebuffer, in its turn behind the flips that are queued already; if it is on
   * screen then, the CRTC goes off. Blocks until that is done. ENOENT: it was removed before, or added by another
   * Display. Those of a process that dies are removed without it.
   */
  rmFramebuffer(fb: Framebuffer): void {
    this.#framebuffers.remove(fb);
  }

  /**
   * Queues a flip, as far ahead as the machine's tables allow (design D8a), and returns its fence: it
   * signals when the framebuffer is on screen, or fails: ECANCELED when a newer flip overtook it or
   * `disable()` took it back, the errno of the render when that failed (its predecessor stays on screen
   * then). The framebuffer is held, shared, until its successor is on screen. Never blocks.
   *
   * ENOENT: no such framebuffer; ENOSPC: it does not cover the mode, or the job table is full (wait
   * for a fence, then try again); E2BIG: more in-fences than a job has room for.
   */
  queueFlip(options: QueueFlipOptions): Fence {
    return this.#flips.queue(options);
  }

  /**
   * The legacy page flip: shown at the next vblank at which the framebuffer is ready. EBUSY: a flip is
   * pending, or the CRTC is off; EINVAL: another pixel format than on screen; the rest as
   * {@link queueFlip}. Never blocks.
   */
  pageFlip(fb: Framebuffer, options: PageFlipOptions = {}): Fence {
    return this.#flips.pageFlip(fb, options);
  }

  /** Flips, commits and other commands that are queued and not through; a commit counts once for each plane. */
  get pending(): number {
    return this.#ports.crtc.submitted - this.#ports.crtc.completed;
  }

  /**
   * Queues the recording of a frame: once the flip `after` has shown it, the writeback worker copies it
   * and hands it to all open sinks; where there is more to be seen than that framebuffer full screen, it
   * composes the planes as they are committed now. Queue it behind the flip and before the next render into the
   * framebuffer. Never blocks. Its fence signals when the frame is copied, and fails with the
   * flip's errno when that was not shown, ENOBUFS when the writeback was behind (`realtime` only; at
   * `max` the pipeline waits for it), ENODEV when no sink is open. ENOENT and ENOSPC as
   * {@link queueFlip}.
   */
  queueWriteback(options: QueueWritebackOptions): Fence {
    this.#flips.check(options.fb, 'queue_writeback');
    return this.#recording.queue(options);
  }

  /**
   * Opens a sink for recorded frames, of the size of the mode. Blocks until it is open, so that what
   * cannot be written is refused before a pipeline starts. The caller closes it. Several may be open.
   * EINVAL: the name's ending, or an option; OutputError: EISDIR, EACCES, ENOENT, ENOTDIR, EROFS, ….
   */
  openSink(options: SinkOptions): WritebackSink {
    return this.#recording.openSink(options);
  }

  /** Counters, read from shared words: no round trip. */
  stats(): DisplayStats {
    return {
      shown: this.#ports.get(REG.SHOWN) >>> 0,
      dropped: this.#ports.get(REG.DROPPED) >>> 0,
      failed: this.#ports.get(REG.FAILED) >>> 0,
      cancelled: this.#ports.get(REG.CANCELLED) >>> 0,
      vblanks: this.#ports.double(REG.VBLANKS),
      missedVblanks: this.#ports.double(REG.MISSED),
      lateness: this.#lateness.summary(),
      firstFlip: this.#ports.double(REG.FIRST_FLIP) || undefined,
      lastFlip: this.#ports.double(REG.LAST_FLIP) || undefined,
    };
  }

  /** Counters of the writeback, the same way. */
  writebackStats(): WritebackStats {
    return this.#recording.stats();
  }
}
