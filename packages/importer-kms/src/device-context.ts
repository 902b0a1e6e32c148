/**
 * The one context of a device: made by the device when it first starts, named in a register, so that
 * all threads submit to the same line. A restarted device goes on with it.
 */
import { DmaBufError, type Machine } from '@dmabuf/core';
import type { DriverDoor } from '@dmabuf/core/driver';

/** Makes the context that `register` names, unless it is there. By the device, before it serves. */
export function adoptContext(
  machine: Machine,
  door: DriverDoor,
  register: number,
  name: string,
): void {
  const { words, base } = door;
  if (isLive(machine, words.get(base + register))) return;
  words.store(base + register, machine.createContext(machine.self, name).id);
}

function isLive(machine: Machine, id: number): boolean {
  if (id === 0) return false;
  try {
    machine.contextById(id);
    return true;
  } catch (error) {
    if (error instanceof DmaBufError && error.code === 'ENOENT') return false;
    throw error;
  }
}
