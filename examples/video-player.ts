/**
 * The video player that `npm start` runs: a real clip through four worker actors (codec, GPU,
 * display, writeback), queued ahead and then left alone. `--help` lists what it can do.
 *
 * Start reading at player/pipeline.ts: how a frame is queued. player/play.ts is the run as a whole.
 */
import { main } from './player/main.js';

process.exitCode = await main(process.argv.slice(2));
