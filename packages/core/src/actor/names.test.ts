// The name directory: what is published is what every thread reads.
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DeviceNode, publishNames, readNames } from './names.js';

function sent(token: unknown): unknown {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(token);
  const received: { message: unknown } | undefined = receiveMessageOnPort(port2);
  port1.close();
  return received?.message;
}

const node = (path: string, info: unknown = null): DeviceNode => ({
  path,
  driver: 'd',
  actor: 3,
  info,
  reach: { pool: true, align: 64 },
  protected: false,
});

test('a directory that went through a port has the nodes that were published', () => {
  const nodes = ['/dev/ion', '/dev/video0', '/dev/dri/card0'].map((path, i) =>
    node(path, { i, text: 'ü' }),
  );
  const names = readNames(sent(publishNames(nodes)));
  assert.equal(
    [...names.values()].toSorted((a, b) => a.path.localeCompare(b.path)),
    nodes.toSorted((a, b) => a.path.localeCompare(b.path)),
  );
  assert.is(names.get('/dev/null'), undefined);
});

test('an empty directory is empty', () => {
  assert.is(readNames(sent(publishNames([]))).size, 0);
});

test('a path or a description that does not fit is refused, one that just fits is kept', () => {
  const fits = `/${'x'.repeat(126)}`;
  assert.is(readNames(publishNames([node(fits)])).get(fits)?.path, fits);
  for (const bad of [node(`${fits}x`), node('/dev/x', 'y'.repeat(1024))]) {
    assert.throws(() => publishNames([bad]), /does not fit the directory/);
  }
});

test.run();
