/** The reporter's worker: see reporter.ts. */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { DmaBufError, join } from '@dmabuf/core';
import { GpuContext } from '@dmabuf/importer-gpu';
import { Display } from '@dmabuf/importer-kms';
import { VideoDevice } from '@dmabuf/importer-v4l2';
import { readProgress } from './counters.js';
import { Killer } from './killer.js';
import { REPORTER_IOCTL, type ReporterTask } from './reporter.js';
import { statusLine } from './summary.js';

/** ms between two status lines. */
const PERIOD = { inPlace: 100, lines: 1000 } as const;
/** The rate is that of the last second, about. */
const RATE_WINDOW_MS = 1000;

const task = workerData as ReporterTask;
const { frames } = task;
const { inPlace, row } = task.style;
/** In a row of its own, with the view's cursor and colours kept (DECSC, DECRC). */
const [before, after] = row === undefined ? ['\r', ''] : [`\x1b7\x1b[${row};1H\x1b[0m`, '\x1b8'];
const machine = await join(task.token);
const counted = {
  video: VideoDevice.fromHandle(machine, task.video),
  gpu: GpuContext.fromHandle(machine, task.gpu),
  display: Display.fromHandle(machine, task.display),
};
const killer = new Killer(machine, counted, task.kills);
const recent: { readonly time: number; readonly shown: number }[] = [];
const period = inPlace ? PERIOD.inPlace : PERIOD.lines;
let next = machine.now() + period;
let last = '';

function line(now: number): string {
  const progress = readProgress(counted);
  const { shown } = progress;
  const { firstFlip } = counted.display.stats();
  if (recent.length === 0 && firstFlip !== undefined) recent.push({ time: firstFlip, shown: 1 });
  recent.push({ time: now, shown });
  while ((recent[1]?.time ?? now) < now - RATE_WINDOW_MS) recent.shift();
  const [oldest] = recent;
  const passed = oldest === undefined ? 0 : now - oldest.time;
  const fps = passed > 0 ? ((shown - (oldest?.shown ?? 0)) * 1000) / passed : 0;
  return statusLine(progress, frames, fps, counted.display.pending);
}

function print(now: number, end: string): void {
  const text = line(now);
  if (text === last && end === '') return;
  last = text;
  try {
    writeSync(1, inPlace ? `${before}${text}\x1b[K${after}${end}` : `${text}\n`);
  } catch {
    // Nobody reads, or not for the moment: a status line is not worth an error.
  }
}

/** A line of its own between status lines. */
function say(text: string): void {
  try {
    writeSync(1, inPlace ? `${before}${text}\x1b[K${after}\n` : `${text}\n`);
  } catch {
    // Nobody reads.
  }
}

machine.serve({
  run() {
    throw new DmaBufError('EINVAL', 'run', 'the reporter takes no jobs');
  },
  tick(now) {
    const { next: kill, died } = killer.tick(now);
    for (const device of died) say(`${device} dies`);
    if (now >= next) {
      print(now, '');
      next = now + period;
    }
    return Math.min(next, kill);
  },
  ioctl(request) {
    if (request !== REPORTER_IOCTL.FINISH) {
      throw new DmaBufError('ENOTTY', request, 'the reporter knows finish');
    }
    if (inPlace) print(machine.now(), '\n');
    next = Infinity;
    return null;
  },
});
await machine.leave();
