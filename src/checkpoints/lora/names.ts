/** The names of the files that peft writes for an adapter. */

/** Its config. */
export const PEFT_CONFIG = 'adapter_config.json';

/** The weights that this is the config of, beside it. */
export const PEFT_WEIGHTS = 'adapter_model.safetensors';
