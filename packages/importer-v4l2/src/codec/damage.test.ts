/**
 * Damaged streams: nothing crashes or hangs, every packet is accounted for, decoding recovers.
 */
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codecOf } from './index.js';
import { damagePackets, frameMd5s, hasClip, loadClip } from './test/clips.js';
import { damageRun, type DamageRun } from './test/damage-run.js';

const seed = Number(process.env['DMABUF_SEED'] ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (DMABUF_SEED=${seed} repeats this run)`);

const CLIPS = [
  'dog-h264-tiny.mp4',
  'dog-vp9-tiny.webm',
  'flower_h264_cbp.mp4',
  'test-25fps.vp8',
  'test-25fps.vp9',
  'car-detection.mp4',
];

function checkAccounts(run: DamageRun): void {
  const faults = Object.values(run.faults).reduce((sum, count) => sum + count, 0);
  assert.is(run.pictures + faults + run.silent, run.packets);
  assert.is(run.misplaced, 0);
  assert.ok(run.damaged > 0, 'no packet was damaged: choose another seed');
}

for (const name of CLIPS) {
  if (!hasClip(name)) {
    test.skip(`30 % of ${name} damaged: every packet accounted for`, () => {});
    continue;
  }
  for (const [where, offset] of [
    ['here', 0],
    ['in a worker', 1],
  ] as const) {
    test(`30 % of ${name} damaged ${where}: every packet accounted for`, async () => {
      const run =
        where === 'here'
          ? await damageRun(name, seed, 0.3)
          : await inWorker(name, seed + offset, 0.3);
      console.log(
        `${name}, ${where}: ${run.damaged} of ${run.packets} packets damaged, ${run.pictures} pictures ` +
          `(${run.marked} marked damaged), faults ${JSON.stringify(run.faults)}, silent ${run.silent}`,
      );
      checkAccounts(run);
    });
  }
}

function inWorker(clip: string, seed: number, share: number): Promise<DamageRun> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./test/damage-worker.js', import.meta.url), {
      workerData: { clip, seed, share },
    });
    worker.once('message', (run: DamageRun) => resolve(run));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the worker ended with code ${code}`)));
  });
}

test('several workers decode at once, each as exactly as alone', async () => {
  const names = ['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm', 'dog-h264-tiny.mp4'];
  const runs = await Promise.all(names.map((name) => inWorker(name, seed, 0)));
  runs.forEach((run, i) => assert.equal([...run.md5s.values()], frameMd5s(names[i] ?? '')));
});

for (const name of ['dog-h264-tiny.mp4', 'dog-vp9-tiny.webm', 'dog-vp8.webm']) {
  test(`one lost packet of ${name} costs no more than up to the next key frame`, async () => {
    const clip = await loadClip(name);
    const codec = codecOf(clip.fourcc);
    const keys = clip.packets
      .filter(({ data }) => codec.inspect(data).keyframe)
      .map((packet) => packet.timestamp);
    const next = keys[1] ?? 0;
    assert.ok(next > 6);
    const decoder = await codec.open();
    for (const packet of clip.packets.slice(0, next + 2)) {
      const lost = packet.timestamp === 5;
      // Cut short in its header: damage that no decoder can overlook.
      const data = lost ? packet.data.slice(0, 6) : packet.data;
      const result = await decoder.decode({ data, timestamp: packet.timestamp });
      const good = result.pictures.filter((picture) => !picture.damaged).length;
      const spoilt = packet.timestamp >= 5 && packet.timestamp < next;
      assert.is(good, spoilt ? 0 : 1, `packet ${packet.timestamp}`);
      if (lost) assert.ok(result.fault !== undefined);
    }
    await decoder.close();
  });
}

test('damage is repeatable by its seed', () => {
  const packets = [{ data: new Uint8Array(100).fill(7), timestamp: 0 }];
  const run = (): number[] => damagePackets(packets, 5, 1).packets.flatMap(({ data }) => [...data]);
  assert.equal(run(), run());
});

test.run();
