/** A stage of a pipeline behind Comlink. */
import { parentPort } from 'node:worker_threads';
import { type Comlink, type NodeEndpoint, peer } from '../harness/peers.js';
import { stage } from './pool-stage.js';

const comlink = await peer<Comlink>('comlink');
const adapter = await peer<{ readonly default: NodeEndpoint }>('comlink/dist/esm/node-adapter.mjs');
if (comlink !== undefined && adapter !== undefined && parentPort !== null) {
  comlink.expose(
    {
      stage(frame: Uint32Array<ArrayBuffer>, last: boolean, move: boolean) {
        const done = stage({ frame, last });
        return move ? comlink.transfer(done, [done.buffer]) : done;
      },
    },
    adapter.default(parentPort),
  );
}
