/** Shows previews of a video while it is sampled: in the terminal, or in a file. */
import { writeFile } from 'node:fs/promises';
import { writeAtomically } from '../../../files/writing/atomic.ts';
import type { RgbImage } from '../../../media/image.ts';
import type { Terminal } from '../../terminal/progress.ts';

/** The value of `--preview` without a file. */
export const IN_TERMINAL = 'terminal';

/** How a terminal shows pictures. */
type Protocol = 'kitty' | 'sixel' | 'blocks';

/** What a terminal can show, by the variables that it sets. */
export function protocolOf({ TERM = '', TERM_PROGRAM = '', ...env }: NodeJS.ProcessEnv): Protocol {
  const names = `${TERM} ${TERM_PROGRAM}`;
  if (env.KITTY_WINDOW_ID || /kitty|ghostty|wezterm/i.test(names)) return 'kitty';
  return /sixel|mlterm|foot|yaft|contour/i.test(names) ? 'sixel' : 'blocks';
}

/** Rows of a terminal that a preview takes at most. */
const ROWS = 18;

/** Shows each picture in place of the one before. */
export class Preview {
  private readonly terminal: Terminal;
  private readonly protocol: Protocol;
  private rows = 0;

  constructor(terminal: Terminal, protocol = protocolOf(process.env)) {
    this.terminal = terminal;
    this.protocol = protocol;
  }

  /** Shows a picture where the cursor is, at the beginning of a line. */
  async show(picture: RgbImage): Promise<void> {
    const columns = Math.min(this.terminal.columns || 80, 96) - 1;
    const scale = Math.min(columns / picture.width, (2 * ROWS) / picture.height);
    const small = resized(picture, scale);
    const back = this.rows > 0 ? `\x1b[${this.rows}A\r` : '';
    this.rows = Math.ceil(small.height / 2);
    const text =
      this.protocol === 'kitty'
        ? kitty(await png(picture), small.width, this.rows)
        : this.protocol === 'sixel'
          ? `${sixel(resized(picture, (20 * this.rows) / picture.height))}\r`
          : blocks(small);
    // A picture scrolls the terminal first, so that it has the rows below the cursor.
    const room = this.protocol === 'blocks' ? '' : `${'\n'.repeat(this.rows)}\x1b[${this.rows}A`;
    const end = this.protocol === 'blocks' ? '' : `\x1b8\x1b[${this.rows}B`;
    this.terminal.write(`${back}${room}${end && '\x1b7'}${text}${end}`);
  }
}

/** Writes a picture into a file, four times as large, in place of the one before. */
export async function writePreview(picture: RgbImage, path: string): Promise<void> {
  const bytes = await png(resized(picture, 4));
  await writeAtomically(path, (temporary) => writeFile(temporary, bytes));
}

const png = async (picture: RgbImage): Promise<Uint8Array> =>
  (await import('../../../media/video/animation.ts')).encodePng(picture);

/** The picture with the nearest pixels, `scale` times as large. */
export function resized({ data, width, height }: RgbImage, scale: number): RgbImage {
  const [w, h] = [width, height].map((n) => Math.max(1, Math.floor(n * scale)));
  const small = new Uint8Array(3 * w * h);
  for (let i = 0; i < w * h; i++) {
    const x = Math.floor(((i % w) * width) / w);
    const y = Math.floor((Math.floor(i / w) * height) / h);
    small.set(data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3), 3 * i);
  }
  return { data: small, width: w, height: h };
}

/** Two pixels for each character: the upper half block in one colour on another. */
export function blocks({ data, width, height }: RgbImage): string {
  const colour = (x: number, y: number) =>
    data
      .subarray(3 * (y * width + x))
      .slice(0, 3)
      .join(';');
  const rows = Array.from({ length: Math.ceil(height / 2) }, (_, row) => {
    const cells = Array.from({ length: width }, (_, x) => {
      const below = 2 * row + 1 < height ? `\x1b[48;2;${colour(x, 2 * row + 1)}m` : '\x1b[49m';
      return `\x1b[38;2;${colour(x, 2 * row)}m${below}▀`;
    });
    return `${cells.join('')}\x1b[0m\n`;
  });
  return rows.join('');
}

/** The graphics protocol of kitty: a PNG in base64, in parts of 4096 characters. */
export function kitty(file: Uint8Array, columns: number, rows: number): string {
  const parts =
    Buffer.from(file)
      .toString('base64')
      .match(/.{1,4096}/g) ?? [];
  return parts
    .map((part, i) => {
      const first = i === 0 ? `a=T,f=100,q=2,C=1,i=1,c=${columns},r=${rows},` : '';
      return `\x1b_G${first}m=${i < parts.length - 1 ? 1 : 0};${part}\x1b\\`;
    })
    .join('');
}

/** Sixel graphics in a cube of 6 x 6 x 6 colours. */
export function sixel({ data, width, height }: RgbImage): string {
  const level = (value: number) => Math.round(value / 51);
  const colours = Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = data.subarray(3 * i, 3 * i + 3);
    return 36 * level(r) + 6 * level(g) + level(b);
  });
  const palette = [...new Set(colours)].map((c) => {
    const [r, g, b] = [Math.floor(c / 36), Math.floor(c / 6) % 6, c % 6].map((n) => 20 * n);
    return `#${c};2;${r};${g};${b}`;
  });
  const bands = Array.from({ length: Math.ceil(height / 6) }, (_, band) => {
    const rows = Array.from({ length: Math.min(6, height - 6 * band) }, (_, k) =>
      colours.slice((6 * band + k) * width, (6 * band + k + 1) * width),
    );
    const used = [...new Set(rows.flat())].map((c) => {
      const columns = Array.from({ length: width }, (_, x) =>
        rows.reduce((bits, row, k) => bits + (row[x] === c ? 1 << k : 0), 63),
      );
      return `#${c}${String.fromCharCode(...columns)}`;
    });
    return used.join('$');
  });
  return `\x1bPq"1;1;${width};${height}${palette.join('')}${bands.join('-')}\x1b\\`;
}
