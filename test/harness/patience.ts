/**
 * The milliseconds after which a test takes something for one that hangs: many, since a busy
 * machine takes many times as long as a quiet one.
 */
export const patience = 15 * 60_000;
