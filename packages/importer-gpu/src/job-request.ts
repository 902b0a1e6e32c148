/**
 * JobRequest: what a list of commands comes to, before anything is queued: steps that were checked, the images and kernels
 * that they name, the buffers with their claims. Making one changes nothing.
 */
import { type BufferUse, DmaBufError } from '@dmabuf/core';
import { checkMeshes, type ClaimImage, deriveClaims } from './claims.js';
import type { Command } from './command.js';
import { checkDispatch } from './dispatch.js';
import type { GpuImage } from './image.js';
import type { ImageTable } from './image-table.js';
import type { KernelTable } from './kernel-table.js';
import { QUERIES_MAX } from './layout.js';
import { ownImage, ownKernel } from './ownership.js';
import type { RecordTable } from './record-table.js';
import { apply, checkingKernels, type Step, toStep } from './step.js';
import { encodeSteps } from './step-codec.js';
import { checkTriangles } from './triangles.js';

/** The GPU that a request is for. */
export interface RequestedGpu {
  /** Actor id of the device. */
  readonly actor: number;
  readonly images: ImageTable;
  readonly kernels: KernelTable;
}

export class JobRequest {
  readonly #gpu: RequestedGpu;
  readonly #images: GpuImage[] = [];
  readonly #steps: readonly Step[];
  readonly #keyed: readonly ClaimImage[];

  /** Errors: those of `GpuContext.submit` that are about commands. */
  constructor(gpu: RequestedGpu, commands: readonly Command[]) {
    this.#gpu = gpu;
    const indexOf = (image: GpuImage): number => this.#indexOf(image);
    this.#steps = commands.map((command, i) =>
      explained(i, command.op, () => {
        if (command.op === 'dispatch') ownKernel('submit', command.kernel, gpu.actor);
        return toStep(command, indexOf);
      }),
    );
    this.#steps.forEach((step, i) => explained(i, step.op, () => this.#dryRun(step)));
    checkQueries(this.#steps);
    this.#keyed = this.#images.map(({ buffer, width, height }) => ({
      key: buffer.record.pointer,
      width,
      height,
    }));
    checkMeshes(this.#steps, this.#keyed);
  }

  /** What the device decodes. */
  get payload(): number[] {
    return encodeSteps(this.#ids, this.#steps);
  }

  /** The buffers of the job, each once, with their claims. */
  get buffers(): BufferUse[] {
    const uses: BufferUse[] = [];
    for (const [key, access] of deriveClaims(this.#steps, this.#keyed)) {
      const image = this.#images.find(({ buffer }) => buffer.record.pointer === key);
      if (image !== undefined) uses.push({ buffer: image.buffer, access });
    }
    return uses;
  }

  /**
   * Queues the job by `submit`, with a reference of each image and kernel for it, which the device drops; they are given
   * back if it throws. ENOENT: somebody closed one meanwhile.
   */
  queued<T>(submit: () => T): T {
    const { images, kernels } = this.#gpu;
    const taken: (() => void)[] = [];
    try {
      for (const id of this.#ids) taken.push(referenced(images, id));
      for (const step of this.#steps) {
        if (step.op === 'dispatch') taken.push(referenced(kernels, step.kernel));
      }
      return submit();
    } catch (error) {
      for (const giveBack of taken) giveBack();
      throw error;
    }
  }

  get #ids(): number[] {
    return this.#images.map(({ id }) => id);
  }

  #indexOf(image: GpuImage): number {
    ownImage('submit', image, this.#gpu.actor);
    const known = this.#images.findIndex(({ id }) => id === image.id);
    return known >= 0 ? known : this.#images.push(image) - 1;
  }

  /** Runs all checks of a step, with kernels that do nothing else. */
  #dryRun(step: Step): void {
    if (step.op === 'queryTime') return;
    if (step.op === 'dispatch') return checkDispatch(step, this.#images, this.#gpu.kernels);
    const surfaces = this.#images.map(({ surface }) => surface);
    if (step.op === 'triangles') return checkTriangles(checkingKernels, step, surfaces);
    const dst = surfaces[step.dst];
    if (dst !== undefined) apply(checkingKernels, step, dst, surfaces[step.src]);
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
