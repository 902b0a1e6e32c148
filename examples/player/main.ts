/**
 * The player as a program: arguments in, an exit code out, and every failure as one line on stderr.
 */
import { writeSync } from 'node:fs';
import type { DriverSpec } from '@dmabuf/core';
import { BadInput } from './bad-input.js';
import { Interrupt } from './interrupt.js';
import { HELP, parseOptions, type PlayerOptions } from './options.js';
import { play, playerDrivers } from './play.js';
import { summaryText } from './summary.js';

/** What a machine for these options is made of. */
export type MakeDrivers = (options: PlayerOptions) => readonly DriverSpec[];

/** Runs the player with command line arguments; resolves with the exit code. */
export async function main(
  args: readonly string[],
  makeDrivers: MakeDrivers = playerDrivers,
): Promise<number> {
  const interrupt = new Interrupt();
  try {
    const options = parseOptions(args, process.env['INIT_CWD'] ?? process.cwd());
    if (options === 'help') {
      print(1, HELP);
      return 0;
    }
    // A blocked main thread runs no handler: the interrupt then simply ends the process.
    if (!options.blockMain) interrupt.listen();
    const outcome = await play(options, interrupt, makeDrivers(options));
    print(1, summaryText(outcome));
    return interrupt.code ?? 0;
  } catch (error) {
    print(2, `video-player: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof BadInput ? 2 : 1;
  } finally {
    interrupt.ignore();
  }
}

/** Writes now, whatever becomes of the event loop. Nobody to read it is no failure. */
function print(fd: 1 | 2, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    // EPIPE, as after `| head`.
  }
}
