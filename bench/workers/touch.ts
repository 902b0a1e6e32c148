/** What a stage does to a frame: it looks at sixteen words of it and writes them. */
const SPOTS = 16;

/** Words `spots` apart over the whole frame, each counted up by one. */
export function touch(words: Uint32Array<ArrayBufferLike>): void {
  const step = Math.floor(words.length / SPOTS);
  for (let at = 0; at + step <= words.length; at += step) words[at] = (words[at] ?? 0) + 1;
}
