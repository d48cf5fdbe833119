/** `npm run bench -- --card`: parity, speed and memory on a graphics card, within ten minutes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { valuesIn } from '../measure.ts';
import { relativeL2 } from '../numbers.ts';
import { hasCheckpoint, installedPython, prepareCheckpoint } from '../prepare.ts';
import { Budget, type Effort } from './budget.ts';
import { onProcessor, parityCases, type SizedCase, sizedCases, workOf } from './cases.ts';
import { findPeer, findTargets, type Peer, type Target } from './devices.ts';
import { measureOne, type Side } from './measure.ts';
import { compareWithGoldens } from './parity.ts';
import { type CasePlan, planCase } from './plan.ts';
import { type CardResults, cardTables, type ParityRow, type SizedRow } from './table.ts';

const SECONDS = 600;

const full = 'bench/checkpoints/full';
const tiny = 'weights/tiny';

/** Receives the results after each process. */
export type Write = (results: CardResults) => void;

/** The checkpoint of the published size where there is a card and a way to get it. */
function chooseCheckpoint(onCard: boolean, notes: string[]): string {
  if (!onCard) return tiny;
  const python = installedPython();
  if (!hasCheckpoint(full)) {
    if (python === undefined) {
      notes.push(`There is no ${full}, which needs Python with torch: the small model runs.`);
      return tiny;
    }
    prepareCheckpoint(full, () => python);
  }
  return full;
}

/** The types that a target computes in, the most important first. */
const dtypesOf = ({ backend }: Target) =>
  backend === 'cuda' || backend === 'tensorflow'
    ? (['float16', 'float32'] as const)
    : (['float32'] as const);

/**
 * Runs the cases of these names, prints tables and what has been left out.
 * @returns Whether every comparison with the goldens that ran was within its bounds.
 */
export async function card(names: string[], write: Write): Promise<boolean> {
  const targets = await findTargets();
  const { onCard } = targets[0];
  const notes: string[] = [];
  if (!onCard)
    notes.push(
      'No graphics card was found. This is a run on the processor: a small model, small videos and ' +
        'few comparisons. Its figures say nothing about a card.',
    );
  const checkpoint = chooseCheckpoint(onCard, notes);
  const found = findPeer(onCard);
  if (typeof found === 'string') notes.push(`diffusers is not compared: ${found}.`);
  const peer = typeof found === 'string' ? undefined : found;
  for (const target of targets)
    if (dtypesOf(target).length === 1)
      notes.push(`${target.backend} computes in float32 only, so that nothing runs in half.`);
  const results: CardResults = {
    ...{ targets, checkpoint, notes },
    ...{ parity: [], sizes: [], left_out: [] },
  };
  for (const note of notes) console.error(note);
  const session = new Session(results, new Budget(SECONDS), peer, write);
  write(results);
  for (const name of names)
    for (const target of targets) {
      if (name in parityCases) session.parity(name, target);
      else await session.sized(name, target);
    }
  console.log(cardTables(results));
  return results.parity.every(({ failed }) => failed === 0);
}

/** The running of all cases. */
class Session {
  private readonly results: CardResults;
  private readonly budget: Budget;
  private readonly peer?: Peer;
  private readonly write: Write;

  constructor(results: CardResults, budget: Budget, peer: Peer | undefined, write: Write) {
    this.results = results;
    this.budget = budget;
    this.peer = peer;
    this.write = write;
  }

  /** Compares with the goldens. */
  parity(name: string, target: Target): void {
    const parity = parityCases[name];
    if (parity.dtype === 'half' && dtypesOf(target).length === 1) return;
    const what = `${name} on ${target.backend}`;
    if (this.isLate(what, { speed: what, work: 0 })) return;
    const row: ParityRow = { case: name, backend: target.backend };
    try {
      Object.assign(row, compareWithGoldens(parity, target, this.budget.left()));
    } catch (error) {
      row.failure = (error as Error).message;
    }
    this.results.parity.push(row);
    this.report(what, row.failure ?? `${row.passed} passed, ${row.failed} failed`);
  }

  /** Measures one part at a size in each type, and diffusers. */
  async sized(name: string, target: Target): Promise<void> {
    const { checkpoint } = this.results;
    const sized = target.onCard ? sizedCases[name] : onProcessor(sizedCases[name]);
    const folder = mkdtempSync(join(tmpdir(), 'svd-bench-'));
    try {
      let peers: SizedRow | undefined;
      for (const dtype of dtypesOf(target)) {
        const plan = await planCase(sized, checkpoint, target, dtype);
        const row = await this.one(name, { target }, sized, dtype, plan, join(folder, dtype));
        if (this.peer && this.isMeasuredBy(target) && !peers) {
          const { dtype: theirs } = this.peer;
          const file = join(folder, 'peer');
          peers = await this.one(name, { peer: this.peer }, sized, theirs, plan, file);
        }
        if (!row || !peers) continue;
        if (row.seconds && peers.seconds) {
          row.ratio = row.seconds / peers.seconds;
          const [ours, theirs] = [join(folder, dtype), join(folder, 'peer')].map(valuesIn);
          row.relative_l2 = relativeL2(ours, theirs);
        }
      }
      this.write(this.results);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** With two backends on one card, diffusers runs beside the first. */
  private isMeasuredBy = (target: Target) => target === this.results.targets[0];

  private async one(
    name: string,
    side: Side,
    sized: SizedCase,
    dtype: 'float16' | 'float32',
    plan: CasePlan,
    file: string,
  ): Promise<SizedRow | undefined> {
    const by = 'peer' in side ? 'diffusers' : side.target.backend;
    const what = `${name} in ${dtype} on ${by}`;
    const effort: Effort = { speed: `${by} ${sized.part} ${dtype}`, work: plan.work };
    if (this.isLate(what, effort)) return undefined;
    const device = 'peer' in side ? side.peer.device : undefined;
    const work = workOf(sized, this.results.checkpoint, {
      ...{ dtype: dtype === 'float32' ? undefined : dtype, settings: plan.settings, device },
    });
    const threads = availableParallelism();
    const figures = await measureOne(side, work, threads, this.budget, effort, file);
    if ('target' in side && side.target.backend === 'cuda')
      figures.host_kernels = await this.placement(side.target, sized, dtype, file);
    const row: SizedRow = {
      ...{ case: name, by, dtype, ...sized, ...figures },
      ...('target' in side && {
        predicted_process_bytes: plan.processBytes,
        predicted_device_bytes: plan.deviceBytes,
        choices: plan.choices,
        fits: plan.fits,
      }),
    };
    this.results.sizes.push(row);
    this.report(what, row.failure ?? `${row.seconds!.toFixed(3)} s`);
    return row;
  }

  private readonly placements = new Map<string, string[] | undefined>();

  /**
   * The kernels of a part that TensorFlow's log places on the processor. It is the same at every
   * size, and logging takes time: a process of its own runs the small model.
   */
  private async placement(
    target: Target,
    { part, ...sized }: SizedCase,
    dtype: 'float16' | 'float32',
    file: string,
  ): Promise<string[] | undefined> {
    const key = `${part} ${dtype}`;
    if (!this.placements.has(key)) {
      const work = workOf(onProcessor({ part, ...sized }), tiny, {
        dtype: dtype === 'float32' ? undefined : dtype,
      });
      const effort = { speed: 'placement', work: 0 };
      const [side, output] = [{ target }, `${file}-placement`];
      const figures = await measureOne(side, work, 1, this.budget, effort, output, true);
      this.placements.set(key, figures.host_kernels);
    }
    return this.placements.get(key);
  }

  private isLate(what: string, effort: Effort): boolean {
    if (this.budget.allows(effort)) return false;
    const [expected, left] = [this.budget.expected(effort), this.budget.left()];
    this.results.left_out.push(
      `${what}: about ${expected.toFixed(0)} s, of which ${left.toFixed(0)} s are left`,
    );
    this.report(what, 'left out, because the time is short');
    return true;
  }

  private report(what: string, result: string): void {
    console.error(`${what}: ${result}`);
    this.write(this.results);
  }
}
