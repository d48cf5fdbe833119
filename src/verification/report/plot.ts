/** The distances of a comparison as a drawing in SVG. Its colours are those of the page. */
import { printable } from '../../text/printable.ts';
import { distanceOf, type SummaryRow, short } from './summary.ts';

const [WIDTH, HEIGHT] = [720, 280];
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 12, 28, 30];
/** Labels that fit below the axis. */
const MOST_LABELS = 13;

/** Text as HTML shows it, with control characters made visible. */
export const htmlText = (text: string): string =>
  printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/**
 * The relative L2 distance of each part of the call on a logarithmic axis, and the largest that is
 * allowed.
 */
export function plotOf(rows: readonly SummaryRow[]): string {
  const points = rows.flatMap(({ part, stage }) =>
    stage?.comparison && part !== 'noise' && part !== 'frames'
      ? [{ part, stage, distance: distanceOf(stage) }]
      : [],
  );
  const limits = points.map(({ stage }) => stage.tolerance);
  const known = [...points.map(({ distance }) => distance), ...limits].filter(
    (value) => value > 0 && Number.isFinite(value),
  );
  if (known.length === 0) return '';
  const lowest = Math.floor(Math.log10(Math.min(...known)));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(...known)) + 0.1));
  const x = (i: number) => LEFT + ((i + 0.5) * (WIDTH - LEFT - RIGHT)) / points.length;
  const y = (value: number) => {
    const exponent = Number.isFinite(value) ? Math.log10(value) : highest;
    const share = (Math.max(lowest, exponent) - lowest) / (highest - lowest);
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  };
  const line = (values: number[]) =>
    values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const grid = Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i).map(
    (exponent) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(10 ** exponent)}" y2="${y(10 ** exponent)}"/>` +
      `<text x="${LEFT - 8}" y="${y(10 ** exponent) + 4}" text-anchor="end">1e${exponent}</text>`,
  );
  const every = Math.ceil(points.length / MOST_LABELS);
  const labels = points.map(({ part }, i) =>
    i % every === 0 || i === points.length - 1
      ? `<text x="${x(i)}" y="${HEIGHT - 10}" text-anchor="middle">${htmlText(shortened(part, points.length))}</text>`
      : '',
  );
  const marks = points.map(
    ({ part, stage, distance }, i) =>
      `<circle class="${stage.within ? 'own' : 'above'}" cx="${x(i)}" cy="${y(distance)}" r="4"><title>` +
      `${htmlText(`${part}: ${short(distance)}, allowed ${short(stage.tolerance)}`)}</title></circle>`,
  );
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Relative L2 distance from diffusers by part of the call">`,
    `<text x="${LEFT}" y="14">relative L2 distance from diffusers</text>`,
    `<line class="limit" x1="${WIDTH - RIGHT - 130}" x2="${WIDTH - RIGHT - 104}" y1="10" y2="10"/>`,
    `<text x="${WIDTH - RIGHT - 98}" y="14">largest allowed</text>`,
    ...grid,
    ...labels,
    `<polyline class="limit" points="${line(limits)}"/>`,
    `<polyline class="own" points="${line(points.map(({ distance }) => distance))}"/>`,
    ...marks,
    '</svg>',
  ].join('\n');
}

/** Where there are many, `step 3` is `3`. */
const shortened = (part: string, count: number) => (count > 8 ? part.replace('step ', '') : part);
