/** The results of a comparison in a few rows, one for each part of the call. */
import { counted } from '../../text/messages.ts';
import { isOfDiffusers, type StageResult } from '../stageResult.ts';

/** A part of the call: its stage, and the worst of its blocks. */
export interface SummaryRow {
  /** `noise`, `embeddings`, `encode`, `step 1`, ..., `decode`, or `frames` as 8-bit values. */
  part: string;
  /** Absent if the reference has only blocks of the part. */
  stage?: StageResult;
  block?: StageResult;
}

const stageParts: Record<string, string> = {
  image_noise: 'noise',
  added_time_ids: 'noise',
  initial_latents: 'noise',
  image_embeddings: 'embeddings',
  image_latents: 'encode',
  frames: 'decode',
};

/** @param blockStep The step that the blocks of the UNet are from. */
function partOf(stage: string, blockStep: number | null): string {
  if (stage.startsWith('block.unet.')) return `step ${(blockStep ?? 0) + 1}`;
  if (stage.startsWith('block.vae.decoder.')) return 'decode';
  if (stage.startsWith('block.')) return 'encode';
  const step = /^latents_step_(\d+)$/.exec(stage)?.[1];
  return step === undefined ? (stageParts[stage] ?? stage) : `step ${Number(step) + 1}`;
}

/** Sorts parts as the call has them. */
const ranks = ['noise', 'embeddings', 'encode', 'step', 'decode', 'frames'];
const rankOf = (part: string) =>
  1e6 * ranks.indexOf(part.split(' ')[0]) + (Number(part.split(' ')[1]) || 0);

/** The distance that decides: from diffusers, or where that is too far, from float64. */
export function distanceOf({ comparison, float64, tolerance }: StageResult): number {
  const distance = comparison?.relativeL2 ?? Number.NaN;
  return distance <= tolerance ? distance : (float64?.own ?? distance);
}

/** How many times its tolerance a result is away; infinite if it could not be compared. */
function excess(result: StageResult): number {
  const times = distanceOf(result) / result.tolerance;
  return Number.isNaN(times) ? Number.POSITIVE_INFINITY : times;
}

const worse = (a: StageResult | undefined, b: StageResult) =>
  a !== undefined && excess(a) >= excess(b) ? a : b;

/** The rows, in the order of the call. */
export function summarize(stages: readonly StageResult[], blockStep: number | null): SummaryRow[] {
  const rows = new Map<string, SummaryRow>();
  for (const result of stages) {
    const part = partOf(result.stage, blockStep);
    const row = rows.get(part) ?? { part };
    const kind = result.stage.startsWith('block.') ? 'block' : 'stage';
    rows.set(part, { ...row, [kind]: worse(row[kind], result) });
    if (result.stage === 'frames') rows.set('frames', { part: 'frames', stage: result });
  }
  return [...rows.values()].sort((a, b) => rankOf(a.part) - rankOf(b.part));
}

/** A small number in few letters. */
export const short = (value: number): string => value.toExponential(1);

/** `3.1e-7 within 3e-5`, or why there is no distance. */
export function verdictOf(result: StageResult): string {
  const { tolerance, comparison, problem } = result;
  if (!comparison) return problem ?? '';
  const distance = distanceOf(result);
  const verdict = distance <= tolerance ? 'within' : 'ABOVE';
  return `${short(distance)} ${verdict} ${tolerance.toExponential()}`;
}

/** The 8-bit values of frames in words. */
export function bytesOf({ comparison, problem }: StageResult): string {
  if (!comparison) return problem ?? '';
  const { equalBytes, largestByteDifference } = comparison;
  if (largestByteDifference === 0) return 'all 8-bit values equal';
  const share = Math.floor(1e5 * equalBytes) / 1e3; // not 100 % unless all are
  return `${share.toFixed(3)} % of the 8-bit values equal, the others off by up to ${largestByteDifference}`;
}

/** What a row shows of its stage. */
export const stageCell = ({ part, stage }: SummaryRow): string => {
  if (stage === undefined) return '';
  return part === 'frames' ? bytesOf(stage) : verdictOf(stage);
};

/** What a row shows of its worst block. */
export const blockCell = ({ block }: SummaryRow): string =>
  block === undefined
    ? ''
    : `${block.comparison ? short(distanceOf(block)) : '?'} ${block.stage.replace(/^block\.(unet|vae)\./, '')}`;

/** Sentences that explain verdicts. */
export function notesOf(stages: readonly StageResult[]): string[] {
  const isSmall = (result: StageResult) => result.within && result.stage.startsWith('block.');
  const notes = stages
    .filter((result) => !isSmall(result))
    .flatMap((one) => float64Note(one) ?? []);
  const alike = stages.filter((result) => isSmall(result) && float64Note(result)).length;
  if (alike > 0) notes.push(`Float64 decides for ${counted(alike, 'block')} of the encoder, too`);
  const carried = stages.filter(({ onReferenceInputs }) => onReferenceInputs).length;
  if (carried > 0)
    notes.push(
      `Above tolerance in the call but within it on the inputs of diffusers: ` +
        `${counted(carried, 'block')}. The difference comes from the stages before`,
    );
  return notes.map((note) => `${note}.`);
}

/**
 * Says who is off where float64 has decided, or where the replay goes on with diffusers' values.
 */
function float64Note(result: StageResult): string | undefined {
  const { stage, tolerance, comparison, float64 } = result;
  const blame = isOfDiffusers(result) ? ': the difference is that of diffusers' : '';
  if (!float64 || (blame === '' && comparison!.relativeL2 <= tolerance)) return undefined;
  const { own, diffusers } = float64;
  return `${stage} is ${short(own)} from float64 here, ${short(diffusers)} in diffusers${blame}`;
}

/** `All 12 within tolerance.`, or how many are not and which is the first. */
export function conclusion(stages: readonly StageResult[]): string {
  const broken = stages.filter(({ within }) => !within);
  return broken.length === 0
    ? `All ${stages.length} within tolerance.`
    : `${broken.length} of ${stages.length} above tolerance, first ${broken[0].stage}.`;
}
