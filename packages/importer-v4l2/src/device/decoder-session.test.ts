/**
 * The state machine of one decoder, with a decoder of cardboard: what ends when, how, and once.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError, errno } from '@dmabuf/core';
import { UnsupportedStream, type Decoded, type Decoder, type Picture } from '../codec/index.js';
import { DecoderSession, type CaptureSlot, type PacketIn } from './decoder-session.js';

/** 16x16: a picture takes 384 bytes. */
const SIDE = 16;
const BYTES = 384;

const NO_PICTURE: Decoded = { pictures: [], fault: undefined };

function pictureOf(timestamp: number, side = SIDE, damaged = false): Picture {
  return {
    timestamp,
    width: side,
    height: side,
    codedWidth: side,
    codedHeight: side,
    crop: { left: 0, top: 0, width: side, height: side },
    colour: { range: 'limited', matrix: 'bt709' },
    fourcc: 'YU12',
    keyframe: false,
    damaged,
    copyTo: () => (side * side * 3) / 2,
  };
}

function shows(...timestamps: number[]): Decoded {
  return { pictures: timestamps.map((timestamp) => pictureOf(timestamp)), fault: undefined };
}

function faulty(): Decoded {
  return { pictures: [], fault: new DmaBufError('EIO', 'decode', 'torn') };
}

/** Gives what the script says for each timestamp, by default a picture of that timestamp. */
class CardboardDecoder implements Decoder {
  readonly name = 'cardboard';
  readonly reorderDelay: number;
  readonly decoded: number[] = [];
  readonly #script: ReadonlyMap<number, () => Decoded | Promise<Decoded>>;
  resets = 0;
  closed = false;

  constructor(
    script: Readonly<Record<number, () => Decoded | Promise<Decoded>>> = {},
    reorderDelay = 0,
  ) {
    this.#script = new Map(Object.entries(script).map(([at, what]) => [Number(at), what]));
    this.reorderDelay = reorderDelay;
  }

  decode({ timestamp }: { readonly timestamp: number }): Decoded | Promise<Decoded> {
    this.decoded.push(timestamp);
    return this.#script.get(timestamp)?.() ?? shows(timestamp);
  }
  drain(): Decoded {
    return NO_PICTURE;
  }
  reset(): void {
    this.resets++;
  }
  close(): void {
    this.closed = true;
  }
}

/** A session under test, and a log of how everything that went in has ended. */
class Rig {
  readonly log: string[] = [];
  readonly decoder: CardboardDecoder;
  readonly session: DecoderSession;
  wakes = 0;
  #open = 0;
  #packets = 0;
  #slots = 0;

  constructor(decoder = new CardboardDecoder(), configured = false) {
    this.decoder = decoder;
    this.session = new DecoderSession(decoder, configured, {
      wake: () => {
        this.wakes++;
      },
      publish: () => {},
    });
  }

  packet(timestamp: number, options: { bound?: boolean; lost?: number } = {}): this {
    const seqno = ++this.#packets;
    const packet: PacketIn = {
      seqno,
      timestamp,
      bound: options.bound ?? true,
      lost: options.lost ?? 0,
      data: Uint8Array.of(1),
      begin: () => {},
      end: this.#once(`packet ${timestamp}`),
    };
    this.session.addPacket(packet);
    return this;
  }

  slot(timestamp: number, capacity = BYTES): this {
    const end = this.#once(`slot ${timestamp}`);
    let filled = '';
    const slot: CaptureSlot = {
      seqno: ++this.#slots,
      timestamp,
      packet: this.#slots,
      capacity,
      fill: (picture, sequence) => {
        assert.is(picture.timestamp, timestamp);
        filled = `#${sequence}`;
        return picture.copyTo(new Uint8Array(0), []);
      },
      end: (error) => end(error, filled),
    };
    this.session.addSlot(slot);
    return this;
  }

  /** A slot that was cancelled before its grant. */
  cancelled(timestamp: number): this {
    this.session.cancelSlot(++this.#slots, timestamp, 1);
    return this;
  }

  run(): this {
    while (this.session.step());
    return this;
  }

  /** What was logged since the last look. */
  news(): string[] {
    return this.log.splice(0);
  }

  /** Packets and slots that went in and have not ended. */
  get open(): number {
    return this.#open;
  }

  #once(name: string): (error: number, more?: string) => void {
    this.#open++;
    let ended = false;
    return (error, more = '') => {
      assert.not(ended, `${name} ended twice`);
      ended = true;
      this.#open--;
      const code = Object.entries(errno).find(([, number]) => number === -error)?.[0] ?? 'ok';
      this.log.push(`${name} ${code}${more}`);
    };
  }
}

test('pictures meet their slots by timestamp, whichever came first', () => {
  const rig = new Rig();
  rig.packet(10).packet(20).slot(10).run();
  assert.equal(rig.news(), ['packet 10 ok', 'slot 10 ok#0', 'packet 20 ok']);
  rig.slot(20);
  assert.equal(rig.news(), ['slot 20 ok#1']);
  assert.is(rig.open, 0);
  assert.is(rig.session.counters.bytesCopied, 2 * BYTES);
});

test('the packet after a delivered picture is decoded before its slot is there, no further one', () => {
  const rig = new Rig();
  rig.packet(1).packet(2).packet(3).run();
  assert.equal(rig.decoder.decoded, [1]);
  rig.slot(1);
  assert.is(rig.session.ready, true);
  rig.run();
  assert.equal(rig.decoder.decoded, [1, 2]);
  rig.slot(2).run().slot(3);
  assert.equal(rig.decoder.decoded, [1, 2, 3]);
  assert.is(rig.open, 0);
});

test('one step decodes one packet, so that others have their turn', () => {
  const rig = new Rig();
  for (let i = 0; i < 4; i++) rig.packet(i, { bound: false });
  assert.is(rig.session.step(), true);
  assert.equal(rig.decoder.decoded, [0]);
});

test('a timestamp without a picture fails its slot with EIO, before or after the slot came', () => {
  const rig = new Rig(new CardboardDecoder({ 2: faulty, 4: () => NO_PICTURE }));
  rig.packet(1).packet(2).packet(3).packet(4).packet(5);
  rig.slot(1).slot(2).run();
  assert.equal(rig.news().slice(0, 4), [
    'packet 1 ok',
    'slot 1 ok#0',
    'packet 2 EIO',
    'slot 2 EIO',
  ]);
  rig.slot(3).run().news();
  rig.slot(4).slot(5);
  assert.equal(rig.news(), ['slot 4 EIO', 'slot 5 ok#4']);
  assert.is(rig.open, 0);
  assert.is(rig.session.counters.errors, 2);
  assert.is(rig.session.counters.decoded, 3);
});

test('a picture that the decoder calls damaged is not handed out', () => {
  const spoilt = (): Decoded => ({ pictures: [pictureOf(1, SIDE, true)], fault: undefined });
  const rig = new Rig(new CardboardDecoder({ 1: spoilt }));
  rig.packet(1).packet(2).slot(1).slot(2).run();
  assert.equal(rig.news(), ['slot 1 EIO', 'packet 1 ok', 'packet 2 ok', 'slot 2 ok#1']);
});

test('hidden frames need no slot, and pictures without a slot are dropped', () => {
  const rig = new Rig(new CardboardDecoder({ 1: () => NO_PICTURE }));
  rig.packet(1, { bound: false }).packet(2, { bound: false }).packet(3).slot(3).run();
  assert.equal(rig.news(), ['packet 1 ok', 'packet 2 ok', 'packet 3 ok', 'slot 3 ok#0']);
  const { hidden, dropped, decoded, packets } = rig.session.counters;
  assert.equal(
    { hidden, dropped, decoded, packets },
    { hidden: 1, dropped: 1, decoded: 1, packets: 3 },
  );
});

test('a slot that was cancelled costs its own picture only, before or after it was decoded', () => {
  const rig = new Rig();
  rig.packet(1).packet(2).packet(3).run();
  rig.cancelled(1); // its picture waits
  rig.cancelled(2).run(); // its picture is still to come
  rig.slot(3).run();
  assert.equal(rig.news(), ['packet 1 ok', 'packet 2 ok', 'packet 3 ok', 'slot 3 ok#2']);
  assert.is(rig.session.counters.dropped, 2);
});

test('a slot that was cancelled after its packet failed leaves nothing behind', () => {
  const rig = new Rig(new CardboardDecoder({ 1: faulty }));
  rig.packet(1).packet(2).run().cancelled(1).slot(2).run();
  assert.equal(rig.news(), ['packet 1 EIO', 'packet 2 ok', 'slot 2 ok#1']);
  assert.is(rig.open, 0);
});

test('a packet whose bytes are gone fails its slot with the cause and makes the decoder start anew', () => {
  const rig = new Rig();
  rig.packet(1).packet(2, { lost: -errno.ECANCELED }).packet(3);
  rig.slot(1).slot(2).slot(3).run();
  assert.equal(rig.news().slice(2, 4), ['packet 2 ECANCELED', 'slot 2 ECANCELED']);
  assert.equal(rig.decoder.decoded, [1, 3]);
  assert.is(rig.decoder.resets, 1);
});

test('a picture larger than its buffer ends the stream with EPIPE, until a reset', async () => {
  const large = (): Decoded => ({ pictures: [pictureOf(2, 32)], fault: undefined });
  const rig = new Rig(new CardboardDecoder({ 2: large }));
  rig.packet(1).packet(2).packet(3).packet(4);
  rig.slot(1).slot(2).slot(3).run();
  assert.equal(rig.news(), [
    'packet 1 ok',
    'slot 1 ok#0',
    'packet 2 ok',
    'slot 2 EPIPE',
    'packet 3 EPIPE',
    'packet 4 EPIPE',
    'slot 3 EPIPE',
  ]);
  assert.match(rig.session.failure?.text ?? '', /32x32.*1536 bytes.*384: reset/);
  rig.slot(4).packet(5).slot(5).run();
  assert.equal(rig.news(), ['slot 4 EPIPE', 'packet 5 EPIPE', 'slot 5 EPIPE']);
  await rig.session.reset(5, 5);
  assert.is(rig.session.failure, undefined);
  rig.packet(1).slot(1).run();
  assert.equal(rig.news(), ['packet 1 ok', 'slot 1 ok#0']);
  assert.is(rig.open, 0);
});

test('a picture of another size that fits goes on', () => {
  const small = (): Decoded => ({ pictures: [pictureOf(2, 8)], fault: undefined });
  const rig = new Rig(new CardboardDecoder({ 2: small }));
  rig.packet(1).packet(2).packet(3).slot(1).slot(2).slot(3).run();
  assert.is(rig.session.counters.decoded, 3);
  assert.is(rig.session.counters.bytesCopied, 2 * BYTES + 96);
});

test('a reset cancels what is here and what arrives late, and nothing that is newer', async () => {
  const rig = new Rig();
  rig.packet(1).packet(2).packet(3).run().slot(2);
  rig.news();
  await rig.session.reset(3, 3);
  assert.equal(rig.news(), ['packet 2 ECANCELED', 'packet 3 ECANCELED', 'slot 2 ECANCELED']);
  rig.slot(1).slot(3); // granted only now
  assert.equal(rig.news(), ['slot 1 ECANCELED', 'slot 3 ECANCELED']);
  rig.packet(1).slot(1).run();
  assert.equal(rig.news(), ['packet 1 ok', 'slot 1 ok#0']);
  assert.is(rig.decoder.resets, 1);
  assert.is(rig.open, 0);
});

test('a cancelled slot that no packet named does not cost a later one of its timestamp', () => {
  const rig = new Rig();
  rig.cancelled(1).packet(1).slot(1).run();
  assert.equal(rig.news(), ['packet 1 ok', 'slot 1 ok#0']);
});

test('a withdrawn slot ends, here or when it comes, and its timestamp can be used again', () => {
  const rig = new Rig();
  rig.slot(1);
  rig.session.withdraw(1);
  rig.session.withdraw(2);
  rig.slot(1);
  assert.equal(rig.news(), ['slot 1 ECANCELED', 'slot 1 ECANCELED']);
  rig.packet(1).slot(1).run();
  assert.equal(rig.news(), ['packet 1 ok', 'slot 1 ok#0']);
});

test('close cancels everything, and what comes after it', async () => {
  const rig = new Rig();
  rig.packet(1).packet(2).run().slot(2);
  rig.news();
  await rig.session.close();
  rig.packet(3).slot(3).slot(1);
  assert.equal(rig.news(), [
    'packet 2 ECANCELED',
    'slot 2 ECANCELED',
    'packet 3 ECANCELED',
    'slot 3 ECANCELED',
    'slot 1 ECANCELED',
  ]);
  assert.is(rig.decoder.closed, true);
  assert.is(rig.open, 0);
});

test('an unsupported stream ends at once with its reason, unless its header had been accepted', () => {
  const refused = (): Decoded => ({
    pictures: [],
    fault: new UnsupportedStream('decode', 'High', 'Baseline', 'convert it'),
  });
  const rig = new Rig(new CardboardDecoder({ 1: refused }));
  rig.packet(1).packet(2).slot(1).slot(2).run();
  assert.equal(rig.news(), [
    'packet 1 EINVAL',
    'packet 2 EINVAL',
    'slot 1 EINVAL',
    'slot 2 EINVAL',
  ]);
  assert.match(rig.session.failure?.text ?? '', /High.*accepted is Baseline/);
  const known = new Rig(new CardboardDecoder({ 1: refused }), true);
  known.packet(1).packet(2).slot(1).slot(2).run();
  assert.equal(known.news(), ['packet 1 EINVAL', 'slot 1 EIO', 'packet 2 ok', 'slot 2 ok#1']);
});

test('a decoder that reorders gives pictures late; what can no longer come out fails', () => {
  // Decode order 0 4 2 6, display order 0 2 4 6; the packet of 2 gives nothing.
  const decoder = new CardboardDecoder(
    { 0: () => NO_PICTURE, 4: () => shows(0), 2: () => NO_PICTURE, 6: () => shows(4) },
    1,
  );
  const rig = new Rig(decoder);
  rig.packet(0).packet(4).packet(2).packet(6);
  rig.slot(0).slot(4).slot(2).slot(6).run();
  assert.equal(
    rig.news().filter((line) => line.startsWith('slot')),
    ['slot 0 ok#0', 'slot 2 EIO', 'slot 4 ok#2'],
  );
});

test('while a decode is under way as a promise nothing else is decoded, and its end wakes the device', async () => {
  let settle: (decoded: Decoded) => void = () => {};
  const slow = (): Promise<Decoded> =>
    new Promise((resolve) => {
      settle = resolve;
    });
  const rig = new Rig(new CardboardDecoder({ 1: slow }));
  rig.packet(1).packet(2).slot(1).slot(2).run();
  assert.equal(rig.decoder.decoded, [1]);
  assert.is(rig.session.ready, false);
  const reset = rig.session.reset(2, 2);
  settle(shows(1));
  await reset;
  assert.is(rig.wakes, 1);
  assert.equal(rig.news(), [
    'packet 1 ok',
    'slot 1 ok#0',
    'packet 2 ECANCELED',
    'slot 2 ECANCELED',
  ]);
});

test('a decoder that cannot be loaded again ends the stream', () => {
  const gone = (): Decoded => {
    throw new DmaBufError('EBADFD', 'decode', 'could not be loaded again');
  };
  const rig = new Rig(new CardboardDecoder({ 1: gone }));
  rig.packet(1).packet(2).slot(1).slot(2).run();
  assert.equal(rig.news(), ['packet 1 EIO', 'packet 2 EIO', 'slot 1 EIO', 'slot 2 EIO']);
});

test('every packet is accounted for, whatever the order of grants', () => {
  const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
  console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);
  let state = seed;
  const next = (): number =>
    (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) / 2 ** 31;
  for (let round = 0; round < 200; round++) {
    const script: Record<number, () => Decoded> = {};
    for (let i = 0; i < 20; i++) {
      const kind = next();
      if (kind < 0.2) script[i] = faulty;
      else if (kind < 0.3) script[i] = () => NO_PICTURE;
      else if (kind < 0.4) {
        script[i] = () => ({ pictures: [pictureOf(i, SIDE, true)], fault: undefined });
      }
    }
    const rig = new Rig(new CardboardDecoder(script));
    let fed = 0;
    let granted = 0;
    while (fed < 20 || granted < 20) {
      const toss = next();
      if (toss < 0.4 && fed < 20) rig.packet(fed++);
      else if (toss < 0.8 && granted < 20) {
        if (next() < 0.1) rig.cancelled(granted++);
        else rig.slot(granted++);
      } else rig.session.step();
    }
    rig.run();
    assert.is(rig.open, 0, `round ${round}`);
    const { packets, decoded, errors, hidden, dropped } = rig.session.counters;
    assert.is(packets, 20);
    assert.is(decoded + errors + hidden + dropped, 20);
  }
});

test.run();
