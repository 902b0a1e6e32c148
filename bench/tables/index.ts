/** All tables, in the order of the report. */
import type { Table } from '../harness/table.js';
import { disjoint } from './disjoint.js';
import { frames } from './frames.js';
import { handOff } from './hand-off.js';
import { load } from './load.js';
import { queue } from './queue.js';

export const tables: readonly Table[] = [queue, handOff, disjoint, load, frames];
