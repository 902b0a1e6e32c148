/**
 * @dmabuf/importer-gpu: a GPU as a worker actor. It converts, scales and blends frames in dma-bufs
 * with wasm SIMD kernels, in place.
 *
 * `boot({ drivers: [gpu()] })`, then `GpuContext.create(machine)`.
 */
export { gpu, type GpuOptions } from './spec.js';
export { GpuContext } from './context.js';
export type { GpuContextOptions, GpuHandle, GpuSubmitOptions } from './context-options.js';
export {
  DRM_FORMAT_MOD_LINEAR,
  type GpuImage,
  type FrameRequest,
  type ImageRequest,
} from './image.js';
export {
  blend,
  blit,
  clear,
  copy,
  dispatch,
  fill,
  fit,
  queryTime,
  triangles,
  type BlendCommand,
  type BlitCommand,
  type ClearCommand,
  type Command,
  type CopyCommand,
  type DispatchCommand,
  type FillCommand,
  type QueryTimeCommand,
  type Size,
  type TrianglesCommand,
} from './command.js';
export { PixelBuffer, type MapOptions, type TransferOptions } from './pixel-buffer.js';
export type { ReadPixelsOptions, TexSubImageOptions } from './pixel-access.js';
export {
  type GpuKernel,
  type KernelAccess,
  type KernelCall,
  type KernelFunction,
  type KernelImage,
  type KernelImageUse,
  type KernelPlane,
  type KernelRequest,
} from './user-kernel.js';
export type { KernelKind } from './kernel-table.js';
export { DRM_CLOEXEC, DRM_RDWR, DrmFile } from './drm-file.js';
export type { GpuStats } from './stats.js';
export type { GpuTimings } from './job-times.js';
export type { BlendMode, Rect, TriangleBlend } from './kernels/kernels.js';
export { packVertices, VERTEX_WORDS, type Vertex } from './kernels/vertex.js';
export type { IndexRequest, VertexRequest } from './triangles.js';
export type { ColorEncoding, ColorRange, ColorSpec } from './kernels/color.js';
export { scratchBytes } from './scratch-size.js';
export {
  DRM_FORMATS,
  DRM_FORMAT_ARGB8888,
  DRM_FORMAT_NV12,
  DRM_FORMAT_NV21,
  DRM_FORMAT_P010,
  DRM_FORMAT_RGB565,
  DRM_FORMAT_XRGB8888,
  DRM_FORMAT_YUV420,
  DRM_FORMAT_YUYV,
  formatInfo,
  formatName,
  packedLayout,
  type FormatInfo,
  type FourCC,
  type PlaneInfo,
  type PlaneLayout,
} from './fourcc.js';
