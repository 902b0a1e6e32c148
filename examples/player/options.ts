/**
 * The player's command line (`node:util` parseArgs), checked: what leaves here is in range, and all
 * paths are absolute. Relative ones count from where npm was called (INIT_CWD), since `npm start`
 * itself runs in the repository's root.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseMode } from '@dmabuf/importer-kms';
import { BadInput, reasonOf } from './bad-input.js';

/** What to play, and how. Plain data. */
export interface PlayerOptions {
  /** Absolute path of the clip. */
  readonly input: string;
  /** Display mode as `WxH@HZ`. */
  readonly mode: string;
  /** Play only so many frames; undefined: all. */
  readonly frames: number | undefined;
  /** Frames queued ahead; undefined: as many as the job table takes. */
  readonly depth: number | undefined;
  readonly speed: 'realtime' | 'max';
  /** Absolute path of a `.png` or `.y4m` file. */
  readonly out: string | undefined;
  readonly view: 'term' | undefined;
  /** Absolute path of a Perfetto trace. */
  readonly trace: string | undefined;
  readonly blockMain: boolean;
  readonly relay: boolean;
  /** Undefined: the clip's name. Empty: none. */
  readonly subtitle: string | undefined;
  /** Devices whose worker is terminated, and when: ms after the first flip. */
  readonly kills: readonly Kill[];
}

/** A death that was asked for. */
export interface Kill {
  readonly device: 'codec' | 'gpu' | 'display';
  readonly at: number;
}

export const HELP = `Plays a video clip through four worker actors: codec, GPU, display, and the broker.

  npm start                          plays examples/media/dog-h264.mp4 in real time
  npm start -- --view term           shows it in the terminal
  npm start -- --speed max --out x.y4m --subtitle ''

  --input FILE       MP4, MOV, MKV, WebM, AVI, IVF, …: H.264 (Constrained) Baseline, VP8, VP9
                     profile 0, Motion JPEG; Y4M (4:2:0)
  --mode WxH@HZ      display mode (1280x720@60); the picture is fitted into it, its aspect kept
  --frames N         play the first N frames only
  --depth N          frames queued ahead (default: the whole clip, or what the job table takes)
  --speed SPEED      realtime: by the frames' timestamps, at vblanks (default)
                     max: each frame as soon as it is rendered, none dropped
  --out FILE         what was on screen: FILE.y4m every frame (4:4:4, BT.709), FILE.png the last
                     one, FILE-%04d.png each in a file of its own
  --view term        shows the display in the terminal, as half blocks
  --trace FILE       a trace of every job, for ui.perfetto.dev
  --subtitle TEXT    text blended over the picture (default: the clip's name; '' for none)
  --kill DEVICE@Ns   terminates the worker of codec, gpu or display N seconds after the first flip; it
                     comes back and the clip plays on (repeatable: --kill gpu@1s --kill codec@2.5s)
  --block-main       the main thread sits in a blocking wait for the whole run
  --relay            for comparison: every hand-off goes through the main thread
  --help             this text

Exit codes: 0 played, 1 the machine failed, 2 bad input, 130 interrupted.
`;

const DEFAULT_INPUT = fileURLToPath(new URL('../../media/dog-h264.mp4', import.meta.url));
const DEFAULT_MODE = '1280x720@60';

const FLAGS = {
  input: { type: 'string' },
  mode: { type: 'string', default: DEFAULT_MODE },
  frames: { type: 'string' },
  depth: { type: 'string' },
  speed: { type: 'string', default: 'realtime' },
  out: { type: 'string' },
  view: { type: 'string' },
  trace: { type: 'string' },
  'block-main': { type: 'boolean', default: false },
  relay: { type: 'boolean', default: false },
  subtitle: { type: 'string' },
  kill: { type: 'string', multiple: true },
  help: { type: 'boolean', default: false },
} as const;

/**
 * Reads the command line; `'help'` when that is asked for. Throws BadInput, which says what is wrong
 * and what is accepted. `cwd` is what relative paths count from.
 */
export function parseOptions(args: readonly string[], cwd: string): PlayerOptions | 'help' {
  const values = parseFlags(args);
  if (values.help) return 'help';
  const { blockMain, relay } = { blockMain: values['block-main'], relay: values.relay };
  if (blockMain && relay) {
    throw new BadInput(
      '--block-main and --relay exclude each other: a relay needs the main thread',
    );
  }
  const path = (file: string | undefined): string | undefined =>
    file === undefined ? undefined : resolve(cwd, file);
  return {
    input: path(values.input) ?? DEFAULT_INPUT,
    mode: checkMode(values.mode),
    frames: count('--frames', values.frames),
    depth: count('--depth', values.depth),
    speed: oneOf('--speed', values.speed, ['realtime', 'max'] as const),
    out: path(checkOut(values.out)),
    view: values.view === undefined ? undefined : oneOf('--view', values.view, ['term'] as const),
    trace: path(nonEmpty('--trace', values.trace)),
    blockMain,
    relay,
    subtitle: values.subtitle,
    kills: (values.kill ?? []).map(parseKill),
  };
}

type Values = ReturnType<typeof parseArgs<{ options: typeof FLAGS; strict: true }>>['values'];

function parseFlags(args: readonly string[]): Values {
  try {
    const { values } = parseArgs({ args: [...args], options: FLAGS, allowPositionals: false });
    return values;
  } catch (error) {
    const what = reasonOf(error).replace(/\. To specify a positional.*$/, '');
    throw new BadInput(`${what.replace(/\.$/, '')}; --help lists the flags`);
  }
}

function nonEmpty(flag: string, text: string | undefined): string | undefined {
  if (text === '') throw new BadInput(`${flag} needs a file name, not an empty one`);
  return text;
}

function count(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= 1_000_000) return value;
  throw new BadInput(`${flag} must be a whole number from 1 to 1000000, not '${text}'`);
}

function oneOf<T extends string>(flag: string, text: string, accepted: readonly T[]): T {
  const found = accepted.find((word) => word === text);
  if (found !== undefined) return found;
  throw new BadInput(`${flag} must be ${accepted.join(' or ')}, not '${text}'`);
}

/** `gpu@2s`, `codec@500ms`, `display@1.5`. */
function parseKill(text: string): Kill {
  const match = /^(codec|gpu|display)@(\d+(?:\.\d+)?)(ms|s)?$/.exec(text);
  const [, device, number, unit = 's'] = match ?? [];
  if (device === 'codec' || device === 'gpu' || device === 'display') {
    return { device, at: Number(number) * (unit === 'ms' ? 1 : 1000) };
  }
  throw new BadInput(
    `--kill must be codec, gpu or display, @ and a time, as in gpu@2s, not '${text}'`,
  );
}

function checkMode(text: string): string {
  try {
    return parseMode(text).name;
  } catch (error) {
    throw new BadInput(`--mode: ${reasonOf(error)}`);
  }
}

function checkOut(file: string | undefined): string | undefined {
  if (file === undefined || /\.(y4m|png)$/i.test(file)) return file;
  throw new BadInput(
    `--out must end in .y4m (every frame) or .png (the last one; with %04d in its name each), not '${file}'`,
  );
}
