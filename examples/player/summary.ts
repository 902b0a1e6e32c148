/**
 * What is printed of a run: the status line while it lasts, the summary at its end. Pure text.
 */
import type { Needed } from './witness.js';

/** What the devices have counted so far. */
export interface Progress {
  readonly decoded: number;
  readonly damaged: number;
  readonly rendered: number;
  readonly shown: number;
  readonly dropped: number;
  readonly failed: number;
}

/** Everything that a summary tells. Times in ms. */
export interface Outcome extends Progress {
  readonly name: string;
  readonly codec: string;
  readonly size: string;
  readonly mode: string;
  readonly speed: 'realtime' | 'max';
  /** Frames that were to be played. */
  readonly frames: number;
  readonly interrupted: boolean;
  readonly missedVblanks: number;
  /** How long after its vblank a flip was carried out. */
  readonly lateness: { readonly p50: number; readonly p99: number } | undefined;
  readonly firstFlip: number;
  readonly lastFlip: number;
  /** Bytes that the codec copied out of the decoder's own pictures, one copy a frame. */
  readonly bytesFromDecoder: number;
  /** Bytes copied by the GPU and the display: from CAPTURE to the screen. */
  readonly bytesBetween: number;
  readonly needed: Needed;
  readonly relay: boolean;
  readonly depth: number;
  /** The recording, if there was one. */
  readonly recording:
    | { readonly file: string; readonly taken: number; readonly missed: number }
    | undefined;
}

/** One status line, without a line end. */
export function statusLine(
  progress: Progress,
  frames: number,
  fps: number,
  queued: number,
): string {
  const { shown, dropped, damaged } = progress;
  const done = Math.min(frames, shown + dropped + progress.failed);
  const parts = [
    `frame ${String(done).padStart(String(frames).length)}/${frames}`,
    `${fps.toFixed(1)} fps`,
    `queued ${queued}`,
  ];
  if (dropped > 0) parts.push(`dropped ${dropped}`);
  if (damaged > 0) parts.push(`damaged ${damaged}`);
  return parts.join('  ');
}

/** The summary, with line ends; no line is wider than a terminal of 80 columns, but for names. */
export function summaryText(run: Outcome): string {
  const { times, wakeups, turns } = run.needed;
  const how = `on ${run.mode}, ${run.speed}${run.relay ? ', relayed' : ''}`;
  const copies = run.decoded > 0 ? Math.round(run.bytesFromDecoder / run.decoded) : 0;
  const lines = [
    `${run.interrupted ? 'interrupted' : 'played'} ${run.name} (${run.codec}, ${run.size}) ${how}`,
    `frames: decoded ${run.decoded}, rendered ${run.rendered}, shown ${run.shown}, ` +
      `dropped ${run.dropped}, damaged ${run.damaged} of ${run.frames}`,
    `queued ahead: up to ${run.depth} frames`,
    timeLine(run),
    `vblanks missed: ${run.missedVblanks}; ${latenessText(run)}`,
    `bytes copied between stages: ${run.bytesBetween}`,
    `  (before them, decoder to CAPTURE: one copy per frame, ${copies} bytes each)`,
    `main thread needed between the first and the last flip: ${times} times`,
    `  (${wakeups} kernel wake-ups, ${turns} event-loop turns)`,
  ];
  if (run.recording !== undefined) {
    const { file, taken, missed } = run.recording;
    const which = isLastOnly(file) ? `the last of ${taken} frames` : `${taken} frames`;
    lines.push(`recorded: ${which} in ${file}, ${missed} not recorded`);
  }
  return `${lines.join('\n')}\n`;
}

function timeLine({ firstFlip, lastFlip, shown }: Outcome): string {
  const seconds = Math.max(0, lastFlip - firstFlip) / 1000;
  const rate = seconds > 0 ? `, ${((shown - 1) / seconds).toFixed(1)} fps` : '';
  return `first flip to last: ${seconds.toFixed(3)} s${rate}`;
}

function latenessText({ lateness }: Outcome): string {
  if (lateness === undefined) return 'at this speed there are none';
  return `flip lateness p50 ${lateness.p50.toFixed(2)} ms, p99 ${lateness.p99.toFixed(2)} ms`;
}

/** A `.png` without a number in its name holds the last frame. */
function isLastOnly(file: string): boolean {
  return /\.png$/i.test(file) && !/%(0\d{1,2})?d/.test(file);
}
