/** The other processes of the fd cases. */
import type { Machine } from '../actor/machine.js';

/** Takes an fd of a dma-buf and keeps it, mapped and queued for, until it is terminated. */
export function keep(machine: Machine): void {
  const buffer = machine.dmabuf(machine.receiveFd(10_000).fd);
  const mapping = buffer.mmap();
  machine.send(2, { result: mapping.length });
  machine.receive();
}

/** Takes an fd of a dma-buf, and gives back what it says; the fd is left to `leave()`. */
export function look(machine: Machine): readonly number[] {
  const { fd } = machine.receiveFd(10_000);
  const buffer = machine.dmabuf(fd);
  const bracket = buffer.access({ read: true });
  const [first = 0] = bracket.words;
  bracket.finish();
  return [fd, buffer.size, first];
}
