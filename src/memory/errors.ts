/**
 * There is too little memory for what was asked, as is known before it is tried. The message says
 * what there is and what would fit.
 */
export class MemoryError extends Error {}
