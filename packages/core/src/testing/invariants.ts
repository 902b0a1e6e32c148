/**
 * The invariants of all tables of kernel memory (design D1, D6, D11), checked while nobody is in a call:
 * what must hold whatever happened before, deaths included.
 */
import { kindOf, objectWord, pointerOf } from '../fd/object-word.js';
import type { Kernel } from '../kernel.js';
import {
  ACTOR,
  ACTOR_STATE,
  BUFFER,
  CONTEXT,
  CONTEXT_FLAG,
  FD_WORDS,
  HEADER,
  HOLDER,
  HOLDER_FLAG,
  HOLDER_KIND,
  JOB,
  JOB_FLAG,
  JOB_STATE,
  JOB_STATE_MASK,
  LINK,
  LINK_FLAG,
  LISTED,
  MAIL,
  MAIL_SLOT,
  OBJECT,
  ORPHAN,
  PRIVATE,
  QUEUE,
  REGION,
  SYNC_FILE,
  SYNC_FILE_POINTS,
  SYNC_POINT,
  TIMELINE,
} from '../memory/layout.js';
import { jobOfLink } from '../sync/queue.js';
import { checkQueues } from './check-queues.js';

/** All breaches, as sentences; empty when all is well. */
export function checkInvariants(kernel: Kernel): string[] {
  const faults = checkQueues(kernel);
  const checks = [
    checkLocks,
    checkReferences,
    checkHolds,
    checkFreeJobs,
    checkStages,
    checkContexts,
    checkBuffers,
    checkTimelines,
    checkReady,
    checkDependents,
    checkActors,
  ];
  for (const check of checks) check(kernel, (text) => void faults.push(text));
  return faults;
}

type Report = (text: string) => void;

function stageOf({ words }: Kernel, job: number): number {
  return words.get(job + JOB.STATE) & JOB_STATE_MASK;
}

function* allJobs(kernel: Kernel): Generator<number> {
  for (let i = 0; i < kernel.jobs.count; i++) yield kernel.jobs.at(i);
}

/** No lock is held between calls. Those of jobs and queues: checkQueues. */
function checkLocks(kernel: Kernel, report: Report): void {
  const { words, contexts, timelines, buffers, actors } = kernel;
  const free = (index: number, what: string): void => {
    if (words.get(index) !== 0) report(`${what} is held (${words.get(index)})`);
  };
  for (const name of ['ACTOR', 'BUFFER', 'CONTEXT', 'JOB', 'FENCE'] as const) {
    free(HEADER[`${name}_LOCK`], `${name}_LOCK`);
  }
  for (const context of contexts.live()) free(context + CONTEXT.LOCK, `context ${context}'s LOCK`);
  for (const line of timelines.live()) free(line + TIMELINE.LOCK, `timeline ${line}'s LOCK`);
  for (const buffer of buffers.live()) free(buffer + BUFFER.LOCK, `buffer ${buffer}'s LOCK`);
  for (let actor = 0; actor < actors.count; actor++) {
    free(boxOf(kernel, actor) + MAIL.LOCK, `the LOCK of mailbox ${actor}`);
  }
}

function boxOf({ words }: Kernel, actor: number): number {
  return words.get(HEADER.MAIL) + actor * words.get(HEADER.MAIL_WORDS);
}

/** REFS is the number of records; what has none is gone, or an orphan that jobs still claim. */
function checkReferences(kernel: Kernel, report: Report): void {
  const { words, actors, holders } = kernel;
  const counted = new Map<number, number>();
  const count = (object: number): void => void counted.set(object, (counted.get(object) ?? 0) + 1);
  const entries = words.get(HEADER.FD_COUNT) + words.get(HEADER.FD_PARKED);
  for (let i = 0; i < actors.count * entries; i++) {
    const object = words.get(words.get(HEADER.FDS) + i * FD_WORDS);
    if (kindOf(object) !== OBJECT.NONE) count(object);
  }
  for (let actor = 0; actor < actors.count; actor++) {
    for (const object of mailedTo(kernel, actor)) count(object);
  }
  for (const holder of holders.live()) {
    count(objectWord(OBJECT.DMABUF, words.get(holder + HOLDER.BUFFER)));
  }
  const tables = [
    [OBJECT.DMABUF, kernel.buffers],
    [OBJECT.SYNC_FILE, kernel.syncFiles],
    [OBJECT.TIMELINE, kernel.timelines],
  ] as const;
  const known = new Set<number>();
  for (const [kind, table] of tables) {
    for (const pointer of table.live()) {
      if (kind === OBJECT.SYNC_FILE && words.get(pointer + SYNC_FILE.OWNER) === 0) continue;
      const object = objectWord(kind, pointer);
      known.add(object);
      const refs = words.get(pointer + BUFFER.REFS);
      const there = counted.get(object) ?? 0;
      const orphan = kind === OBJECT.DMABUF && isClaimedOrphan(kernel, pointer);
      if (there === 0 && !orphan) report(`object ${kind}:${pointer} leaks: nothing refers to it`);
      if (there > 0 && refs !== there)
        report(`object ${kind}:${pointer}: REFS ${refs}, not ${there}`);
    }
  }
  for (const object of counted.keys()) {
    if (!known.has(object))
      report(`a reference to ${kindOf(object)}:${pointerOf(object)}, which is gone`);
  }
}

function isClaimedOrphan({ words }: Kernel, buffer: number): boolean {
  const queue = words.get(buffer + BUFFER.QUEUE);
  return words.get(queue + QUEUE.ORPHAN) === ORPHAN.WAITING && words.get(queue + QUEUE.HEAD) !== 0;
}

function* mailedTo(kernel: Kernel, actor: number): Generator<number> {
  const { words } = kernel;
  const box = boxOf(kernel, actor);
  const slots = words.get(HEADER.FD_PARKED);
  const slotWords = words.get(HEADER.MAIL_SLOT_WORDS);
  const slotBytes = (slotWords - MAIL_SLOT.BODY) * 4;
  const tail = words.get(box + MAIL.TAIL);
  for (let at = words.get(box + MAIL.HEAD); ((tail - at) | 0) > 0;) {
    const slot = box + MAIL.SLOTS + ((at >>> 0) % slots) * slotWords;
    const object = words.get(slot + MAIL_SLOT.OBJECT);
    if (object !== 0) yield object;
    at = (at + Math.max(1, Math.ceil(words.get(slot + MAIL_SLOT.LENGTH) / slotBytes))) | 0;
  }
}

/** HOLDS is the number of points of sync files that pin a slot, all for its present generation. */
function checkHolds(kernel: Kernel, report: Report): void {
  const { words, syncFiles } = kernel;
  const pins = new Map<number, number>();
  for (const file of syncFiles.live()) {
    for (let i = 0; i < Math.min(words.get(file + SYNC_FILE.COUNT), SYNC_FILE_POINTS); i++) {
      const at = file + SYNC_FILE.POINTS + i * SYNC_POINT.WORDS;
      if (words.get(at + SYNC_POINT.STATUS) !== 0) continue;
      const slot = words.get(at + SYNC_POINT.SLOT);
      pins.set(slot, (pins.get(slot) ?? 0) + 1);
      if (words.get(slot + JOB.GEN) !== words.get(at + SYNC_POINT.GENERATION)) {
        report(`sync file ${file} pins a slot that was recycled`);
      }
    }
  }
  for (const job of allJobs(kernel)) {
    const held = words.get(job + JOB.HOLDS);
    if (held !== (pins.get(job) ?? 0))
      report(`job ${job}: HOLDS ${held}, not ${pins.get(job) ?? 0}`);
    if (stageOf(kernel, job) === JOB_STATE.RELEASED && held === 0) {
      report(`job ${job} is kept and nobody pins it`);
    }
  }
}

/** Every slot is in exactly one place: the global list, a live actor's stack, or use. */
function checkFreeJobs(kernel: Kernel, report: Report): void {
  const { words, actors } = kernel;
  const listed = new Set<number>();
  for (let job = words.get(HEADER.FREE_JOBS); job !== 0; job = words.get(job + JOB.NEXT)) {
    if (listed.has(job)) {
      report(`job ${job} is twice in the free list`);
      return;
    }
    listed.add(job);
    if (!kernel.jobs.owns(job)) {
      report(`the free list leads to ${job}, which is no job`);
      return;
    }
    if (stageOf(kernel, job) !== JOB_STATE.FREE)
      report(`job ${job} is in use and in the free list`);
    if (words.get(job + JOB.HOME) !== 0) report(`job ${job} is in the free list and has a home`);
  }
  for (const job of allJobs(kernel)) {
    if (stageOf(kernel, job) !== JOB_STATE.FREE || listed.has(job)) continue;
    const home = words.get(job + JOB.HOME);
    if (home === 0) report(`job ${job} is free and in no list`);
    else if (words.get(job + JOB.NEXT) !== PRIVATE)
      report(`job ${job} leaks: taken, and not in use`);
    else if (words.get(actors.at(home) + ACTOR.STATE) !== ACTOR_STATE.LIVE) {
      report(`job ${job} is on the stack of actor ${home}, which is gone`);
    }
  }
}

/** States that are left before a call ends. */
function checkStages(kernel: Kernel, report: Report): void {
  const { words } = kernel;
  const passing = new Set<number>([
    JOB_STATE.BUILDING,
    JOB_STATE.CANCELLING,
    JOB_STATE.RECALLING,
    JOB_STATE.ENDING,
    JOB_STATE.EVICTING,
    JOB_STATE.RECLAIM,
  ]);
  for (const job of allJobs(kernel)) {
    const stage = stageOf(kernel, job);
    if (passing.has(stage)) report(`job ${job} is left half done, in state ${stage}`);
    const flags = words.get(job + JOB.FLAGS);
    if (stage === JOB_STATE.READY && (flags & JOB_FLAG.AUTO) !== 0) {
      report(`job ${job} was to end by itself and has not`);
    }
  }
}

/** The jobs in flight of an ordered line are those between COMPLETED and SUBMITTED. */
function checkContexts(kernel: Kernel, report: Report): void {
  const { words, contexts, actors } = kernel;
  for (const context of contexts.live()) {
    const closed = words.get(context + CONTEXT.CLOSED) !== 0;
    const pending = [...allJobs(kernel)].filter((job) => {
      const stage = stageOf(kernel, job);
      const flying = stage >= JOB_STATE.PENDING && stage <= JOB_STATE.RUNNING;
      const further = (words.get(job + JOB.FLAGS) & JOB_FLAG.MORE) !== 0;
      return flying && !further && words.get(job + JOB.CONTEXT) === context;
    });
    const owner = words.get(context + CONTEXT.OWNER);
    const state = owner === 0 ? ACTOR_STATE.FREE : words.get(actors.at(owner) + ACTOR.STATE);
    if (owner !== 0 && state === ACTOR_STATE.FREE && !closed) {
      report(`context ${context} belongs to actor ${owner}, which is gone`);
    }
    if ((words.get(context + CONTEXT.FLAGS) & CONTEXT_FLAG.UNORDERED) !== 0) continue;
    const open =
      words.getDouble(context + CONTEXT.SUBMITTED) - words.getDouble(context + CONTEXT.COMPLETED);
    if (open !== pending.length) {
      report(`context ${context} counts ${open} jobs in flight, there are ${pending.length}`);
    }
  }
}

/** What is counted of buffers, regions and holders is what there is; queue and buffer point at each other. */
function checkBuffers(kernel: Kernel, report: Report): void {
  const { words, buffers, queues, regions, actors } = kernel;
  let live = 0;
  let bytes = 0;
  const inside = new Map<number, number>();
  for (const buffer of buffers.live()) {
    live++;
    bytes += words.getDouble(buffer + BUFFER.SIZE);
    const region = words.get(buffer + BUFFER.REGION);
    inside.set(region, (inside.get(region) ?? 0) + 1);
    const queue = words.get(buffer + BUFFER.QUEUE);
    const known =
      words.get(queue + QUEUE.STATE) !== 0 && words.get(queue + QUEUE.BUFFER) === buffer;
    if (!known) report(`buffer ${buffer} has no queue`);
    checkHolders(kernel, buffer, report);
  }
  if (words.get(HEADER.BUFFERS_LIVE) !== live) report(`BUFFERS_LIVE is not ${live}`);
  if (words.getDouble(HEADER.BYTES_EXPORTED) !== bytes) report(`BYTES_EXPORTED is not ${bytes}`);
  for (const region of regions.live()) {
    const there = inside.get(region) ?? 0;
    if (words.get(region + REGION.BUFFERS) !== there) {
      report(`region ${region}: BUFFERS is not ${there}`);
    }
  }
  for (const queue of queues.live()) {
    const buffer = words.get(queue + QUEUE.BUFFER);
    if (buffer !== 0 && words.get(buffer + BUFFER.STATE) === 0) {
      report(`queue ${queue} leaks: its buffer is gone`);
    }
  }
  for (const holder of kernel.holders.live()) {
    const owner = words.get(holder + HOLDER.OWNER);
    if (words.get(actors.at(owner) + ACTOR.STATE) === ACTOR_STATE.FREE) {
      report(`holder ${holder} leaks: actor ${owner} is gone`);
    }
  }
}

function checkHolders(kernel: Kernel, buffer: number, report: Report): void {
  const { words, holders } = kernel;
  const there = { ATTACHMENTS: 0, MAPPINGS: 0, VMAPS: 0, DEVICE_MAPS: 0, PINS: 0 };
  for (const holder of holders.live()) {
    if (words.get(holder + HOLDER.BUFFER) !== buffer) continue;
    const mapped = words.get(holder + HOLDER.MAPS) > 0 ? 1 : 0;
    const kind = words.get(holder + HOLDER.KIND);
    if (kind === HOLDER_KIND.MAPPING) there.MAPPINGS += mapped;
    if (kind === HOLDER_KIND.VMAP) there.VMAPS += mapped;
    if (kind !== HOLDER_KIND.ATTACHMENT) continue;
    const dynamic = (words.get(holder + HOLDER.FLAGS) & HOLDER_FLAG.DYNAMIC) !== 0;
    there.ATTACHMENTS++;
    there.DEVICE_MAPS += mapped;
    there.PINS += words.get(holder + HOLDER.PINS) + (dynamic ? 0 : mapped);
  }
  for (const field of ['ATTACHMENTS', 'MAPPINGS', 'VMAPS', 'DEVICE_MAPS', 'PINS'] as const) {
    const counted = words.get(buffer + BUFFER[field]);
    if (counted !== there[field]) {
      report(`buffer ${buffer}: ${field} is ${counted}, not ${there[field]}`);
    }
  }
}

/** A timeline's list: ascending, pending, beyond its value; and no fence of it is elsewhere. */
function checkTimelines(kernel: Kernel, report: Report): void {
  const { words, timelines } = kernel;
  const listed = new Set<number>();
  const contexts = new Set<number>();
  for (const line of timelines.live()) {
    contexts.add(words.get(line + TIMELINE.CONTEXT));
    let point = words.getDouble(line + TIMELINE.VALUE);
    let first = true;
    for (let job = words.get(line + TIMELINE.HEAD); job !== 0;) {
      if (listed.has(job)) {
        report(`timeline ${line}: its list runs in a circle`);
        return;
      }
      listed.add(job);
      const seqno = words.getDouble(job + JOB.SEQNO);
      if (first ? seqno <= point : seqno < point)
        report(`timeline ${line}: fence ${seqno} is late`);
      if (stageOf(kernel, job) !== JOB_STATE.RUNNING)
        report(`timeline ${line}: job ${job} has ended`);
      point = seqno;
      first = false;
      job = words.get(job + JOB.LINK + LINK.NEXT);
    }
  }
  for (const job of allJobs(kernel)) {
    const bare = (words.get(job + JOB.FLAGS) & JOB_FLAG.BARE) !== 0;
    if (!bare || stageOf(kernel, job) !== JOB_STATE.RUNNING || listed.has(job)) continue;
    const of = contexts.has(words.get(job + JOB.CONTEXT)) ? 'stands on no list' : 'has no timeline';
    const was = words.get(job + JOB.COOKIE) === LISTED ? ' any more' : '';
    report(`fence ${job} ${of}${was}`);
  }
}

/** A leaf bit of a ready set has its summary bit: else its actor sleeps over it. */
function checkReady(kernel: Kernel, report: Report): void {
  const { words, actors, jobs } = kernel;
  const summaries = Math.ceil(jobs.count / 1024);
  for (let actor = 1; actor < actors.count; actor++) {
    if (words.get(actors.at(actor) + ACTOR.STATE) !== ACTOR_STATE.LIVE) continue;
    const set = words.get(HEADER.READY) + actor * words.get(HEADER.READY_WORDS);
    for (let leaf = 0; leaf * 32 < jobs.count; leaf++) {
      if (words.get(set + summaries + leaf) === 0) continue;
      if ((words.get(set + (leaf >> 5)) & (1 << (leaf & 31))) !== 0) continue;
      report(`the ready set of actor ${actor} holds jobs that its summary does not show`);
    }
  }
}

/** Who waits for a fence stands on its list, and the fence is pending. */
function checkDependents(kernel: Kernel, report: Report): void {
  const { words } = kernel;
  const listed = new Set<number>();
  for (const job of allJobs(kernel)) {
    let prev = 0;
    for (let link = words.get(job + JOB.DEP_HEAD); link !== 0; link = words.get(link + LINK.NEXT)) {
      if (listed.has(link)) {
        report(`job ${job}: its list of dependents runs in a circle`);
        return;
      }
      listed.add(link);
      if (words.get(link + LINK.TARGET) !== (job | LINK_FLAG.FENCE)) {
        report(`job ${job}: link ${link} on its list waits for something else`);
      }
      if (words.get(link + LINK.PREV) !== prev)
        report(`job ${job}: PREV of dependent ${link} is wrong`);
      prev = link;
    }
    if (prev !== 0 && words.get(job + JOB.DEP_TAIL) !== prev)
      report(`job ${job}: DEP_TAIL is wrong`);
    const stage = stageOf(kernel, job);
    const pending = stage >= JOB_STATE.BUILDING && stage <= JOB_STATE.RUNNING;
    if (prev !== 0 && !pending) report(`job ${job} has ended and has dependents`);
  }
  for (const job of allJobs(kernel)) {
    if (stageOf(kernel, job) !== JOB_STATE.PENDING) continue;
    for (let i = 0; i < words.get(job + JOB.LINKS); i++) {
      const link = job + JOB.LINK + i * LINK.WORDS;
      const target = words.get(link + LINK.TARGET);
      const waits = (target & LINK_FLAG.FENCE) !== 0 && (target & LINK_FLAG.TARGET_MASK) !== 0;
      if (waits && !listed.has(link)) report(`job ${jobOfLink(link)} waits on no list`);
    }
  }
}

/** Between calls nobody is half-way through ending a job; the dead hold nothing. */
function checkActors(kernel: Kernel, report: Report): void {
  const { words, actors } = kernel;
  const entries = words.get(HEADER.FD_COUNT) + words.get(HEADER.FD_PARKED);
  for (let actor = 1; actor < actors.count; actor++) {
    const at = actors.at(actor);
    const finishing = words.get(at + ACTOR.FINISHING);
    if (finishing !== 0) report(`actor ${actor} is half-way through ending job ${finishing}`);
    if (words.get(at + ACTOR.STATE) !== ACTOR_STATE.FREE) continue;
    for (let fd = 0; fd < entries; fd++) {
      const entry = words.get(HEADER.FDS) + (actor * entries + fd) * FD_WORDS;
      if (words.get(entry) !== 0) report(`fd ${fd} of actor ${actor}, which is gone, is open`);
    }
  }
}
