/** The real pipeline, as `npm start` runs it, beside the bare decoder: design section 5. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Member } from '../harness/crew.js';
import { MessageRelay } from '../harness/message-relay.js';
import {
  find,
  interleave,
  roundsFor,
  rowsOf,
  type Sample,
  type Variant,
} from '../harness/rounds.js';
import {
  judged,
  type Mark,
  type Row,
  type RunOptions,
  skippedRow,
  type Table,
  type TableResult,
} from '../harness/table.js';

const UNIT = 'frames/s';
const BARE = 'bare decoder, pictures left where they are';
const POSTED = 'by postMessage, buffers transferred';
const WHOLE = '720p, whole clip queued';
const PLAYER = fileURLToPath(new URL('../../../examples/dist/video-player.js', import.meta.url));
const CLIP = fileURLToPath(new URL('../../../examples/media/dog-h264.mp4', import.meta.url));
const FRAMES = 80;
const DEPTHS = ['1', '4'] as const;

export const pipeline: Table = {
  name: 'pipeline',
  title: 'Decode → convert → flip, H.264 baseline at 720p, as fast as possible',
  method: [
    `The player of examples/ on its sample clip, ${FRAMES} frames, --speed max, no subtitle: one process a run, from its first flip to its last, as its own summary says. Decoding, conversion and flipping each have a worker.`,
    'Bare decoder: the same packets through the same codec in one worker alone, in the process of the bench.',
    'By postMessage: the same codec and the same kernel in three bare workers, each hand-off relayed by the main thread, four frames under way. Pictures are copied out of the decoder, into and out of the memory of the kernel; "transferred" gives the buffers away, "cloned" has them copied.',
    '--depth says how many frames are under way at most; --relay sends every hand-off through the main thread, as pipelines of postMessage do (same buffers, nothing copied). 1080p, 1440p: the display mode, so that the GPU scales and has about as much to do as the decoder: only where the stages are balanced can a depth of 4 gain much over a depth of 1; recorded: each frame is also written to a Y4M.',
  ],
  run,
};

async function run(options: RunOptions): Promise<TableResult> {
  if (!existsSync(PLAYER)) {
    const row = skippedRow('the player', UNIT, 'examples/ is not built; run npm run build');
    return { rows: [row], marks: [] };
  }
  const url = new URL('../workers/decoder.js', import.meta.url);
  const decoder = await new Member(url, 'decoder', {}).started();
  const relays = [
    await MessageRelay.make(CLIP, true),
    await MessageRelay.make(CLIP, false),
  ] as const;
  const folder = mkdtempSync(join(tmpdir(), 'dmabuf-bench-'));
  try {
    const variants = [
      ...bareVariants(decoder),
      ...messageVariants(...relays),
      ...playerVariants(join(folder, 'out.y4m')),
    ];
    const rows = rowsOf(variants, await interleave(variants, roundsFor(options, 4), 0, 45_000));
    return { rows, marks: marksOf(rows) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    for (const relay of relays) await relay.end();
    await decoder.end();
  }
}

function bareVariants(decoder: Member): Variant[] {
  const bare = async (copy: boolean): Promise<Sample> => {
    const answer = decoder.next();
    decoder.post({ path: CLIP, frames: FRAMES, copy });
    return { value: Number(await answer) };
  };
  return [
    { label: BARE, unit: UNIT, run: () => bare(false) },
    {
      label: 'bare decoder, each picture copied out',
      unit: UNIT,
      against: BARE,
      run: () => bare(true),
    },
  ];
}

function messageVariants(transferred: MessageRelay, cloned: MessageRelay): Variant[] {
  return [
    { label: POSTED, unit: UNIT, against: BARE, run: () => transferred.run(FRAMES) },
    {
      label: 'by postMessage, buffers cloned',
      unit: UNIT,
      against: BARE,
      run: () => cloned.run(FRAMES),
    },
  ];
}

function playerVariants(out: string): Variant[] {
  const variants: Variant[] = [];
  const shapes = [
    ['720p', []],
    ['1080p', ['--mode', '1920x1080@60']],
    ['1440p', ['--mode', '2560x1440@60']],
    ['720p recorded', ['--out', out]],
  ] as const;
  for (const [name, flags] of shapes) {
    const first = `${name}, depth 1`;
    for (const depth of DEPTHS) {
      const label = `${name}, depth ${depth}`;
      const against = depth === '1' ? BARE : first;
      variants.push({ label, unit: UNIT, against, run: () => play([...flags, '--depth', depth]) });
    }
    if (name !== '720p') continue;
    variants.push({ label: WHOLE, unit: UNIT, against: BARE, run: () => play(flags) });
  }
  variants.push({
    label: '720p relayed by the main thread, depth 3',
    unit: UNIT,
    against: WHOLE,
    run: () => play(['--relay', '--depth', '3']),
  });
  return variants;
}

/** Runs the player; frames a second from its summary. */
async function play(flags: readonly string[]): Promise<Sample> {
  const common = ['--speed', 'max', '--subtitle', '', '--frames', String(FRAMES)];
  const child = spawn(process.execPath, [PLAYER, ...common, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  const found = /first flip to last.*?([\d.]+) fps/.exec(text);
  if (found === null)
    throw new Error(`bench: the player ${flags.join(' ')} gave no rate:\n${text}`);
  return { value: Number(found[1]) };
}

function marksOf(rows: readonly Row[]): Mark[] {
  const whole = find(rows, WHOLE);
  const gains = ['720p', '1080p', '1440p', '720p recorded'].map(
    (name) => [name, find(rows, `${name}, depth 4`).ratio] as const,
  );
  const live = gains.filter(([name]) => !name.includes('recorded'));
  return [
    {
      what: 'decode → convert → flip at 720p H.264 baseline, as fast as possible',
      reach: "≥ 0.8 × the bare decoder's own frame rate",
      got: `${whole.ratio.toFixed(2)} × (${whole.value.toFixed(0)} fps)`,
      reached: whole.ratio >= 0.8,
    },
    judged(
      {
        what: 'a depth of 4 as against a depth of 1, --speed max',
        reach: '≥ 1.5 ×',
        got: gains.map(([name, ratio]) => `${name} ${ratio.toFixed(2)} ×`).join(', '),
      },
      live.every(([, ratio]) => ratio >= 1.5),
      'two frames under way hide two stages behind each other, and never more than the shorter of them: at 720p decoding takes most of a frame, and the whole clip queued is no more than some 1.7 × a depth of 1. A recording waits for its file.',
    ),
  ];
}
