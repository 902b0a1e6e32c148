/**
 * What the parts of a Display share: a thread's view of the card. No state of its own but caches.
 */
import {
  type Context,
  type DmaBuf,
  DmaBufError,
  type Fence,
  type FencePoint,
  type Machine,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { Events } from './display-events.js';
import type { Framebuffer } from './display-framebuffer.js';
import { CommittedState } from './display-state.js';
import { FlipRecords, type Presented } from './flip-records.js';
import { FramebufferTable } from './framebuffer-table.js';
import { ModeBlobs } from './mode-blobs.js';
import { type DisplayObjects, makeObjects } from './objects.js';
import { type KmsSettings, settingsOf } from './options.js';
import { REG } from './registers.js';

export class DisplayPorts {
  readonly path: string;
  readonly machine: Machine;
  readonly door: DriverDoor;
  readonly settings: KmsSettings;
  readonly framebuffers: FramebufferTable;
  readonly objects: DisplayObjects;
  readonly committed: CommittedState;
  readonly blobs: ModeBlobs;
  readonly records: FlipRecords;
  readonly events: Events;
  /** The line of all flips, commits and removals. */
  readonly crtc: Context;
  /** The line of writebacks. */
  readonly writeback: Context;
  /** Framebuffers that this thread has handles of, by id. */
  readonly known: Map<number, Framebuffer> = new Map();

  /** REAPED when this thread last looked. */
  #reaped = 0;

  constructor(machine: Machine, path: string) {
    const door = machine.driver(machine.device(path).driver);
    const { words, base, locks } = door;
    this.path = path;
    this.machine = machine;
    this.door = door;
    this.settings = settingsOf(door.spec.options);
    this.framebuffers = new FramebufferTable(words, base, this.settings.framebuffers, locks);
    this.objects = makeObjects(this.settings.overlays);
    this.committed = new CommittedState(words, base);
    this.blobs = new ModeBlobs(words, base);
    this.records = new FlipRecords(words, base);
    this.events = new Events(machine, this.objects.crtc.id);
    this.crtc = machine.contextById(words.load(base + REG.CRTC_CONTEXT));
    this.writeback = machine.contextById(words.load(base + REG.WB_CONTEXT));
  }

  get(register: number): number {
    return this.door.words.load(this.door.base + register);
  }

  double(register: number): number {
    return this.door.words.getDouble(this.door.base + register);
  }

  /** When a flip or commit came on screen; undefined if it did not, or too long ago. */
  presented(fence: FencePoint): Presented | undefined {
    return fence.context === this.crtc.id ? this.records.find(fence.seqno) : undefined;
  }

  /** Notes that an event is wanted when a flip or commit is through. */
  wantFlipEvent(fence: Fence, userData: unknown): void {
    const happened = (): Presented | undefined => this.presented(fence);
    this.events.add({ type: 'flip', userData, fence, happened });
  }

  /** Whether something is scanned out. */
  get isActive(): boolean {
    return this.get(REG.ACTIVE) !== 0;
  }

  /** Runs under FLIP_LOCK: what it queues and what it commits are one step for all others. */
  locked<T>(run: () => T): T {
    const { locks, base } = this.door;
    locks.lock(base + REG.FLIP_LOCK);
    try {
      this.#settle();
      return run();
    } finally {
      locks.unlock(base + REG.FLIP_LOCK);
    }
  }

  /** What the CRTC took off as its owner had died is off in the committed state too. */
  #settle(): void {
    const reaped = this.get(REG.REAPED);
    if (reaped === this.#reaped) return;
    this.#reaped = reaped;
    for (const { index } of this.objects.planes) {
      const fb = this.committed.planes.fb(index);
      if (fb !== 0 && this.framebuffers.find(fb) === undefined) this.forget(fb);
    }
  }

  /** A framebuffer is on no plane any more; if it was on the primary one, the CRTC is off. Under FLIP_LOCK. */
  forget(fb: number): void {
    const { committed, objects } = this;
    const all = objects.planes.map(({ index }) => ({
      plane: index,
      state: committed.plane(index),
    }));
    const crtcOff = committed.planes.fb(0) === fb;
    const off = all.filter(({ state }) => crtcOff || state.fb === fb);
    if (off.length === 0) return;
    const updates = off.map(({ plane, state }) => ({ plane, state: { ...state, fb: 0 } }));
    committed.put(updates, crtcOff ? { ...committed.crtc, active: false } : undefined);
  }

  /**
   * Runs with a handle of a framebuffer's buffer, whoever added it: this thread's own, or one for the time
   * being. ENOENT.
   */
  withBuffer<T>(fb: number, syscall: string, run: (buffer: DmaBuf) => T): T {
    const info = this.framebuffers.get(fb, syscall);
    const known = this.known.get(fb);
    if (known !== undefined) return run(known.buffer);
    const buffer = this.#reopen(info.pointer, info.ino, fb, syscall);
    try {
      return run(buffer);
    } finally {
      buffer.close();
    }
  }

  #reopen(pointer: number, ino: number, fb: number, syscall: string): DmaBuf {
    try {
      return this.door.reopen(pointer, ino);
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'ENOENT') throw error;
      const detail = `the buffer of framebuffer ${fb} is gone, and with it whoever added it`;
      throw new DmaBufError('ENOENT', syscall, detail);
    }
  }
}
