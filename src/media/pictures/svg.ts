/** Renders SVG in a process of its own, because a small one can ask for hours of work. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { buffer } from 'node:stream/consumers';

/** Seconds that an SVG may take. */
const SECONDS = 20;

const RENDER = `
const { default: sharp } = await import(process.argv[1]);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const options = { limitInputPixels: Number(process.argv[2]) };
try {
  const png = await sharp(Buffer.concat(chunks), options).png({ compressionLevel: 1 }).toBuffer();
  process.stdout.write(png);
} catch (error) {
  process.stderr.write(error.message);
  process.exitCode = 1;
}
`;

/** Whether a file is SVG, also one that is compressed: libvips looks at its first 1000 bytes. */
export function isSvg(bytes: Uint8Array): boolean {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return true;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(1100, bytes.length));
  return /<svg[\s>]/i.test(text.toString('latin1'));
}

/**
 * Renders an SVG in its own size as PNG.
 * @throws Error When it is damaged, has more than `maxPixels`, or takes longer than `seconds`.
 */
export async function renderSvg(
  bytes: Uint8Array,
  maxPixels: number,
  seconds = SECONDS,
): Promise<Uint8Array> {
  const sharp = createRequire(import.meta.url).resolve('sharp');
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', RENDER, sharp, String(maxPixels)],
    { stdio: ['pipe', 'pipe', 'pipe'], timeout: 1000 * seconds, killSignal: 'SIGKILL' },
  );
  child.stdin.on('error', () => {}); // it may end before it has read everything
  child.stdin.end(bytes);
  const [png, errors, signal] = await Promise.all([
    buffer(child.stdout),
    buffer(child.stderr),
    new Promise<NodeJS.Signals | null>((done, fail) => {
      child.on('error', fail);
      child.on('close', (_, killedBy) => done(killedBy));
    }),
  ]);
  if (signal === 'SIGKILL')
    throw new Error(`drawing the SVG took more than ${seconds} s; save it as PNG`);
  if (png.length === 0) throw new Error(errors.toString() || 'the SVG could not be drawn');
  return png;
}
