/** All tables, in the order of the report. */
import type { Table } from '../harness/table.js';
import { calls } from './calls.js';
import { costs } from './costs.js';
import { displayCalls } from './display-calls.js';
import { disjoint } from './disjoint.js';
import { flips } from './flips.js';
import { frames } from './frames.js';
import { handOff } from './hand-off.js';
import { load } from './load.js';
import { pipeline } from './pipeline.js';
import { queue } from './queue.js';
import { recovery } from './recovery.js';
import { scale } from './scale.js';
import { scaling } from './scaling.js';
import { shaderCores } from './shader-cores.js';
import { stages } from './stages.js';

export const tables: readonly Table[] = [
  queue,
  handOff,
  disjoint,
  load,
  frames,
  stages,
  calls,
  costs,
  recovery,
  scaling,
  scale,
  pipeline,
  displayCalls,
  shaderCores,
  flips,
];
