/**
 * The name directory: `/dev/video0` → which actor serves it (design D5, D14).
 *
 * A sharedmap, filled by one thread before it is handed out and read-only afterwards, so that
 * nobody can meet its owner-less locks; never full, for updating a full one hangs; keys and values
 * are capped one below their slot, where it would overwrite its neighbour. A change makes a new
 * map.
 */
import SharedMap from 'sharedmap';
import type { Reach } from '../dmabuf/ops.js';
import { DmaBufError } from '../errno.js';

/** A device node. */
export interface DeviceNode {
  /** `/dev/dri/card0` */
  readonly path: string;
  /** Name of the driver that made it. */
  readonly driver: string;
  /** Actor id of the device behind it. */
  readonly actor: number;
  /** What the driver's own half needs to know of it. */
  readonly info: unknown;
  /** What memory it reaches (`DeviceSpec.reach`): what attach and submit go by. */
  readonly reach: Reach;
  /** It keeps protected memory to itself (`DeviceSpec.protected`). */
  readonly protected: boolean;
}

const KEY_BYTES = 128;
const VALUE_BYTES = 1024;

/** Makes the directory. What it returns can be posted to other threads. */
export function publishNames(nodes: readonly DeviceNode[]): unknown {
  const map = new SharedMap(nodes.length + 8, KEY_BYTES, VALUE_BYTES);
  for (const node of nodes) {
    const value = JSON.stringify(node);
    if (Buffer.byteLength(node.path) >= KEY_BYTES || Buffer.byteLength(value) >= VALUE_BYTES) {
      throw new RangeError(
        `boot: device node '${node.path}' does not fit the directory (${KEY_BYTES - 1} bytes of path, ${VALUE_BYTES - 1} of description)`,
      );
    }
    map.set(node.path, value);
  }
  return map;
}

/** Reads a directory that came through a port. */
export function readNames(token: unknown): ReadonlyMap<string, DeviceNode> {
  const map = Object.setPrototypeOf(token, SharedMap.prototype) as SharedMap;
  const nodes = new Map<string, DeviceNode>();
  for (const key of map.keys()) {
    const value = map.get(key);
    if (value === undefined) continue;
    nodes.set(key, JSON.parse(value) as DeviceNode);
  }
  return nodes;
}

/** The node of a device. ENOENT lists what there is. */
export function nodeOf(devices: ReadonlyMap<string, DeviceNode>, path: string): DeviceNode {
  const node = devices.get(path);
  if (node !== undefined) return node;
  const known = [...devices.keys()].join(', ') || 'none';
  const detail = `no device '${path}' in this machine (devices: ${known})`;
  throw new DmaBufError('ENOENT', 'open', detail);
}
