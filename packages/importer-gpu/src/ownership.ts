/** Whether what an application names is an open handle of this GPU's. */
import { DmaBufError } from '@dmabuf/core';
import { GpuImage } from './image.js';
import { GpuKernel } from './user-kernel.js';

/** TypeError: no image; ENOENT: closed; EINVAL: another GPU's. */
export function ownImage(call: string, image: GpuImage, actor: number): void {
  if (!(image instanceof GpuImage)) {
    throw new TypeError(`${call}: images are what importImage, importFrame or imageById gave`);
  }
  if (!image.isOpen) throw new DmaBufError('ENOENT', call, `image ${image.id} is closed`);
  if (image.actor === actor) return;
  const detail = `image ${image.id} was imported into another GPU (actor ${image.actor})`;
  throw new DmaBufError('EINVAL', call, detail);
}

/** TypeError: no kernel; ENOENT: closed; EINVAL: another GPU's. */
export function ownKernel(call: string, kernel: GpuKernel, actor: number): void {
  if (!(kernel instanceof GpuKernel)) {
    throw new TypeError(`${call}: a kernel is what loadKernel or kernelById gave`);
  }
  if (!kernel.isOpen) throw new DmaBufError('ENOENT', call, `kernel ${kernel.id} is closed`);
  if (kernel.actor === actor) return;
  const detail = `kernel ${kernel.id} was loaded by another GPU (actor ${kernel.actor})`;
  throw new DmaBufError('EINVAL', call, detail);
}
