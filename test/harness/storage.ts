/** Saves and loads TensorFlow.js models. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';

/**
 * Saves a model and loads it again: through files where the backend has a handler for them, else
 * through memory.
 */
export async function throughStorage(model: tf.LayersModel): Promise<tf.LayersModel> {
  if (tf.io.getSaveHandlers('file://').length > 0) {
    const folder = await mkdtemp(join(tmpdir(), 'svd-model-'));
    try {
      await model.save(`file://${folder}`);
      return await tf.loadLayersModel(`file://${folder}/model.json`);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  let artifacts: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (saved) => {
      artifacts = JSON.parse(JSON.stringify({ ...saved, weightData: undefined }));
      artifacts!.weightData = saved.weightData;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  return tf.loadLayersModel(tf.io.fromMemory(artifacts!));
}
