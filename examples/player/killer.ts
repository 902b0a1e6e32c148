/**
 * The killer: terminates device workers at the times that `--kill` names, counted from the first flip. Lives
 * in the reporter's process, which nothing blocks.
 */
import type { Machine } from '@dmabuf/core';
import type { Counted } from './counters.js';
import type { Kill } from './options.js';

export class Killer {
  readonly #machine: Machine;
  readonly #counted: Counted;
  /** Soonest first. */
  readonly #kills: Kill[];

  constructor(machine: Machine, counted: Counted, kills: readonly Kill[]) {
    this.#machine = machine;
    this.#counted = counted;
    this.#kills = [...kills].sort((a, b) => a.at - b.at);
  }

  /** Does what is due; says who died, and when to be called again at the latest, ms. */
  tick(now: number): { readonly next: number; readonly died: readonly string[] } {
    if (this.#kills.length === 0) return { next: Infinity, died: [] };
    const { firstFlip } = this.#counted.display.stats();
    if (firstFlip === undefined) return { next: now + 10, died: [] };
    const died: string[] = [];
    while ((this.#kills[0]?.at ?? Infinity) <= now - firstFlip) {
      const kill = this.#kills.shift();
      if (kill === undefined) break;
      this.#machine.resetDevice(this.#actorOf(kill.device), 'it was killed by --kill');
      died.push(kill.device);
    }
    return { next: firstFlip + (this.#kills[0]?.at ?? Infinity), died };
  }

  #actorOf(device: Kill['device']): number {
    const { video, gpu, display } = this.#counted;
    if (device === 'codec') return video.actor;
    return device === 'display' ? display.actor : this.#machine.device(gpu.path).actor;
  }
}
