/**
 * Links of a job: ten in its own record; beyond that, each record's tenth link leads to a further one.
 *
 * A further record is a slot of the job table with JOB_FLAG.MORE and JOB.CONTEXT = the record
 * before it. Its state word has a mask of its own; when that is full, the tenth bit of the record
 * before it is granted, and so on up to the job itself. So a grant is one bit, whatever the number
 * of links.
 */
import type { Kernel } from '../kernel.js';
import type { Words } from '../memory/words.js';
import { JOB, JOB_FLAG, LINK, LINK_FLAG, RECORD_LINKS } from '../memory/layout.js';

/** The slot of a record that leads to the next one. */
export const MORE_SLOT: number = RECORD_LINKS - 1;

/** How many records a job of `links` links takes. */
export function recordsFor(links: number): number {
  return links <= RECORD_LINKS ? 1 : 1 + Math.ceil((links - RECORD_LINKS) / MORE_SLOT);
}

/** How many links stand in record `record` of a job of `links`, the one that leads on included. */
export function linksIn(links: number, record: number): number {
  const left = links - record * MORE_SLOT;
  return left <= RECORD_LINKS ? left : RECORD_LINKS;
}

/** Record and slot of link `i` of a job of `links`. */
export function placeOf(links: number, i: number): { record: number; slot: number } {
  const last = recordsFor(links) - 1;
  const record = Math.min(last, Math.floor(i / MORE_SLOT));
  return { record, slot: i - record * MORE_SLOT };
}

/** Walking the links of a job: `for (let l = firstLink(words, job); l !== 0; l = nextLink(words, l))`. */
export function firstLink(words: Words, job: number): number {
  return words.get(job + JOB.LINKS) === 0 ? 0 : job + JOB.LINK;
}

/** The link after `link`, in further records too; 0 after the last one. */
export function nextLink(words: Words, link: number): number {
  const record = link & ~63;
  const next = link + LINK.WORDS;
  if ((next - record - JOB.LINK) / LINK.WORDS >= words.get(record + JOB.LINKS)) return 0;
  const target = words.get(next + LINK.TARGET);
  return (target & LINK_FLAG.MORE) === 0 ? next : (target & LINK_FLAG.TARGET_MASK) + JOB.LINK;
}

/** The record after `record`, 0 for the last one. */
export function nextRecord(kernel: Kernel, record: number): number {
  const { words } = kernel;
  if (words.get(record + JOB.LINKS) < RECORD_LINKS) return 0;
  const target = words.get(record + JOB.LINK + MORE_SLOT * LINK.WORDS + LINK.TARGET);
  return (target & LINK_FLAG.MORE) === 0 ? 0 : target & LINK_FLAG.TARGET_MASK;
}

/** Whether a record holds further links of another one. */
export function isFurther(kernel: Kernel, record: number): boolean {
  return (kernel.words.get(record + JOB.FLAGS) & JOB_FLAG.MORE) !== 0;
}
