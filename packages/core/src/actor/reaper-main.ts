/** Entry of the reaper's worker. */
import { type ReaperTask, runReaper } from './reaper.js';

export default async function reaperMain(task: ReaperTask): Promise<void> {
  await runReaper(task);
}
