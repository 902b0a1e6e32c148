/**
 * Starts a process of the machine: a worker of the player's own that joins and serves. The reporter
 * and the feeder are such.
 */
import { Worker } from 'node:worker_threads';
import type { JoinToken, Machine, Peer } from '@dmabuf/core';

/** What every such worker is started with, beside what it is for. */
export interface ProcessTask {
  readonly token: JoinToken;
}

/**
 * Starts the module `url` as process `name`; resolves when it serves. It ends with the machine. Rejects
 * with what it threw, should it never get that far. Of a later death the machine hears by itself.
 */
export async function startProcess(
  machine: Machine,
  name: string,
  url: URL,
  task: object,
): Promise<Peer> {
  const { workerData: token, transferList } = machine.invite(name);
  const worker = new Worker(url, { workerData: { ...task, token }, transferList });
  const died = new Promise<never>((_resolve, reject) => {
    worker.on('error', reject);
  });
  died.catch(() => {});
  return Promise.race([machine.peer(name), died]);
}
