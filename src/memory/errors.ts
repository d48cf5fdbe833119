/**
 * A call or model that needs more memory than there is, refused before it is tried. The message
 * says how much there is and what would fit.
 */
export class MemoryError extends Error {}
