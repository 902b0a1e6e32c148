/**
 * The state machine of a stream, with a codec of cardboard: every source and sink ends once, in order,
 * through set-up, drain, seek and changes of size.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DmaBufError } from '@dmabuf/core';
import { newCounters } from './decoder-session.js';
import {
  type Coded,
  type Coder,
  type Geometry,
  type M2mState,
  type Result,
  type Source,
  STOP,
} from './m2m.js';
import { M2mSession } from './m2m-session.js';

function size(width: number): Geometry {
  return { width, height: 16, codedWidth: width, codedHeight: 16, left: 0, top: 0 };
}

interface Packet extends Source {
  readonly timestamp: number;
}

/** Gives one picture a packet, unless the script says otherwise. */
class CardboardCoder implements Coder<Packet, Result> {
  width = 32;
  readonly script: Map<number, () => Coded<Result>> = new Map();
  readonly held: Result[] = [];
  resets = 0;

  picture(timestamp: number): Result {
    return { timestamp, damaged: false, geometry: size(this.width) };
  }
  code({ timestamp }: Packet): Coded<Result> {
    const scripted = this.script.get(timestamp)?.();
    return scripted ?? { results: [this.picture(timestamp)], fault: undefined };
  }
  drain(): Coded<Result> {
    return { results: this.held.splice(0), fault: undefined };
  }
  reset(): void {
    this.resets++;
    this.held.length = 0;
  }
  close(): void {}
}

const FRESH: M2mState = {
  stop: STOP.RUNNING,
  size: undefined,
  sinkOn: false,
  cuts: { source: 0, sink: 0, drain: 0 },
  lastSink: 0,
};

class Rig {
  readonly log: string[] = [];
  readonly coder = new CardboardCoder();
  readonly session: M2mSession<Packet, Result>;
  sources = 0;
  sinks = 0;
  open = 0;

  constructor(from: M2mState = FRESH, resetWithSink = false) {
    const hooks = {
      wake: () => {},
      publish: () => {},
      sourceChange: ({ width }: Geometry) => this.log.push(`change ${width}`),
      endOfStream: () => this.log.push('eos'),
    };
    const options = { resetWithSink, from };
    this.session = new M2mSession(this.coder, hooks, newCounters(), options);
  }

  /** Packets are queued; one timestamp each. `drain`: the marker. */
  feed(...packets: (number | 'drain')[]): this {
    for (const packet of packets) {
      const name = packet === 'drain' ? 'drain' : `in ${packet}`;
      const end = this.#once(name);
      this.session.addSource({
        seqno: ++this.sources,
        drain: packet === 'drain',
        timestamp: packet === 'drain' ? 0 : packet,
        lost: 0,
        begin: () => {},
        end,
      });
      while (this.session.step());
    }
    return this;
  }

  /** CAPTURE buffers are queued. */
  offer(count: number): this {
    for (let i = 0; i < count; i++) {
      const seqno = ++this.sinks;
      const end = this.#once(`out #${seqno}`);
      this.session.addSink({
        seqno,
        put: ({ timestamp }, last) => {
          end(0, `${timestamp}${last ? ' LAST' : ''}`);
          return 1;
        },
        end: (error) => end(error, error === 0 ? 'empty LAST' : ''),
      });
      while (this.session.step());
    }
    return this;
  }

  start(): this {
    this.session.sinkStarts();
    while (this.session.step());
    return this;
  }

  take(): string {
    return this.log.splice(0).join(', ');
  }

  #once(name: string): (error: number, what?: number | string) => void {
    let ended = false;
    this.open++;
    return (error, what) => {
      assert.not(ended, `${name} ended twice`);
      ended = true;
      this.open--;
      const told = typeof what === 'string' && what !== '' ? ` ${what}` : '';
      this.log.push(error === 0 ? `${name}${told}` : `${name} ${error}`);
    };
  }
}

/** A stream that runs, with nothing queued. */
function running(): Rig {
  const rig = new Rig().feed(0).offer(1).start();
  assert.is(rig.take(), 'change 32, in 0, out #1 0');
  return rig;
}

test('the packet that tells the size is held until CAPTURE is set up', () => {
  const rig = new Rig().feed(0, 1);
  assert.is(rig.take(), 'change 32');
  assert.is(rig.session.stop, STOP.SETUP);
  rig.offer(2);
  assert.is(rig.take(), '', 'buffers that are queued before STREAMON wait');
  rig.start();
  assert.is(rig.take(), 'in 0, out #1 0, in 1, out #2 1');
});

test('a packet of headers alone tells the size too, and its picture does not tell it again', () => {
  const rig = new Rig();
  rig.coder.script.set(0, () => ({ results: [], fault: undefined, stated: size(32) }));
  rig.feed(0, 1).offer(2).start();
  assert.is(rig.take(), 'change 32, in 0, in 1, out #1 1');
});

test('results wait for buffers, and nothing is coded meanwhile', () => {
  const rig = running().feed(1, 2, 3);
  assert.is(rig.take(), 'in 1');
  assert.ok(rig.session.waiting);
  assert.ok(rig.session.wantsSink(9));
  assert.not(rig.session.wantsSource(9));
  rig.offer(2);
  assert.is(rig.take(), 'out #2 1, in 2, out #3 2, in 3');
});

test('a drain marks the last result that is held back, then EOS; START goes on', () => {
  const rig = running();
  rig.coder.script.set(1, () => {
    rig.coder.held.push(rig.coder.picture(1));
    return { results: [], fault: undefined };
  });
  rig.feed(1, 'drain', 2);
  assert.is(rig.take(), 'in 1');
  rig.offer(3);
  assert.is(rig.take(), 'eos, drain, out #2 1 LAST');
  assert.is(rig.session.stop, STOP.STOPPED);
  rig.session.start();
  while (rig.session.step());
  assert.is(rig.take(), 'in 2, out #3 2');
});

test('a drain with nothing left gives an empty LAST, at once or with the next buffer', () => {
  const rig = running().offer(1).feed('drain');
  assert.is(rig.take(), 'eos, drain, out #2 empty LAST');
  const late = running().feed('drain');
  assert.is(late.take(), '');
  late.offer(1);
  assert.is(late.take(), 'eos, drain, out #2 empty LAST');
});

test('another size: the event, LAST, then new buffers; what was queued behind waits', () => {
  const rig = running();
  rig.coder.width = 64;
  rig.feed(1, 2).offer(2);
  assert.is(rig.take(), 'change 64, out #2 empty LAST');
  assert.is(rig.session.stop, STOP.CHANGED);
  return (async () => {
    await rig.session.sinkStops(rig.sinks, rig.sources);
    assert.is(rig.take(), 'out #3 -125');
    rig.offer(2).start();
    assert.is(rig.take(), 'in 1, out #4 1, in 2, out #5 2');
  })();
});

test('START goes on after a change of size with the buffers that there are', () => {
  const rig = running();
  rig.coder.width = 64;
  rig.feed(1).offer(2);
  rig.session.start();
  assert.is(rig.take(), 'change 64, out #2 empty LAST, in 1, out #3 1');
});

test('a seek drops what is queued and not delivered, and says so to the codec', async () => {
  const rig = running().feed(1, 2);
  rig.take();
  await rig.session.sourceStops(rig.sources);
  assert.is(rig.take(), 'in 2 -125');
  assert.is(rig.coder.resets, 1);
  rig.session.sourceStarts();
  rig.feed(7).offer(1);
  assert.is(rig.take(), 'in 7, out #2 7');
});

test('a packet that arrives after the cut of a seek belongs to what was before', async () => {
  const rig = running();
  await rig.session.sourceStops(rig.sources + 1);
  assert.ok(rig.session.wantsSource(rig.sources + 1));
  rig.feed(1, 2).offer(1);
  assert.is(rig.take(), 'in 1 -125, in 2, out #2 2');
});

test('a seek during a drain completes it with an empty LAST; STREAMON goes on', async () => {
  const rig = running().feed(1, 'drain').offer(0);
  assert.is(rig.take(), 'in 1');
  rig.offer(1);
  assert.is(rig.take(), 'out #2 1');
  await rig.session.sourceStops(rig.sources);
  assert.is(rig.take(), '');
  rig.offer(1);
  assert.is(rig.take(), 'eos, drain, out #3 empty LAST');
  rig.session.sourceStarts();
  assert.is(rig.session.stop, STOP.RUNNING);
});

test('STREAMOFF(CAPTURE) takes a drain back, reached or not, and gives all buffers back', async () => {
  const reached = running().feed('drain');
  await reached.session.sinkStops(reached.sinks, reached.sources);
  assert.is(reached.take(), 'drain -125');
  assert.is(reached.session.stop, STOP.RUNNING);

  // The picture of packet 1 waits, so the marker behind it has not been reached.
  const unreached = running().feed(1, 'drain');
  unreached.take();
  await unreached.session.sinkStops(unreached.sinks, unreached.sources);
  assert.is(unreached.take(), 'drain -125');
  unreached.start().offer(2);
  assert.is(unreached.take(), 'out #2 1', 'what was decoded is kept, and no LAST comes');

  const late = running();
  await late.session.sinkStops(late.sinks, late.sources + 1);
  late.start().feed('drain', 1).offer(2);
  assert.is(late.take(), 'drain -125, in 1, out #2 1');
});

test('STREAMOFF(OUTPUT) completes a drain at once, reached or not, with an empty LAST', async () => {
  const unreached = running().feed(1, 2, 'drain');
  unreached.take();
  await unreached.session.sourceStops(unreached.sources);
  assert.is(unreached.take(), 'in 2 -125');
  unreached.offer(1);
  assert.is(unreached.take(), 'eos, drain, out #2 empty LAST');
  assert.is(unreached.session.stop, STOP.STOPPED);

  const late = running().offer(1);
  await late.session.sourceStops(late.sources + 2);
  late.feed(1, 'drain');
  assert.is(late.take(), 'in 1 -125, eos, drain, out #2 empty LAST');
});

test('after STREAMOFF of both queues there is no drain left, in either order', async () => {
  for (const capturesFirst of [true, false]) {
    const rig = running().feed(1, 'drain');
    const marker = rig.sources + 1;
    const steps = [
      () => rig.session.sinkStops(rig.sinks, marker),
      () => rig.session.sourceStops(marker),
    ];
    for (const step of capturesFirst ? steps : steps.reverse()) await step();
    rig.feed('drain'); // one that was queued before, and arrives only now
    rig.session.sourceStarts();
    rig.take();
    rig.start().feed(2).offer(2);
    assert.is(rig.take(), 'in 2, out #2 2');
  }
});

test('a drain behind a change of size outlives the set-up of CAPTURE', async () => {
  const rig = running();
  rig.coder.width = 64;
  rig.feed(1, 'drain').offer(1);
  assert.is(rig.take(), 'change 64, out #2 empty LAST');
  await rig.session.sinkStops(rig.sinks, rig.sources);
  rig.start().offer(2);
  assert.is(rig.take(), 'in 1, out #3 1, eos, drain, out #4 empty LAST');
});

test('whoever has LAST in hand may go on: the drain is over by then', () => {
  const rig = running().feed('drain');
  let open = -1;
  let stop = -1;
  rig.session.addSink({
    seqno: 9,
    put: () => 1,
    end: () => {
      open = rig.open;
      stop = rig.session.stop;
      rig.session.start();
    },
  });
  assert.is(open, 0, 'the marker has ended');
  assert.is(stop, STOP.STOPPED);
  assert.is(rig.session.lastSink, 9);
  assert.is(rig.session.stop, STOP.RUNNING);
});

test('a last result that does not fit its buffer leaves LAST on it', () => {
  const rig = running();
  rig.coder.held.push(rig.coder.picture(1));
  rig.feed('drain');
  const told: boolean[] = [];
  const put = (_: Result, last: boolean): number => {
    told.push(last);
    return -22;
  };
  rig.session.addSink({ seqno: 9, put, end: () => told.push(false) });
  assert.equal(told, [true]);
  assert.is(rig.session.counters.errors, 1);
});

test('a codec that holds pictures back: those of the old size come out before LAST', () => {
  const rig = running();
  const older = rig.coder.picture(1);
  rig.coder.width = 64;
  // The headers of packet 2 state the new size while its picture is still held back.
  rig.coder.script.set(2, () => ({ results: [], fault: undefined, stated: size(64) }));
  rig.coder.script.set(3, () => ({ results: [older, rig.coder.picture(2)], fault: undefined }));
  rig.feed(2, 3, 4);
  assert.is(rig.take(), 'in 2');
  rig.offer(2);
  assert.is(rig.take(), 'out #2 1, change 64, out #3 empty LAST');
  rig.session.start();
  rig.offer(2);
  assert.is(rig.take(), 'in 3, out #4 2, in 4, out #5 4');
});

test('a drain that gives pictures of two sizes ends after the second', () => {
  const rig = running();
  rig.coder.held.push(rig.coder.picture(1));
  rig.coder.width = 64;
  rig.coder.held.push(rig.coder.picture(2));
  rig.feed('drain').offer(2);
  assert.is(rig.take(), 'out #2 1, change 64, out #3 empty LAST');
  rig.session.start();
  rig.offer(1);
  assert.is(rig.take(), 'eos, drain, out #4 2 LAST');
});

test('an encoder starts anew when its CAPTURE queue does', async () => {
  const rig = new Rig(FRESH, true).feed(0).offer(1).start();
  rig.feed(1);
  rig.take();
  await rig.session.sinkStops(rig.sinks, rig.sources);
  assert.is(rig.coder.resets, 1);
  rig.start().offer(1);
  assert.is(rig.take(), '', 'what was coded for the old buffers is gone');
});

test('damage is flagged on what it hit: the packet, or the picture', () => {
  const rig = running().offer(2);
  const torn = new DmaBufError('EIO', 'decode', 'torn');
  rig.coder.script.set(1, () => ({ results: [], fault: torn }));
  rig.coder.script.set(2, () => ({
    results: [{ ...rig.coder.picture(2), damaged: true }],
    fault: undefined,
  }));
  rig.feed(1, 2, 3);
  assert.is(rig.take(), 'in 1 -5, in 2, out #2 -5, in 3, out #3 3');
});

test('a codec that breaks ends all of it with EIO, until the next STREAMOFF(OUTPUT)', async () => {
  const rig = running().offer(1);
  rig.coder.script.set(1, () => {
    throw new DmaBufError('EBADFD', 'decode', 'gone');
  });
  rig.feed(1, 2).offer(1);
  assert.is(rig.take(), 'in 1 -5, out #2 -5, in 2 -5, out #3 -5');
  assert.match(rig.session.failure?.text ?? '', /gone/);
  await rig.session.sourceStops(rig.sources);
  rig.feed(3).offer(1);
  assert.is(rig.take(), 'in 3, out #4 3');
});

test('what an earlier life of the worker owed is given by the next', () => {
  const owed = new Rig({ ...FRESH, stop: STOP.DRAINING, size: size(32), sinkOn: true });
  owed.feed(5).offer(1);
  assert.is(owed.take(), 'eos, out #1 empty LAST');
  const changed = new Rig({ ...FRESH, stop: STOP.CHANGING, size: size(64), sinkOn: true });
  changed.offer(1);
  assert.is(changed.take(), 'out #1 empty LAST');
  const cut = new Rig({ ...FRESH, sinkOn: true, cuts: { source: 1, sink: 1, drain: 0 } });
  cut.feed(1).offer(1);
  assert.is(cut.take(), 'in 1 -125, out #1 -125');
});

test('closing ends everything once', async () => {
  const rig = running().feed(1, 2, 'drain');
  await rig.session.close();
  rig.feed(3).offer(1);
  assert.is(rig.open, 0);
});

test.run();
