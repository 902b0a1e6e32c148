/**
 * GpuContext: an application's ordered line of jobs for the GPU, and the images that it draws with.
 *
 * A job is a list of commands. submit checks all of them, derives which buffers the job reads
 * and writes, queues it on those and returns its fence; the device runs it when its buffers'
 * queues let it. Nobody waits in between, so jobs may be queued as far ahead as the job table goes.
 */
import {
  DmaBufError,
  type BufferUse,
  type Context,
  type DmaBuf,
  type Fence,
  type FencePoint,
  type Machine,
  type Priority,
  type SubmitOptions,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { wantArray, wantBuffer, wantObject } from './args.js';
import { checkMeshes, type ClaimImage, deriveClaims } from './claims.js';
import type { Command } from './command.js';
import { GpuImage, type FrameRequest, type ImageRequest, type ImageServices } from './image.js';
import { ImageTable } from './image-table.js';
import { IOCTL, SCRATCH_TAG } from './ioctl.js';
import { PixelBuffer } from './pixel-buffer.js';
import {
  readPixels,
  texSubImage2D,
  type ReadPixelsOptions,
  type TexSubImageOptions,
} from './pixel-access.js';
import { coreActors, isGpuInfo } from './spec.js';
import { readStats, type GpuStats } from './stats.js';
import { checkDispatch } from './dispatch.js';
import { type GpuTimings, JobTimes } from './job-times.js';
import { KernelTable } from './kernel-table.js';
import { QUERIES_MAX } from './layout.js';
import type { RecordHandle, RecordTable } from './record-table.js';
import { apply, checkingKernels, toStep, type Step } from './step.js';
import { encodeSteps } from './step-codec.js';
import {
  checkTriangles,
  indexImage,
  type IndexRequest,
  vertexImage,
  type VertexRequest,
} from './triangles.js';
import { GpuKernel, kernelInfo, type KernelRequest } from './user-kernel.js';

export interface GpuContextOptions {
  /** Path of the GPU; default `'/dev/dri/renderD128'`. */
  readonly path?: string;
  /** For traces; at most 31 bytes. Default `'gpu'`. */
  readonly name?: string;
  /**
   * A buffer in the pool that the GPU may write to at any time while the context is open, for
   * scaling in wasm ({@link scratchBytes} says how large). The device uses the largest that
   * any context has given it; without one, it scales in TypeScript, some ten times slower, with the
   * same result. The caller may close its handle.
   */
  readonly scratch?: DmaBuf;
  /**
   * Whose ready jobs the GPU starts first (EGL_IMG_context_priority); default `'normal'`. Strict, between the contexts
   * of one GPU: `'low'` waits for as long as others have jobs that are ready. A job that runs is not interrupted, and a
   * context's own jobs stay in order.
   */
  readonly priority?: Priority;
  /**
   * Jobs are handed to the GPU as they are submitted, with the words to wait on, and it waits for their turn by itself,
   * as hardware with semaphores does: no dispatch between a job and the one that waits for it, of the same GPU or of another
   * device. One that waits holds up its own context alone. Default false.
   */
  readonly semaphores?: boolean;
}

/** What another thread needs to go on with a context: `GpuContext.fromHandle`. Plain data. */
export interface GpuHandle {
  readonly path: string;
  readonly context: number;
}

export interface GpuSubmitOptions {
  /** Run one after the other. */
  readonly commands: readonly Command[];
  /**
   * `implicit` (default): it waits for what the buffers' queues say, and others for it. `explicit`: it waits for `inFences`
   * alone and nobody for it, unless sync files tell them: that no two jobs meet in one
   * buffer's memory is then the caller's business.
   */
  readonly sync?: 'implicit' | 'explicit';
  /** Fences to wait for beside what the buffers' queues say. */
  readonly inFences?: NonNullable<SubmitOptions['inFences']>;
  /** What a failed dependency does: `cancel` (default) fails the job with its errno, `run` runs it. */
  readonly onError?: 'cancel' | 'run';
}

const DEFAULT_PATH = '/dev/dri/renderD128';

export class GpuContext {
  readonly path: string;
  readonly #machine: Machine;
  readonly #door: DriverDoor;
  readonly #context: Context;
  readonly #images: ImageServices;
  readonly #kernels: KernelTable;
  readonly #times: JobTimes;
  /** Actor ids of the GPU's shader cores. */
  readonly #cores: readonly number[];
  /** Whether this object made the context, and so closes it. */
  readonly #owner: boolean;
  #scratch = false;
  #open = true;

  private constructor(
    machine: Machine,
    path: string,
    open: (actor: number) => Context,
    owner: boolean,
  ) {
    const node = machine.device(path);
    if (!isGpuInfo(node.info)) {
      const detail = `'${path}' is a device of driver '${node.driver}', no GPU`;
      throw new DmaBufError('ENODEV', 'open', detail);
    }
    this.path = path;
    this.#machine = machine;
    this.#door = machine.driver(node.driver);
    const { actor } = node;
    this.#images = { door: this.#door, table: new ImageTable(this.#door), actor };
    this.#kernels = new KernelTable(this.#door);
    this.#times = new JobTimes(this.#door);
    this.#cores = coreActors(machine, path);
    this.#owner = owner;
    this.#context = open(actor);
  }

  /**
   * Opens a context. The caller closes it. ENOENT, ENODEV: no GPU at `path`; ENOSPC: the context
   * table is full; EINVAL: the scratch is not in the pool; TypeError: no such priority. Blocks for an ioctl when `scratch`
   * is given.
   */
  static create(machine: Machine, options: GpuContextOptions = {}): GpuContext {
    const { path = DEFAULT_PATH, name = 'gpu', scratch, priority = 'normal' } = options;
    const how = { priority, early: options.semaphores === true };
    const open = (actor: number): Context => machine.createContext(actor, name, how);
    const context = new GpuContext(machine, path, open, true);
    if (scratch === undefined) return context;
    try {
      context.#offer(scratch);
    } catch (error) {
      context.close();
      throw error;
    }
    return context;
  }

  /**
   * A context that another thread opened; both may submit, in one order. Closing this object leaves
   * the context open. ENOENT: it was closed; EINVAL: it is another device's.
   */
  static fromHandle(machine: Machine, handle: GpuHandle): GpuContext {
    wantObject('fromHandle', 'handle', handle);
    const open = (actor: number): Context => {
      const context = machine.contextById(handle.context);
      if (context.target === actor) return context;
      const detail = `context ${context.id} belongs to actor ${context.target}, not to '${handle.path}'`;
      throw new DmaBufError('EINVAL', 'open', detail);
    };
    return new GpuContext(machine, handle.path, open, false);
  }

  get handle(): GpuHandle {
    return { path: this.path, context: this.#context.id };
  }

  /** Name given at {@link create}. */
  get name(): string {
    return this.#context.name;
  }

  /**
   * Imports a buffer as an image of known geometry. The caller closes the image, and may close its
   * own handle of the buffer before. Any context of the same GPU takes it. Blocks for some 100 µs
   * when this thread or the device has not seen the memory before.
   *
   * EINVAL: unknown format, bad size, pitch below the least, plane outside the buffer, modifier,
   * memory that the GPU cannot reach; what the exporter's attach throws; EBADF; EMFILE;
   * ENOSPC: the image table is full. A refused import leaves no residue.
   */
  importImage(request: ImageRequest): GpuImage {
    this.#check('import_image');
    return GpuImage.import(this.#images, request);
  }

  /**
   * Imports a buffer whose writer describes each content in its metadata (a decoder's output,
   * queued ahead): every job reads format, planes, crop and colour when it runs. Such an image is a
   * source only; {x: 0, y: 0} is the top left of its visible part. A job that finds no
   * metadata fails with ENODATA, a larger picture than stated EOVERFLOW, an unknown format or
   * planes outside the buffer EINVAL: for that frame alone. Errors of the call as importImage.
   */
  importFrame(request: FrameRequest): GpuImage {
    this.#check('import_image');
    return GpuImage.importFrame(this.#images, request);
  }

  /**
   * An image that another thread imported, given an fd of its buffer. The caller closes it. ENOENT:
   * nobody holds it any more; EINVAL: the buffer is another one.
   */
  imageById(id: number, buffer: DmaBuf): GpuImage {
    this.#check('import_image');
    return GpuImage.byId(this.#images, id, buffer);
  }

  /**
   * Imports a buffer of vertices for `triangles`: {@link packVertices} says how they lie. Owned and refused as of
   * {@link importImage}: EINVAL when `count` vertices do not fit into it.
   */
  importVertices(request: VertexRequest): GpuImage {
    wantObject('importVertices', 'request', request);
    return this.importImage(vertexImage(request));
  }

  /** Imports a buffer of indices for `triangles`, three int32 a triangle. As {@link importVertices}. */
  importIndices(request: IndexRequest): GpuImage {
    wantObject('importIndices', 'request', request);
    return this.importImage(indexImage(request));
  }

  /**
   * Queues a job and returns its fence. Does not block. Images that it reads are claimed shared,
   * images that it writes exclusive, or discard when the first command that touches one overwrites
   * all of it (claims.ts).
   *
   * EINVAL: a rectangle outside its image, a format that a command does not take, overlap: with the
   * command's index; ENOENT: a closed image; EMSGSIZE: too many commands for a payload
   * (`tables.payloadBytes`); E2BIG: more buffers and fences than a job can name; ENOSPC: the job table is
   * full; ENODEV, EOWNERDEAD: the machine is gone. TypeError for arguments of a wrong type.
   * A refused job leaves no residue.
   */
  submit(options: GpuSubmitOptions): Fence {
    this.#check('submit');
    wantObject('submit', 'options', options);
    const { commands, inFences = [], onError = 'cancel', sync = 'implicit' } = options;
    wantArray('submit', 'commands', commands);
    const images: GpuImage[] = [];
    const indexOf = (image: GpuImage): number => this.#indexOf(images, image);
    const steps = commands.map((command, i) =>
      explained(i, command.op, () => {
        if (command.op === 'dispatch') this.#ownKernel(command.kernel);
        return toStep(command, indexOf);
      }),
    );
    steps.forEach((step, i) => explained(i, step.op, () => this.#dryRun(step, images)));
    checkQueries(steps);
    const keyed = keyedBy(images);
    checkMeshes(steps, keyed);
    const { table } = this.#images;
    const ids = images.map((image) => image.id);
    const payload = encodeSteps(ids, steps);
    const taken: (() => void)[] = [];
    try {
      for (const id of ids) taken.push(referenced(table, id));
      for (const step of steps) {
        if (step.op === 'dispatch') taken.push(referenced(this.#kernels, step.kernel));
      }
      const buffers = usesOf(steps, images, keyed);
      return this.#context.submit({ buffers, inFences, onError, sync, payload });
    } catch (error) {
      for (const giveBack of taken) giveBack();
      throw error;
    }
  }

  /**
   * Registers a kernel of the user's (see {@link KernelCall}), which the device loads at once. Any context of the
   * same GPU takes it. The caller closes it. Modules are loaded once: a changed file is seen by the device's next life
   * alone. Blocks for the load.
   *
   * EINVAL: no `file:` URL, a module that cannot be loaded (one with a top-level await, say), that exports no such
   * function or, of wasm, imports more than `env.memory`; ENOENT: no such file; ENODEV: wasm without a
   * pool; E2BIG: URL and name are longer than some 500 bytes; ENOSPC: the kernel table is full.
   */
  loadKernel(request: KernelRequest): GpuKernel {
    this.#check('load_kernel');
    const kernel = this.#kernelOf(this.#kernels.register(kernelInfo(request)));
    try {
      this.#machine.ioctl(this.#images.actor, IOCTL.LOAD_KERNEL, kernel.id);
      for (const core of this.#cores) this.#loadInCore(core, kernel.id);
      return kernel;
    } catch (error) {
      kernel.close();
      throw error;
    }
  }

  /** A kernel that another thread registered. The caller closes it. ENOENT: nobody holds it any more. */
  kernelById(id: number): GpuKernel {
    this.#check('load_kernel');
    return this.#kernelOf(this.#kernels.open(id));
  }

  /**
   * glReadPixels: pixels of an image, packed without gaps; the caller's own. Blocks until the jobs that were
   * queued to write it are done. A read bracket: nothing is flushed after it.
   *
   * EINVAL: a rectangle outside the image, or one that cuts a block of a subsampled format; a format that it
   * cannot be converted to; no room in `into`. ETIME: `timeout` ran out. What the exporter's mmap refuses
   * with (ENODEV, EPERM); the errno of a writer that failed; of a frame, as of a job (see importFrame).
   */
  readPixels(image: GpuImage, options: ReadPixelsOptions = {}): Uint8Array<ArrayBufferLike> {
    this.#check('read_pixels');
    this.#own('readPixels', image);
    return readPixels(image, options);
  }

  /**
   * glTexSubImage2D: writes the caller's pixels into an image, converted to its format. Blocks until nobody
   * else has the buffer. Only the lines in the rectangle's range are flushed. Errors as of {@link readPixels};
   * EACCES: it was imported by an fd that is for reading only.
   */
  texSubImage2D(image: GpuImage, pixels: Uint8Array, options: TexSubImageOptions = {}): void {
    this.#check('tex_sub_image');
    this.#own('texSubImage2D', image);
    texSubImage2D(image, pixels, options);
  }

  /**
   * A dma-buf as a pixel buffer object (GL_PIXEL_PACK_BUFFER, GL_PIXEL_UNPACK_BUFFER): transfers to and from it
   * are jobs, and it is mapped when they are done. The caller closes it, and may close its own handle.
   * Errors as of importImage.
   */
  createPixelBuffer(buffer: DmaBuf): PixelBuffer {
    this.#check('create_pixel_buffer');
    return new PixelBuffer(this, buffer, this.#images);
  }

  /** Counters of the GPU, all contexts together. Does not block. */
  stats(): GpuStats {
    return readStats(this.#door);
  }

  /**
   * When a job was queued, granted, started and done, and what its queryTime commands read: of a job in flight as far
   * as it is, afterwards until 64 other jobs of the GPU have ended, then undefined. Does not block.
   */
  timings(fence: FencePoint): GpuTimings | undefined {
    return this.#times.find(this.#machine.fence(fence));
  }

  /**
   * What a job of the GPU failed with, in words; undefined if the device did not fail it, or has
   * failed 64 jobs since. Blocks for an ioctl.
   */
  explain(fence: FencePoint): string | undefined {
    const { actor } = this.#images;
    wantObject('explain', 'fence', fence);
    const answer = this.#machine.ioctl(actor, IOCTL.EXPLAIN, [fence.context, fence.seqno]);
    return typeof answer === 'string' ? answer : undefined;
  }

  /**
   * Closes the context, and takes its scratch back. Images stay. EBUSY while its jobs are in
   * flight. Harmless the second time.
   */
  close(): void {
    if (!this.#open) return;
    if (this.#owner) this.#context.close();
    this.#open = false;
    if (!this.#scratch) return;
    this.#scratch = false;
    this.#machine.ioctl(this.#images.actor, IOCTL.DROP_SCRATCH, this.#context.id);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #check(syscall: string): void {
    if (this.#open) return;
    throw new DmaBufError('ENOENT', syscall, `context ${this.#context.id} is closed`);
  }

  #offer(scratch: DmaBuf): void {
    const { actor } = this.#images;
    wantBuffer('create', 'scratch', scratch);
    if (!scratch.record.inPool) {
      const detail = `buffer ${scratch.record.ino} lies outside the pool; allocate scratch from a carveout or CMA heap`;
      throw new DmaBufError('EINVAL', 'gpu_scratch', detail);
    }
    this.#machine.passFd(actor, scratch.fd, [SCRATCH_TAG, this.#context.id]);
    this.#machine.ioctl(actor, IOCTL.SCRATCH, this.#context.id);
    this.#scratch = true;
  }

  #kernelOf(handle: RecordHandle): GpuKernel {
    const { door, actor } = this.#images;
    // The device may hold on to the module of a kernel that is gone: it looks when it is rung.
    return new GpuKernel(this.#kernels, handle, actor, () => {
      for (const each of [actor, ...this.#cores]) door.ring(each);
    });
  }

  /** Lets a shader core load a kernel before it is needed. One that is just started again does so when it is. */
  #loadInCore(core: number, id: number): void {
    try {
      this.#machine.ioctl(core, IOCTL.LOAD_KERNEL, id);
    } catch (error) {
      if (!(error instanceof DmaBufError) || error.code !== 'EOWNERDEAD') throw error;
    }
  }

  /** TypeError: no kernel; ENOENT: closed; EINVAL: another GPU's. */
  #ownKernel(kernel: GpuKernel): void {
    if (!(kernel instanceof GpuKernel)) {
      throw new TypeError('submit: a kernel is what loadKernel or kernelById gave');
    }
    if (!kernel.isOpen) throw new DmaBufError('ENOENT', 'submit', `kernel ${kernel.id} is closed`);
    if (kernel.actor === this.#images.actor) return;
    const detail = `kernel ${kernel.id} was loaded by another GPU (actor ${kernel.actor})`;
    throw new DmaBufError('EINVAL', 'submit', detail);
  }

  /** Runs all checks of a step, with kernels that do nothing else. */
  #dryRun(step: Step, images: readonly GpuImage[]): void {
    if (step.op === 'queryTime') return;
    if (step.op === 'dispatch') return checkDispatch(step, images, this.#kernels);
    if (step.op === 'triangles') {
      const surfaces = images.map(({ surface }) => surface);
      return checkTriangles(checkingKernels, step, surfaces);
    }
    const dst = images[step.dst];
    if (dst !== undefined) apply(checkingKernels, step, dst.surface, images[step.src]?.surface);
  }

  #indexOf(images: GpuImage[], image: GpuImage): number {
    this.#own('submit', image);
    const known = images.findIndex((i) => i.id === image.id);
    return known >= 0 ? known : images.push(image) - 1;
  }

  /** TypeError: no image; ENOENT: closed; EINVAL: another GPU's. */
  #own(call: string, image: GpuImage): void {
    if (!(image instanceof GpuImage)) {
      throw new TypeError(`${call}: images are what importImage, importFrame or imageById gave`);
    }
    if (!image.isOpen) {
      throw new DmaBufError('ENOENT', call, `image ${image.id} is closed`);
    }
    if (image.actor !== this.#images.actor) {
      const detail = `image ${image.id} was imported into another GPU (actor ${image.actor})`;
      throw new DmaBufError('EINVAL', call, detail);
    }
  }
}

/** EINVAL: more queryTime commands than a job has room for. */
function checkQueries(steps: readonly Step[]): void {
  const count = steps.filter(({ op }) => op === 'queryTime').length;
  if (count <= QUERIES_MAX) return;
  const detail = `${count} queryTime commands; a job has room for ${QUERIES_MAX}`;
  throw new DmaBufError('EINVAL', 'submit', detail);
}

/** Takes a job's reference; what gives it back. */
function referenced(table: RecordTable, id: number): () => void {
  table.ref(id);
  return () => table.unref(id);
}

/** Adds to a refusal which command it is about. */
function explained<T>(index: number, op: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    throw new DmaBufError(error.code, 'submit', `command ${index} (${op}): ${error.detail}`);
  }
}

/** What claims are derived from. */
function keyedBy(images: readonly GpuImage[]): readonly ClaimImage[] {
  return images.map(({ buffer, width, height }) => ({
    key: buffer.record.pointer,
    width,
    height,
  }));
}

/** The buffers of a job, each once, with their claims. */
function usesOf(
  steps: readonly Step[],
  images: readonly GpuImage[],
  keyed: readonly ClaimImage[],
): BufferUse[] {
  const uses: BufferUse[] = [];
  for (const [key, access] of deriveClaims(steps, keyed)) {
    const image = images.find(({ buffer }) => buffer.record.pointer === key);
    if (image !== undefined) uses.push({ buffer: image.buffer, access });
  }
  return uses;
}
