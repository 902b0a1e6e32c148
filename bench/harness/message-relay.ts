/** The main thread of a pipeline that is written with postMessage: workers/messages.ts has its workers. */
import type { Posted, Run } from '../workers/messages.js';
import { Member } from './crew.js';
import type { Sample } from './rounds.js';

/** Frames under way. */
const DEPTH = 4;

const transfers = ({ bytes }: Posted, transfer: boolean): ArrayBuffer[] =>
  transfer ? [bytes] : [];

export class MessageRelay {
  readonly #decoder: Member;
  readonly #converter: Member;
  readonly #display: Member;
  #shown: () => void = () => {};

  private constructor(members: readonly [Member, Member, Member], transfer: boolean) {
    [this.#decoder, this.#converter, this.#display] = members;
    const relay = (from: Member, to: Member): void => {
      from.worker.on('message', (frame: Posted) => to.post(frame, transfers(frame, transfer)));
    };
    relay(this.#decoder, this.#converter);
    relay(this.#converter, this.#display);
    this.#display.worker.on('message', () => this.#shown());
  }

  static async make(path: string, transfer: boolean): Promise<MessageRelay> {
    const url = new URL('../workers/messages.js', import.meta.url);
    const start = async (role: string): Promise<Member> =>
      new Member(url, role, { role, path, transfer }).started();
    return new MessageRelay(
      [await start('decode'), await start('convert'), await start('show')],
      transfer,
    );
  }

  /** Frames a second, from the first shown to the last. */
  async run(frames: number): Promise<Sample> {
    let [shown, first] = [0, 0];
    const done = new Promise<number>((resolve) => {
      this.#shown = () => {
        if (shown === 0) first = performance.now();
        if (++shown === frames) resolve(performance.now() - first);
        else if (shown + DEPTH <= frames) this.#decoder.post(1);
      };
      const run: Run = { credits: DEPTH };
      this.#decoder.post(run);
    });
    const died = [this.#decoder, this.#converter, this.#display].map(({ death }) => death);
    const took = await Promise.race([done, ...died]);
    return { value: ((frames - 1) / took) * 1000 };
  }

  async end(): Promise<void> {
    for (const member of [this.#decoder, this.#converter, this.#display]) await member.end();
  }
}
