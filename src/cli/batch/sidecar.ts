/** The file beside an output that says what it was made of, and its hash. */

/** What the name of an output gets for the name of its sidecar. */
export const SIDECAR = '.svd.json';

/** The path of the sidecar of an output, which is a file or a folder. */
export const sidecarOf = (output: string): string => output.replace(/(?<=.)\/+$/, '') + SIDECAR;
