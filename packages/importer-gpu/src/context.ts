/**
 * GpuContext: an application's ordered line of jobs for the GPU, and the images that it draws with.
 *
 * A job is a list of commands. submit checks all of them, derives which buffers the job reads
 * and writes, queues it on those and returns its fence; the device runs it when its buffers'
 * queues let it. Nobody waits in between, so jobs may be queued as far ahead as the job table goes.
 */
import {
  DmaBufError,
  type Context,
  type DmaBuf,
  type Fence,
  type FencePoint,
  type Machine,
} from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';
import { wantArray, wantBuffer, wantObject } from './args.js';
import type { GpuContextOptions, GpuHandle, GpuSubmitOptions } from './context-options.js';
import { GpuImage, type FrameRequest, type ImageRequest, type ImageServices } from './image.js';
import { ImageTable } from './image-table.js';
import { IOCTL, SCRATCH_TAG } from './ioctl.js';
import { JobRequest } from './job-request.js';
import { type GpuTimings, JobTimes } from './job-times.js';
import { KernelLoader } from './kernel-loader.js';
import { ownImage } from './ownership.js';
import {
  readPixels,
  texSubImage2D,
  type ReadPixelsOptions,
  type TexSubImageOptions,
} from './pixel-access.js';
import { PixelBuffer } from './pixel-buffer.js';
import { coreActors, isGpuInfo } from './spec.js';
import { type GpuStats, readStats } from './stats.js';
import { indexImage, type IndexRequest, vertexImage, type VertexRequest } from './triangles.js';
import type { GpuKernel, KernelRequest } from './user-kernel.js';

const DEFAULT_PATH = '/dev/dri/renderD128';

export class GpuContext {
  readonly path: string;
  readonly #machine: Machine;
  readonly #door: DriverDoor;
  readonly #context: Context;
  readonly #images: ImageServices;
  readonly #kernels: KernelLoader;
  readonly #times: JobTimes;
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
    this.#kernels = new KernelLoader(machine, this.#door, actor, coreActors(machine, path));
    this.#times = new JobTimes(this.#door);
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
    const { actor, table: images } = this.#images;
    const request = new JobRequest({ actor, images, kernels: this.#kernels.table }, commands);
    const { payload, buffers } = request;
    return request.queued(() =>
      this.#context.submit({ buffers, inFences, onError, sync, payload }),
    );
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
    return this.#kernels.load(request);
  }

  /** A kernel that another thread registered. The caller closes it. ENOENT: nobody holds it any more. */
  kernelById(id: number): GpuKernel {
    this.#check('load_kernel');
    return this.#kernels.open(id);
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
    ownImage('readPixels', image, this.#images.actor);
    return readPixels(image, options);
  }

  /**
   * glTexSubImage2D: writes the caller's pixels into an image, converted to its format. Blocks until nobody
   * else has the buffer. Only the lines in the rectangle's range are flushed. Errors as of {@link readPixels};
   * EACCES: it was imported by an fd that is for reading only.
   */
  texSubImage2D(image: GpuImage, pixels: Uint8Array, options: TexSubImageOptions = {}): void {
    this.#check('tex_sub_image');
    ownImage('texSubImage2D', image, this.#images.actor);
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
}
