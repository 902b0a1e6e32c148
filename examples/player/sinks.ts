/**
 * Where what was on screen goes: a file (`--out`), the terminal (`--view term`). Both are sinks of the
 * display's writeback, in its worker.
 */
import { type Display, OutputError, termColour, type WritebackSink } from '@dmabuf/importer-kms';
import { BadInput, reasonOf } from './bad-input.js';
import type { Clip } from './clip.js';
import type { PlayerOptions } from './options.js';

/** The terminal as a view, and the row below it for the status line. */
export interface View {
  readonly sink: WritebackSink;
  readonly statusRow: number;
}

/** Opens the recording. BadInput when it cannot be written. Blocks for an ioctl. */
export function openRecording(
  display: Display,
  options: PlayerOptions,
  clip: Clip,
): WritebackSink | undefined {
  if (options.out === undefined) return undefined;
  try {
    return display.openSink({ file: options.out, rate: clip.rate });
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    throw new BadInput(`--out: ${reasonOf(error)}`);
  }
}

/** Opens the view; undefined, with a note, where there is no terminal. */
export function openView(display: Display, options: PlayerOptions): View | undefined {
  if (options.view === undefined) return undefined;
  const { stdout, stderr, env } = process;
  if (!stdout.isTTY) {
    stderr.write('video-player: stdout is no terminal, so --view term shows nothing\n');
    return undefined;
  }
  const rows = Math.max(1, stdout.rows - 2);
  const view = { columns: stdout.columns, rows, colour: termColour(env), isTTY: true };
  return { sink: display.openSink({ view }), statusRow: rows + 1 };
}
