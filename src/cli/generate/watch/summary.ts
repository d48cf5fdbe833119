/** The line that ends a run. */
import { formatBytes } from '../../../text/bytes.ts';
import { counted } from '../../../text/messages.ts';
import { clock } from '../../terminal/progress.ts';
import type { Report } from '../run/call.ts';

/** `8 frames of 64x64 in 0:04 on wasm (8 threads): loading 0.2 s, ...; peak memory ...; seed 1`. */
export function summaryOf({
  output,
  settings,
  backend,
  timings,
  peakMemoryBytes,
  peakDeviceBytes,
}: Report): string {
  const { numFrames, width, height, seeds, encoderVersion } = settings;
  const seconds = Object.values(timings).reduce((a, b) => a + b, 0);
  const stages = Object.entries(timings).map(([stage, time]) => `${stage} ${duration(time)}`);
  const device = backend.device === undefined ? '' : ` (${backend.device})`;
  return [
    `${output.length === 1 ? '' : `${output.length} videos, each `}${counted(numFrames, 'frame')} of ${width}x${height} in ${duration(seconds)} on ` +
      `${backend.name}${device}: ${stages.join(', ')}`,
    `peak memory ${formatBytes(peakMemoryBytes)}`,
    ...(peakDeviceBytes === undefined ? [] : [`${formatBytes(peakDeviceBytes)} on the device`]),
    ...(encoderVersion === undefined ? [] : [`encoded by ${encoderVersion}`]),
    `seed${seeds.length === 1 ? '' : 's'} ${seeds.join(', ')}`,
  ].join('; ');
}

const duration = (seconds: number) => (seconds < 60 ? `${seconds.toFixed(1)} s` : clock(seconds));
