/**
 * The GPU's device half: takes the jobs of all contexts, one at a time, and does their commands in
 * order with the kernels, in place on the buffers. Synchronous; keeps nothing of a job.
 *
 * A job whose geometry comes from metadata is checked as a whole before its first command runs, so
 * a fault in it touches nothing. A failed job poisons what it was to write, by core's rule.
 */
import { DmaBufError, type Job } from '@dmabuf/core';
import type { DeviceEnv, DeviceFactory, DriverDoor } from '@dmabuf/core/driver';
import { Failures } from './failures.js';
import { formatInfo } from './fourcc.js';
import { ImageTable } from './image-table.js';
import { integers, IOCTL, kernelId } from './ioctl.js';
import { blocks, RGB32 } from './kernels/check.js';
import { eitherKernels, SCRATCH_SLACK, sharedPlainKernels } from './kernels/wasm.js';
import type { Image, Kernels } from './kernels/kernels.js';
import type { Mesh } from './kernels/vertex.js';
import type { WasmKernelOptions } from './kernels/wasm.js';
import { scaleScratchBytes } from './kernels/scale-map.js';
import { JobTimes } from './job-times.js';
import { GPU, HELD_MAX } from './layout.js';
import { Scratch } from './scratch.js';
import { type JobSurface, Surfaces } from './surfaces.js';
import {
  apply,
  checkingKernels,
  type DispatchStep,
  isYuv,
  originOf,
  type PixelStep,
  targetOf,
  touches,
  type Step,
} from './step.js';
import { decodeSteps } from './step-codec.js';
import { DeviceKernels } from './device-kernels.js';
import { ShaderCores } from './shader-cores.js';
import { checkedMesh, drawTriangles, type TrianglesStep } from './triangles.js';

class GpuDevice {
  readonly #door: DriverDoor;
  readonly #table: ImageTable;
  readonly #surfaces: Surfaces;
  readonly #scratch: Scratch;
  readonly #failures: Failures = new Failures();
  readonly #pool: WebAssembly.Memory | undefined;
  readonly #userKernels: DeviceKernels;
  readonly #times: JobTimes;
  readonly #now: () => number;
  /** What the queryTime commands of the job in hand read, ms. */
  #queries: number[] = [];
  #kernels: Kernels;
  /** Those in TypeScript, on memory that wasm could reach. */
  readonly #plain: Kernels;
  readonly #cores: ShaderCores | undefined;
  /** What shares kernel calls with the shader cores. */
  readonly #shared: Pick<WasmKernelOptions, 'split'>;
  /** The regions of the memory of jobs' images. */
  readonly #regions: WeakMap<ArrayBufferLike, number> = new WeakMap();
  #scratchBytes = 0;
  #freed = 0;

  constructor({ machine, door, spec, restarts }: DeviceEnv) {
    this.#door = door;
    this.#table = new ImageTable(door);
    this.#surfaces = new Surfaces(this.#table);
    this.#scratch = new Scratch(machine);
    this.#pool = door.hasPool ? door.poolMemory() : undefined;
    const scratchBytes = (): number => this.#scratchBytes;
    const regionOf = (memory: ArrayBufferLike): number | undefined => this.#regions.get(memory);
    const cores = ShaderCores.of(machine, door, spec.path, { regionOf, scratchBytes });
    this.#cores = cores;
    this.#shared = cores === undefined ? {} : { split: (call, part) => cores.split(call, part) };
    this.#plain = sharedPlainKernels(this.#shared.split);
    this.#kernels = eitherKernels(this.#pool, this.#shared);
    this.#userKernels = new DeviceKernels(door, this.#pool);
    this.#times = new JobTimes(door);
    this.#now = () => machine.now();
    if (restarts > 0) this.#resume();
  }

  /** Goes on after an earlier life: its scratch is taken up again, the images of its last job are let go. */
  #resume(): void {
    const { words, base } = this.#door;
    for (let i = 0; i < words.get(base + GPU.HELD); i++) this.#letGo(i);
    words.set(base + GPU.HELD, 0);
    const pointer = words.get(base + GPU.SCRATCH_BUFFER);
    if (pointer === 0) return;
    const context = words.get(base + GPU.SCRATCH_CONTEXT);
    try {
      const buffer = this.#door.reopen(pointer, words.get(base + GPU.SCRATCH_INO));
      this.#scratch.keep(context, buffer);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error; // the context has gone, its buffer with it
    }
    this.#useScratch();
  }

  /** Drops a reference of the job in hand, once: who dies in it leaves it taken, never dropped twice. */
  #letGo(i: number): void {
    const { words, base } = this.#door;
    const id = words.get(base + GPU.HELD_IDS + i);
    words.set(base + GPU.HELD_IDS + i, 0);
    this.#unref(id);
  }

  #unref(id: number): void {
    if (id > 0) this.#table.unref(id);
    else if (id < 0) this.#userKernels.unref(-id);
  }

  #hold(ids: readonly number[]): void {
    const { words, base } = this.#door;
    const noted = ids.slice(0, HELD_MAX);
    noted.forEach((id, i) => words.set(base + GPU.HELD_IDS + i, id));
    words.set(base + GPU.HELD, noted.length);
  }

  run(job: Job): void {
    const { words, base } = this.#door;
    this.#queries = [];
    try {
      this.#render(job);
      words.set(base + GPU.JOBS, words.get(base + GPU.JOBS) + 1);
    } catch (error) {
      this.#countFailed();
      if (!(error instanceof DmaBufError)) throw error;
      this.#failures.note(job.context, job.seqno, error.message);
      return this.#times.end(job, error.errno, this.#queries);
    }
    this.#times.end(job, 0, this.#queries);
  }

  failed(job: Job): void {
    this.#countFailed();
    for (const id of referencesOf(job)) this.#unref(id);
    this.#times.end(job, job.blocker, []);
  }

  tick(): number {
    const freed = this.#door.words.load(this.#door.base + GPU.FREED);
    if (freed !== this.#freed) {
      this.#freed = freed;
      this.#surfaces.sweep();
      this.#userKernels.sweep();
    }
    return Infinity;
  }

  ioctl(request: string, args: unknown): unknown {
    if (request === IOCTL.EXPLAIN) {
      const [context, seqno] = integers(request, args, 2);
      return this.#failures.find(context ?? 0, seqno ?? 0) ?? null;
    }
    if (request === IOCTL.SCRATCH || request === IOCTL.DROP_SCRATCH) {
      const [context = 0] = integers(request, [args], 1);
      if (request === IOCTL.SCRATCH) this.#scratch.accept(context);
      else this.#scratch.drop(context);
      this.#useScratch();
      return null;
    }
    if (request === IOCTL.LOAD_KERNEL) {
      this.#userKernels.load(kernelId(args));
      return null;
    }
    const known = Object.values(IOCTL).join(', ');
    throw new DmaBufError('ENOTTY', request, `the GPU knows ${known}`);
  }

  stop(): void {
    this.#scratch.close();
  }

  /** Makes the kernels anew when the scratch has changed. */
  #useScratch(): void {
    const { words, base } = this.#door;
    const { range } = this.#scratch;
    this.#scratchBytes = range?.byteLength ?? 0;
    words.set(base + GPU.SCRATCH, this.#scratchBytes);
    words.set(base + GPU.SCRATCH_INO, range?.ino ?? 0);
    words.set(base + GPU.SCRATCH_CONTEXT, range?.context ?? 0);
    words.store(base + GPU.SCRATCH_BUFFER, range?.pointer ?? 0);
    this.#kernels = eitherKernels(this.#pool, {
      ...this.#shared,
      ...(range !== undefined && { scratch: range }),
    });
  }

  #render(job: Job): void {
    const { images, steps } = decodeSteps(job.payload);
    const held = [...images, ...kernelsOf(steps)];
    this.#hold(held);
    try {
      const surfaces = images.map((id) => this.#surfaces.resolve(id, job));
      for (const { image, buffer } of surfaces) {
        this.#regions.set(image.memory, buffer.record.region);
      }
      const meshes = this.#checkAll(steps, surfaces);
      for (const step of steps) {
        if (step.op === 'dispatch') this.#dispatch(step, surfaces);
        else if (step.op === 'queryTime') this.#queries.push(this.#now());
        else if (step.op === 'triangles') this.#draw(step, surfaces, meshes.get(step));
        else this.#do(job, step, writable(surfaces, step.op, step.dst), surfaces[step.src]);
      }
      describeTargets(steps, surfaces);
    } finally {
      held.forEach((id, i) => (i < HELD_MAX ? this.#letGo(i) : this.#unref(id)));
      this.#door.words.set(this.#door.base + GPU.HELD, 0);
    }
  }

  /**
   * Finds what submit could not know: what frames turn out to be, and which triangles there are. Nothing has been
   * touched then. Returns the meshes: what is drawn is what was checked.
   */
  #checkAll(steps: readonly Step[], surfaces: readonly JobSurface[]): ReadonlyMap<Step, Mesh> {
    const meshes = new Map<Step, Mesh>();
    const frames = surfaces.some(({ frame }) => frame);
    for (const step of steps) {
      if (step.op === 'dispatch') this.#userKernels.check(step, usedBy(step, surfaces));
      else if (step.op === 'triangles') {
        writable(surfaces, step.op, step.dst);
        const mesh = checkedMesh(step, surfaces);
        if (frames) drawTriangles(checkingKernels, step, surfaces, mesh);
        meshes.set(step, mesh);
      } else if (frames && step.op !== 'queryTime') {
        const dst = writable(surfaces, step.op, step.dst);
        apply(checkingKernels, step, dst, surfaces[step.src]);
      }
    }
    return meshes;
  }

  #dispatch(step: DispatchStep, surfaces: readonly JobSurface[]): void {
    const { words, base } = this.#door;
    const used = usedBy(step, surfaces);
    const run = this.#userKernels.prepare(step, used);
    if (this.#cores === undefined) run({ x: 0, y: 0, ...step.grid });
    else this.#cores.dispatch(step, used, run);
    const counter = base + (this.#userKernels.isWasm(step.kernel) ? GPU.WASM : GPU.PLAIN);
    words.set(counter, words.get(counter) + 1);
    this.#countPixels(step.grid.width * step.grid.height);
  }

  #draw(step: TrianglesStep, surfaces: readonly JobSurface[], mesh: Mesh | undefined): void {
    if (mesh === undefined) return;
    const { words, base } = this.#door;
    const dst = writable(surfaces, step.op, step.dst);
    const texture = surfaces[step.texture];
    const wasm = this.#inPool(dst.image) && (texture === undefined || this.#inPool(texture.image));
    this.#countPixels(drawTriangles(this.#kernels, step, surfaces, mesh));
    const counter = base + (wasm ? GPU.WASM : GPU.PLAIN);
    words.set(counter, words.get(counter) + 1);
  }

  #do(job: Job, step: PixelStep, dst: JobSurface, src: JobSurface | undefined): void {
    const { words, base } = this.#door;
    const wasm = this.#inPool(dst.image) && (src === undefined || this.#inPool(src.image));
    const enough = !wasm || this.#scratchBytes >= scratchFor(step, dst, src);
    apply(enough ? this.#kernels : this.#plain, step, dst, src);
    const counter = base + (wasm && enough ? GPU.WASM : GPU.PLAIN);
    words.set(counter, words.get(counter) + 1);
    if (!enough) words.set(base + GPU.NO_SCRATCH, words.get(base + GPU.NO_SCRATCH) + 1);
    const { width, height } = targetOf(step, dst);
    this.#countPixels(width * height);
    if (step.op === 'copy') this.#countCopied(job, step, dst);
  }

  #countCopied(job: Job, step: PixelStep, dst: JobSurface): void {
    const { words, base } = this.#door;
    const format = formatInfo(dst.image.fourcc);
    if (format === undefined) return;
    const planes = blocks(dst.image, format, targetOf(step, dst));
    const bytes = planes.reduce((sum, { rowBytes, rows }) => sum + rowBytes * rows, 0);
    words.setDouble(base + GPU.COPIED, words.getDouble(base + GPU.COPIED) + bytes);
    job.countCopied(bytes);
  }

  #countPixels(pixels: number): void {
    const { words, base } = this.#door;
    words.setDouble(base + GPU.PIXELS, words.getDouble(base + GPU.PIXELS) + pixels);
  }

  #countFailed(): void {
    const { words, base } = this.#door;
    words.set(base + GPU.FAILED, words.get(base + GPU.FAILED) + 1);
  }

  #inPool(image: Image): boolean {
    return this.#pool !== undefined && image.memory === this.#pool.buffer;
  }
}

/** Kernels of a job, once for each dispatch, negative: so they are told from images where both are noted. */
function kernelsOf(steps: readonly Step[]): readonly number[] {
  return steps.flatMap((step) => (step.op === 'dispatch' ? [-step.kernel] : []));
}

/** What a job that is not run has references of; nothing when its payload makes no sense. */
function referencesOf(job: Job): readonly number[] {
  try {
    const { images, steps } = decodeSteps(job.payload);
    return [...images, ...kernelsOf(steps)];
  } catch {
    return [];
  }
}

/** An image that a step writes. EPERM when the job claims its buffer shared. */
function writable(surfaces: readonly JobSurface[], op: string, index: number): JobSurface {
  const dst = surfaces[index];
  if (dst?.buffer.exclusive === true && !dst.frame) return dst;
  const detail = `command '${op}' writes a buffer that the job claims only to read`;
  throw new DmaBufError('EPERM', 'gpu_job', detail);
}

/** The surfaces of a dispatch. EPERM as of {@link writable}. */
function usedBy({ op, uses }: DispatchStep, surfaces: readonly JobSurface[]): JobSurface[] {
  return uses.flatMap(({ image, access }) => {
    if (access !== 'read') return [writable(surfaces, op, image)];
    return surfaces.slice(image, image + 1);
  });
}

/** Bytes of scratch that a step needs to run in wasm. */
function scratchFor(step: PixelStep, dst: JobSurface, src: JobSurface | undefined): number {
  if (step.op !== 'blit' || src === undefined) return 0;
  const to = targetOf(step, dst);
  const from = originOf(step, src);
  if (to.width === from.width && to.height === from.height) return 0;
  const bilinear = step.filter === 'bilinear';
  const packed = !RGB32.includes(src.image.fourcc);
  return scaleScratchBytes(from.width, to.width, bilinear, packed) + SCRATCH_SLACK;
}

/**
 * Says in the metadata of each written buffer what is in it now. Time and sequence are those of the
 * first picture that was drawn into it; without one they stay, or go when all was overwritten.
 */
function describeTargets(steps: readonly Step[], surfaces: readonly JobSurface[]): void {
  const touched = steps.map((step) => ({ step, touches: touches(step, surfaces) }));
  for (const [index, dst] of surfaces.entries()) {
    const writes = touched.filter((t) => t.touches.some((u) => u.writes && u.image === index));
    if (writes.length === 0) continue;
    const source = writes.map((t) => drawnFrom(t.step, surfaces)).find((s) => s !== undefined);
    const whole = writes.some((t) => t.touches.some((u) => u.whole && u.image === index));
    const erased = source === undefined && whole;
    const { sequence, timestamp } = (source ?? dst).buffer.metadata;
    const { fourcc, width, height, planes } = dst.image;
    const yuv = isYuv(dst.image);
    dst.buffer.metadata = {
      fourcc,
      width,
      height,
      crop: { left: 0, top: 0, width, height },
      pitches: planes.map(({ pitch }) => pitch),
      offsets: planes.map(({ offset }) => offset),
      range: yuv ? dst.color.range : 'full',
      matrix: dst.color.encoding,
      sequence: erased ? 0 : sequence,
      timestamp: erased ? 0 : timestamp,
    };
  }
}

/** The picture that a step draws, as against what it blends over it or paints. */
function drawnFrom(step: Step, surfaces: readonly JobSurface[]): JobSurface | undefined {
  if (step.op === 'blit' || step.op === 'copy') return surfaces[step.src];
  if (step.op === 'triangles') return step.blend === 'replace' ? surfaces[step.texture] : undefined;
  if (step.op !== 'dispatch') return undefined;
  return surfaces[step.uses.find(({ access }) => access === 'read')?.image ?? -1];
}

export const createDevice: DeviceFactory = (env) => {
  const device = new GpuDevice(env);
  return {
    run: (job) => device.run(job),
    failed: (job) => device.failed(job),
    tick: () => device.tick(),
    ioctl: (request, args) => device.ioctl(request, args),
    stop: () => device.stop(),
  };
};
