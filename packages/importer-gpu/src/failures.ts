/** The device's memory of why it failed jobs: the texts behind the errnos, newest 64. */

const KEPT = 64;

export class Failures {
  readonly #texts: Map<string, string> = new Map();

  note(context: number, seqno: number, text: string): void {
    this.#texts.set(`${context}:${seqno}`, text);
    const [oldest] = this.#texts.keys();
    if (this.#texts.size > KEPT && oldest !== undefined) this.#texts.delete(oldest);
  }

  find(context: number, seqno: number): string | undefined {
    return this.#texts.get(`${context}:${seqno}`);
  }
}
