/**
 * The counters of a run, read live from kernel memory by any thread: no device is asked, nobody is
 * woken.
 */
import type { Display } from '@dmabuf/importer-kms';
import type { GpuContext } from '@dmabuf/importer-gpu';
import type { VideoDevice } from '@dmabuf/importer-v4l2';
import type { Progress } from './summary.js';

/** Where the counters are. */
export interface Counted {
  readonly video: VideoDevice;
  readonly gpu: GpuContext;
  readonly display: Display;
}

/** What has been done so far. */
export function readProgress({ video, gpu, display }: Counted): Progress {
  const { decoded, errors } = video.stats();
  const { shown, dropped, failed, cancelled } = display.stats();
  return {
    decoded,
    damaged: errors,
    rendered: gpu.stats().jobs,
    shown,
    dropped,
    failed: failed + cancelled,
  };
}
