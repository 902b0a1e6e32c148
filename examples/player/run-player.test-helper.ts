/**
 * Runs the built player as a child process, as `npm start` does, and reads what it printed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PLAYER = fileURLToPath(new URL('../video-player.js', import.meta.url));

/** A run that hangs is ended (SIGTERM), and fails by its exit code, ms. */
const LIMIT_MS = 60_000;

/** Path of one of the sample clips. */
export function clipPath(name: string): string {
  return fileURLToPath(new URL(`../../media/${name}`, import.meta.url));
}

/** What a run left behind. */
export interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** A module to run in place of the player. */
  readonly module?: string;
  /** Called with all that has been printed, whenever there is more. */
  readonly watch?: (child: ChildProcess, stdout: string) => void;
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs the player; resolves when it has ended. */
export async function runPlayer(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const { INIT_CWD: _, ...env } = process.env;
  const child = spawn(process.execPath, [options.module ?? PLAYER, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    env: { ...env, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    options.watch?.(child, stdout);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** The figures of a summary. */
export interface Counts {
  readonly decoded: number;
  readonly rendered: number;
  readonly shown: number;
  readonly dropped: number;
  readonly damaged: number;
  readonly between: number;
  readonly needed: number;
}

/** Reads the summary; throws with all of the output where there is none. */
export function countsOf(run: Run): Counts {
  const read = (pattern: RegExp): number => {
    const found = pattern.exec(run.stdout)?.[1];
    if (found !== undefined) return Number(found);
    throw new Error(`no ${pattern.source} in:\n${run.stdout}\n${run.stderr}`);
  };
  return {
    decoded: read(/decoded (\d+)/),
    rendered: read(/rendered (\d+)/),
    shown: read(/shown (\d+)/),
    dropped: read(/dropped (\d+), damaged/),
    damaged: read(/damaged (\d+) of/),
    between: read(/bytes copied between stages: (\d+)/),
    needed: read(/last flip: (\d+) times/),
  };
}

/** Calls `use` with a folder of its own, which is gone afterwards. */
export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'player-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
