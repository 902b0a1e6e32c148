/** A stage of a pipeline as a method of a workerpool worker. */
import { peer, type Workerpool } from '../harness/peers.js';
import { stage } from './pool-stage.js';

const workerpool = await peer<Workerpool>('workerpool');
workerpool?.worker({
  stage: (frame: Uint32Array<ArrayBuffer>, last: boolean) => stage({ frame, last }),
});
