/**
 * Atomic commits, as a thread of an application makes them (drm_mode_atomic_ioctl).
 *
 * Under FLIP_LOCK, so that no other commit, flip or modeset comes between: the request is applied to the
 * committed state, checked as a whole, queued as one job for each plane, and then becomes the committed
 * state by one store. A thread that dies in between leaves jobs that the CRTC gives up (PARTIAL_SEQNO),
 * or jobs that are shown and not yet in the committed state: the next commit of those planes is.
 */
import { type BufferUse, DmaBufError, type Fence, shared, type SyncFile } from '@dmabuf/core';
import {
  checkDraft,
  DRM_MODE_ATOMIC_ALLOW_MODESET,
  DRM_MODE_ATOMIC_NONBLOCK,
  DRM_MODE_ATOMIC_TEST_ONLY,
  DRM_MODE_PAGE_FLIP_ASYNC,
  DRM_MODE_PAGE_FLIP_EVENT,
  needsModeset,
} from './atomic-check.js';
import { AtomicDraft, type PlaneDraft } from './atomic-draft.js';
import { AtomicRequest } from './atomic-request.js';
import { type CommitCommand, type CrtcCommand, encodeCommand, type ModeChange } from './command.js';
import type { Composition, FrameCrc } from './display-composition.js';
import type { InFences } from './display-types.js';
import type { DisplayPorts } from './display-ports.js';
import { samePlane } from './plane-state.js';
import { REG } from './registers.js';

/** How a commit is made. */
export interface CommitOptions {
  /** `DRM_MODE_ATOMIC_*` and `DRM_MODE_PAGE_FLIP_EVENT`. Default 0: blocking, no modeset. */
  readonly flags?: number;
  /** Fences that must have signalled before, beside IN_FENCE_FD and those of the buffers' own queues. */
  readonly inFences?: InFences;
  /** Compose the frame and take its CRC. */
  readonly crc?: boolean;
  /** What comes back with the event of DRM_MODE_PAGE_FLIP_EVENT. */
  readonly userData?: unknown;
}

/** A commit that is queued behind all others, as far ahead as the tables allow. */
export interface QueueCommitOptions extends CommitOptions {
  /** Present time: as that of `queueFlip`. */
  readonly at?: number;
  /** Begins a new sequence, with an epoch of its own. */
  readonly start?: boolean;
}

/** What a commit gave. */
export interface CommitResult {
  /** Signals when the commit is on screen. */
  readonly fence: Fence;
  /** The file behind the fd that OUT_FENCE_PTR got; the caller closes it. */
  readonly outFence: SyncFile | undefined;
  /** Signals when the frame has been written to WRITEBACK_FB_ID; undefined without one. */
  readonly writeback: Fence | undefined;
  /** The file behind the fd that WRITEBACK_OUT_FENCE_PTR got; the caller closes it. */
  readonly writebackOutFence: SyncFile | undefined;
  /** The CRC that was asked for; undefined if none was, or the job table has no room for it. */
  readonly crc: FrameCrc | undefined;
}

const FLAGS =
  DRM_MODE_PAGE_FLIP_EVENT |
  DRM_MODE_PAGE_FLIP_ASYNC |
  DRM_MODE_ATOMIC_TEST_ONLY |
  DRM_MODE_ATOMIC_NONBLOCK |
  DRM_MODE_ATOMIC_ALLOW_MODESET;

interface Timing {
  readonly queued: boolean;
  readonly async: boolean;
  readonly at: number | undefined;
  readonly start: boolean;
}

const NOW: Timing = { queued: false, async: false, at: undefined, start: false };

export class AtomicCommits {
  readonly #ports: DisplayPorts;
  readonly #composition: Composition;

  constructor(ports: DisplayPorts, composition: Composition) {
    this.#ports = ports;
    this.#composition = composition;
  }

  /** See {@link Display.commit}. */
  commit(request: AtomicRequest, options: CommitOptions): CommitResult | undefined {
    const result = this.#commit(request, options, { ...NOW, queued: false });
    if (result === undefined || ((options.flags ?? 0) & DRM_MODE_ATOMIC_NONBLOCK) !== 0)
      return result;
    const status = result.fence.wait();
    if (status >= 0) return result;
    throw DmaBufError.of(status, 'atomic', 'the commit was queued, and could not be shown');
  }

  /** See {@link Display.queueCommit}. */
  queueCommit(request: AtomicRequest, options: QueueCommitOptions): CommitResult | undefined {
    const { at, start = false } = options;
    if (at !== undefined && !Number.isFinite(at)) {
      throw new TypeError(`queueCommit: at must be finite ms, not ${at}`);
    }
    return this.#commit(request, options, { queued: true, async: false, at, start });
  }

  /** {@link queueCommit} that is no test: it has a result. */
  queue(request: AtomicRequest, options: QueueCommitOptions): CommitResult {
    const result = this.queueCommit(request, options);
    if (result !== undefined) return result;
    throw new TypeError('queueCommit: DRM_MODE_ATOMIC_TEST_ONLY gives no result');
  }

  #commit(
    request: AtomicRequest,
    { flags = 0, inFences = [], userData, crc = false }: CommitOptions,
    timing: Timing,
  ): CommitResult | undefined {
    if (!(request instanceof AtomicRequest)) {
      throw new TypeError('commit: give an AtomicRequest');
    }
    checkFlags(flags);
    return this.#ports.locked(() => {
      const draft = this.#draft(request);
      const has = (flag: number): boolean => (flags & flag) !== 0;
      checkDraft(draft, {
        objects: this.#ports.objects,
        allowModeset: has(DRM_MODE_ATOMIC_ALLOW_MODESET),
        event: has(DRM_MODE_PAGE_FLIP_EVENT),
        async: has(DRM_MODE_PAGE_FLIP_ASYNC),
        framebuffer: (id) => this.#ports.framebuffers.get(id, 'atomic'),
      });
      if (has(DRM_MODE_ATOMIC_TEST_ONLY)) return undefined;
      if (!timing.queued && has(DRM_MODE_ATOMIC_NONBLOCK)) this.#mustBeIdle();
      const event = has(DRM_MODE_PAGE_FLIP_EVENT);
      if (event) this.#ports.events.reserve('atomic');
      const async = has(DRM_MODE_PAGE_FLIP_ASYNC);
      const result = this.#carryOut(draft, inFences, { ...timing, async });
      if (event) this.#ports.wantFlipEvent(result.fence, userData);
      return crc ? { ...result, crc: this.#crcOf(result.fence) } : result;
    });
  }

  /** The commit is queued by now, whatever becomes of its CRC. */
  #crcOf(fence: Fence): FrameCrc | undefined {
    try {
      return this.#composition.crc(this.#composition.committed([fence]));
    } catch (error) {
      if (error instanceof DmaBufError && error.code === 'ENOSPC') return undefined;
      throw error;
    }
  }

  #draft(request: AtomicRequest): AtomicDraft {
    const { committed, objects, framebuffers, blobs, machine } = this.#ports;
    const planes = objects.planes.map(({ index }) => committed.plane(index));
    const draft = new AtomicDraft(committed.crtc, planes, {
      objects,
      hasFramebuffer: (id) => framebuffers.find(id) !== undefined,
      mode: (id) => blobs.find(id),
      syncFile: (fd) => machine.syncFile(fd),
    });
    for (const entry of request.properties) draft.apply(entry);
    return draft;
  }

  #mustBeIdle(): void {
    const pending = this.#ports.crtc.submitted - this.#ports.crtc.completed;
    if (pending === 0) return;
    const detail = `${pending} commits or flips are pending on ${this.#ports.path}; wait for their fences, commit without DRM_MODE_ATOMIC_NONBLOCK, or use queueCommit`;
    throw new DmaBufError('EBUSY', 'atomic', detail);
  }

  #carryOut(draft: AtomicDraft, inFences: InFences, timing: Timing): CommitResult {
    if (draft.outFences.length > 0) this.#mustHaveRoom();
    const fence = this.#submit(draft, inFences, timing);
    const updates = draft.changed.map(({ object, state }) => ({ plane: object.index, state }));
    this.#ports.committed.put(updates, draft.touchedCrtc ? draft.crtc : undefined);
    const writeback =
      draft.writebackFb === 0 ? undefined : this.#writeback(draft.writebackFb, fence);
    const outFence = this.#outFence(draft, 'crtc', fence);
    const writebackOutFence =
      writeback === undefined ? undefined : this.#outFence(draft, 'writeback', writeback);
    return { fence, outFence, writeback, writebackOutFence, crc: undefined };
  }

  /** The commit is queued by now: what is thrown says so. */
  #writeback(fb: number, fence: Fence): Fence {
    const scene = this.#composition.committed([fence]);
    try {
      return this.#composition.queue(scene, { record: false, crc: false }, fb);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      const detail = `the commit is queued, but not its writeback: ${error.detail}`;
      throw new DmaBufError(error.code, 'atomic', detail);
    }
  }

  #outFence(draft: AtomicDraft, of: 'crtc' | 'writeback', fence: Fence): SyncFile | undefined {
    const targets = draft.outFences.filter((each) => each.of === of);
    if (targets.length === 0) return undefined;
    const file = this.#ports.machine.createSyncFile([fence], `${this.#ports.path} ${of} out-fence`);
    for (const { array } of targets) array[0] = file.fd;
    return file;
  }

  /** An out-fence that cannot be made refuses the commit, while that can still be refused. EMFILE, ENOSPC. */
  #mustHaveRoom(): void {
    this.#ports.machine.createSyncFile([], 'out-fence').close();
  }

  /** Queues the jobs of a commit; the fence of the last: when that signals, none of them is pending. */
  #submit(draft: AtomicDraft, inFences: InFences, timing: Timing): Fence {
    const changes = draft.changed.filter(
      ({ state, old, inFence }) => !samePlane(state, old) || inFence !== undefined,
    );
    const fences: InFences[number][] = [...inFences];
    for (const { inFence } of changes) if (inFence !== undefined) fences.push(inFence);
    const [first, ...rest] = changes;
    const command: CommitCommand = {
      kind: 'commit',
      parts: rest.length,
      at: timing.at,
      start: timing.start,
      async: timing.async,
      payload: undefined,
      mode: modeChange(draft),
      vrr: draft.crtc.vrr === draft.oldCrtc.vrr ? undefined : draft.crtc.vrr,
      update: first && { plane: first.object.index, state: { ...first.state } },
    };
    if (rest.length === 0) return this.#queue(command, first, fences);
    return this.#whole(command, first, rest, fences);
  }

  /** All jobs of a commit of several, or none that comes to anything. */
  #whole(
    command: CommitCommand,
    first: PlaneDraft | undefined,
    rest: readonly PlaneDraft[],
    fences: InFences,
  ): Fence {
    const { words, base } = this.#ports.door;
    const { crtc } = this.#ports;
    const seqno = crtc.submitted + 1;
    words.store(base + REG.PARTIAL_SEQNO, seqno);
    try {
      let fence = this.#queue(command, first, fences);
      rest.forEach((plane, i) => {
        const update = { plane: plane.object.index, state: { ...plane.state } };
        fence = this.#queue({ kind: 'part', index: i + 1, update }, plane, []);
      });
      return fence;
    } catch (error) {
      if (crtc.submitted >= seqno) {
        words.store(base + REG.BROKEN_SEQNO, seqno);
        this.#ports.door.ring(crtc.target);
      }
      throw error;
    } finally {
      words.store(base + REG.PARTIAL_SEQNO, 0);
    }
  }

  /** A job that claims the framebuffer which its plane is to show, if that is another than before. */
  #queue(command: CrtcCommand, plane: PlaneDraft | undefined, inFences: InFences): Fence {
    const payload = encodeCommand(command);
    const submit = (buffers: readonly BufferUse[]): Fence =>
      this.#ports.crtc.submit({ buffers, inFences, payload });
    if (plane === undefined || plane.state.fb === 0 || plane.state.fb === plane.old.fb) {
      return submit([]);
    }
    return this.#ports.withBuffer(plane.state.fb, 'atomic', (buffer) => submit([shared(buffer)]));
  }
}

function modeChange(draft: AtomicDraft): ModeChange | undefined {
  const what = needsModeset(draft);
  if (what === undefined || what === 'WRITEBACK') return undefined;
  const { active, hdisplay, vdisplay, vrefresh } = draft.crtc;
  return { active, hdisplay, vdisplay, vrefresh, refit: false };
}

function checkFlags(flags: number): void {
  if (!Number.isInteger(flags) || (flags & ~FLAGS) !== 0 || flags < 0) {
    const known =
      'DRM_MODE_PAGE_FLIP_EVENT, DRM_MODE_PAGE_FLIP_ASYNC, DRM_MODE_ATOMIC_TEST_ONLY, DRM_MODE_ATOMIC_NONBLOCK and DRM_MODE_ATOMIC_ALLOW_MODESET';
    const detail = `flags 0x${flags.toString(16)} has bits beside ${known}`;
    throw new DmaBufError('EINVAL', 'atomic', detail);
  }
  const both = DRM_MODE_ATOMIC_TEST_ONLY | DRM_MODE_PAGE_FLIP_EVENT;
  if ((flags & both) !== both) return;
  const detail = 'flags: a DRM_MODE_ATOMIC_TEST_ONLY commit is never shown, so it has no event';
  throw new DmaBufError('EINVAL', 'atomic', detail);
}
