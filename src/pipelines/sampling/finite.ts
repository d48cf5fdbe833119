/** Checks that each stage of a sampling call has finite values, and says why it has not. */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyBlock, ComputeDtype } from '../../layers/index.ts';
import { widened } from '../../ops/index.ts';

/** Whether every value is finite. One number is read from the backend. */
export async function allFinite(x: tf.Tensor): Promise<boolean> {
  const finite = tf.tidy(() => tf.all(tf.isFinite(x)));
  const [yes] = await finite.data();
  finite.dispose();
  return yes === 1;
}

/** What a message about a stage says besides its name. */
interface StageDetails {
  /** When it was computed: `after step 1 of 25`. */
  when?: string;
  /** The type it was computed in. Default: that of the model. */
  computeDtype?: ComputeDtype;
}

/**
 * Checks the result of a model.
 * @param stage Its name, at the start of the message: `The frames`, `The latents`.
 * @param model The model that has computed it.
 * @throws Error that names the stage, the likely cause and the way out, if it is not finite.
 */
export async function checkFinite(
  x: tf.Tensor,
  stage: string,
  model: AnyBlock,
  { when, computeDtype = model.computeDtype }: StageDetails = {},
): Promise<void> {
  if (await allFinite(x)) return;
  const cause = await causeIn(model, computeDtype);
  throw new Error(`${[stage, 'are not finite', when].filter(Boolean).join(' ')}. ${cause}`);
}

async function causeIn(model: AnyBlock, computeDtype: ComputeDtype): Promise<string> {
  const broken = await brokenWeight(model);
  if (broken !== undefined) {
    const { className } = model.constructor as unknown as { className: string };
    return (
      `The weight ${broken} of ${className} is not finite: check the model folder, or ` +
      'try the float32 files.'
    );
  }
  return computeDtype === 'float16'
    ? 'float16 ends at 65504: use bfloat16 or float32.'
    : 'The weights may be broken: check the model folder, or try the float32 files.';
}

/** The first weight that is not finite. Those that are not in memory are passed over. */
async function brokenWeight(model: AnyBlock): Promise<string | undefined> {
  for (const { key, variable } of model.parameters()) {
    let values: tf.Tensor | undefined;
    try {
      values = tf.tidy(() => tf.clone(widened(variable.read())));
      if (!(await allFinite(values))) return key;
    } catch {
      // offloaded
    } finally {
      values?.dispose();
    }
  }
  return undefined;
}
