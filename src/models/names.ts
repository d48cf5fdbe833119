/** The three models of a pipeline, by the names of their fields. */
export type ModelName = 'vae' | 'imageEncoder' | 'unet';
