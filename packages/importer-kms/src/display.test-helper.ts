/**
 * A machine with a display, for end-to-end tests: framebuffers that the CPU draws.
 */
import { boot, type BootOptions, DmaBufError, type Machine } from '@dmabuf/core';
import { Display, DRM_FORMAT_XRGB8888, type Framebuffer, kms, type KmsOptions } from './index.js';

export const WIDTH = 64;
export const HEIGHT = 64;
/** The highest rate there is, so that tests wait for little. */
export const MODE: string = `${WIDTH}x${HEIGHT}@240`;

/** Runs a test on a machine of its own, which is shut down at the end. */
export async function withDisplay(
  options: KmsOptions & Pick<BootOptions, 'trace'>,
  run: (display: Display, machine: Machine) => void | Promise<void>,
): Promise<void> {
  const { trace = false, ...rest } = options;
  const machine = await boot({ drivers: [kms({ mode: MODE, ...rest })], trace });
  try {
    await run(Display.open(machine), machine);
  } finally {
    await machine.shutdown();
  }
}

/** A framebuffer of the mode's size, with a pitch of its own, filled with `colour`. */
export function makeFb(machine: Machine, display: Display, colour = 0): Framebuffer {
  const pitch = WIDTH * 4 + 32;
  const buffer = machine.alloc(pitch * HEIGHT);
  const options = {
    buffer,
    width: WIDTH,
    height: HEIGHT,
    fourcc: DRM_FORMAT_XRGB8888,
    pitches: [pitch],
  };
  const fb = display.addFramebuffer(options);
  buffer.close();
  paint(fb, () => colour);
  return fb;
}

/** Draws into a framebuffer, once the display lets go of it. */
export function paint(fb: Framebuffer, colour: (x: number, y: number) => number): void {
  const access = fb.buffer.access({ write: true, discard: true });
  const stride = (fb.pitches[0] ?? 0) / 4;
  for (let y = 0; y < fb.height; y++) {
    for (let x = 0; x < fb.width; x++) access.words[y * stride + x] = colour(x, y);
  }
  access.finish();
}

/** The code of what a call throws. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
  return 'nothing';
}

/** The message of the DmaBufError that a call throws. */
export function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof DmaBufError) return error.message;
    throw error;
  }
  return 'nothing';
}

/** Resets the CRTC worker and waits for its next life. */
export async function die(machine: Machine, display: Display): Promise<void> {
  const before = machine.actorStats(display.actor).restarts;
  machine.resetDevice(display.actor, 'the test says so');
  for (const start = performance.now(); machine.actorStats(display.actor).restarts === before;) {
    if (performance.now() - start > 20_000) throw new Error('it was not started again');
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}
