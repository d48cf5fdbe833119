/**
 * The structure that the folders promise: imports point one way, and what is meant for browsers is
 * free of Node.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const src = fileURLToPath(new URL('../src/', import.meta.url));
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
);

/** What a file imports at run time. Types alone do not count. */
function importsOf(file: string): string[] {
  const code = readFileSync(src + file, 'utf8');
  const from = code.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^']+)';$/gm);
  const dynamic = code.matchAll(/import\('([^']+)'\)/g);
  return [...from, ...dynamic].map(([, name]) => name);
}

/** The path below src of a relative import. */
const resolve = (file: string, name: string) => new URL(name, `file:///${file}`).pathname.slice(1);

/** The folders that each folder may import from, besides itself. */
const allowed: Record<string, string[]> = {
  text: [],
  ops: [],
  layers: ['ops'],
  models: ['ops', 'layers'],
  random: [],
  schedulers: ['random'],
  files: [],
  media: ['files'],
  backends: ['memory'],
  checkpoints: ['ops', 'layers', 'models', 'files'],
  memory: ['ops', 'layers', 'models', 'checkpoints', 'backends'],
  recording: ['ops', 'layers'],
  pipelines: [
    'ops',
    'layers',
    'models',
    'random',
    'schedulers',
    'media',
    'checkpoints',
    'backends',
    'memory',
    'recording',
  ],
  verification: ['layers', 'random', 'checkpoints', 'pipelines', 'media'],
};

const withNode = ['backends', 'media', 'checkpoints', 'files', 'memory', 'recording', 'cli'];

describe('structure', () => {
  it('lets imports point one way', () => {
    const wrong = files.flatMap((file) => {
      const [folder] = file.split('/');
      if (!(folder in allowed)) return [];
      const others = importsOf(file)
        .filter((name) => name.startsWith('.'))
        .map((name) => resolve(file, name).split('/')[0]);
      return others
        .filter((other) => ![folder, 'text'].includes(other) && !allowed[folder].includes(other))
        .map((other) => `${file} imports ${other}`);
    });
    expect(wrong).to.deep.equal([]);
  });

  it("keeps Node's modules in the folders meant for them", () => {
    const wrong = files.filter(
      (file) =>
        !withNode.includes(file.split('/')[0]) &&
        importsOf(file).some((name) => name.startsWith('node:')),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('gives browsers an entry that needs tfjs alone', () => {
    const packages = new Set<string>();
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const name of importsOf(file))
        name.startsWith('.') ? visit(resolve(file, name)) : packages.add(name);
    };
    visit('browser.ts');
    expect([...seen]).to.include.members([
      'pipelines/stableVideoDiffusion.ts',
      'checkpoints/safetensors/header.ts',
    ]);
    expect([...packages]).to.deep.equal(['@tensorflow/tfjs']);
  });
});
