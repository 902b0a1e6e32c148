/** Entry of the reaper's worker. */
import { type ReaperTask, runReaper } from './reaper.js';

export default async function reaperMain(task: ReaperTask): Promise<void> {
  try {
    await runReaper(task);
  } catch {
    process.exit(1); // its thread goes with it: another reaper is started
  }
}
