/** Durations in words. */
import { counted } from './messages.ts';

/** Seconds as people estimate them: `about 3 minutes`. */
export function roughly(seconds: number): string {
  if (seconds < 90) return `about ${counted(Math.max(1, Math.round(seconds)), 'second')}`;
  if (seconds < 90 * 60) return `about ${counted(Math.round(seconds / 60), 'minute')}`;
  return `about ${counted(Math.round(seconds / 3600), 'hour')}`;
}
