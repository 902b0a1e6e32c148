/** A line about the machine that a report was made on. */
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os';

export function machineLine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const kind = isVirtual() ? 'virtual machine' : 'machine';
  const gib = Math.round(totalmem() / 2 ** 30);
  const what = `${availableParallelism()} cores, ${model}, ${gib} GiB, ${platform()} ${arch()} ${kind}`;
  return `${what}, Node ${process.versions.node}`;
}

/** Load average of the last minute: what else ran meanwhile. */
export function load(): number {
  return loadavg()[0] ?? 0;
}

function isVirtual(): boolean {
  try {
    return / hypervisor /.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}
