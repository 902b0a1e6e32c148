/** A broker that is told to die by a word of kernel memory: for tests of what the others then see. */
import brokerMain, { type BrokerTask } from '../actor/broker.js';
import { HEADER } from '../memory/layout.js';
import { Words } from '../memory/words.js';
import { threadMem } from '../substrate/memory.js';

/** The test driver's word that says so: the last of its 64. */
export const BROKER_DIES = 63;

export default async function mortalBroker(task: BrokerTask): Promise<void> {
  const words = new Words(threadMem.importRegion(task.boot.control).buffer);
  const index = words.get(HEADER.DRIVERS) + BROKER_DIES;
  setInterval(() => {
    if (words.load(index) !== 0) process.exit(9);
  }, 5);
  await brokerMain(task);
}
