/** The structure that the folders promise: one subject each, and imports that point one way. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The TypeScript files below a folder, by their paths below the root. */
const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`);

const src = filesIn('src');
const converters = filesIn('converters');

interface Import {
  /** A package, or the path of a file below the root. */
  name: string;
  /** Whether it is there when the program runs: types are not. */
  atRunTime: boolean;
  /** Whether it is loaded only when it is needed. */
  lazy: boolean;
}

/** Everything that a file imports, types included. */
function importsOf(file: string): Import[] {
  const code = readFileSync(root + file, 'utf8');
  const found: Import[] = [];
  const add = (name: string, atRunTime: boolean, lazy = false) => {
    const path = new URL(name, `file:///${file}`).pathname.slice(1);
    found.push({ name: name.startsWith('.') ? path : name, atRunTime, lazy });
  };
  for (const [, type, name] of code.matchAll(
    /^(?:import|export) (type )?[^;]*?from '([^']+)';$/gm,
  )) {
    add(name!, !type);
  }
  for (const [, name] of code.matchAll(/^import '([^']+)';$/gm)) add(name!, true);
  for (const [, name] of code.matchAll(/import\('([^']+)'\)/g)) add(name!, true, true);
  return found;
}

const imports = new Map([...src, ...converters].map((file) => [file, importsOf(file)]));

/** The folder of a file in src, or the top-level folder of any other. */
const folderOf = (file: string) => file.replace(/^src\//, '').split('/')[0]!;

/** The folders that each folder of src may import from, types included. */
const allowed: Record<string, string[]> = {
  text: [],
  files: [],
  network: [],
  queue: ['files'],
  ops: [],
  random: [],
  backends: ['ops', 'files'],
  schedulers: ['random'],
  media: ['files', 'network'],
  layers: ['ops'],
  models: ['ops', 'layers'],
  recording: ['ops', 'layers', 'files'],
  checkpoints: ['ops', 'layers', 'models', 'schedulers', 'files', 'network'],
  adapters: ['ops', 'layers', 'checkpoints'],
  memory: ['ops', 'layers', 'models', 'checkpoints', 'adapters', 'backends'],
  pipelines: [
    ...['ops', 'layers', 'models', 'random', 'schedulers', 'media', 'checkpoints', 'backends'],
    ...['memory', 'recording', 'adapters'],
  ],
  batch: ['random', 'pipelines'],
  verification: [
    ...['ops', 'layers', 'models', 'random', 'schedulers', 'media', 'checkpoints', 'pipelines'],
  ],
};

/** The folders that may use Node's own modules, so that everything else runs in browsers. */
const withNode = [
  ...['backends', 'media', 'checkpoints', 'files', 'network', 'memory', 'recording', 'cli'],
  'queue',
];

describe('structure', () => {
  it('lets imports point one way, types included', () => {
    const wrong = src.flatMap((file) => {
      const folder = folderOf(file);
      const others = imports.get(file)!.filter(({ name }) => name.startsWith('src/'));
      return others
        .map(({ name }) => folderOf(name))
        .filter((other) => other !== folder && other !== 'text')
        .filter((other) => folder in allowed && !allowed[folder]!.includes(other))
        .map((other) => `${file} imports ${other}`);
    });
    expect(wrong).to.deep.equal([]);
  });

  it('has no circle of imports, types included', () => {
    const state = new Map<string, 'open' | 'done'>();
    const circles: string[] = [];
    const visit = (file: string, path: string[]) => {
      if (state.get(file) === 'done' || !imports.has(file)) return;
      if (state.get(file) === 'open') {
        circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
        return;
      }
      state.set(file, 'open');
      for (const { name } of imports.get(file)!) visit(name, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of imports.keys()) visit(file, []);
    expect(circles).to.deep.equal([]);
  });

  it('loads TensorFlow.js only when a command works, not to say what it takes', () => {
    const commands = imports.get('src/cli/subcommands.ts')!.filter(({ atRunTime }) => atRunTime);
    const wayToTensorflow = (file: string, way: string[]): string[] => {
      if (way.includes(file)) return [];
      const atOnce = (imports.get(file) ?? []).filter(({ atRunTime, lazy }) => atRunTime && !lazy);
      if (atOnce.some(({ name }) => name.startsWith('@tensorflow/'))) return [...way, file];
      for (const { name } of atOnce) {
        const found = wayToTensorflow(name, [...way, file]);
        if (found.length > 0) return found;
      }
      return [];
    };
    const ways = commands.map(({ name }) => wayToTensorflow(name, []).join(' -> '));
    expect(ways.filter((way) => way !== '')).to.deep.equal([]);
  });

  it('imports converters only from the list of commands, and only when one is called', () => {
    const users = src.flatMap((file) =>
      imports
        .get(file)!
        .filter(({ name }) => name.startsWith('converters/'))
        .map(({ lazy }) => `${file} ${lazy ? 'when called' : 'at once'}`),
    );
    expect(users).to.deep.equal(['src/cli/subcommands.ts when called']);
  });

  it('keeps at most twelve files beside each other, but layers, one class a file', () => {
    const counts = new Map<string, number>();
    for (const file of [...src, ...converters]) {
      counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    }
    const full = [...counts].filter(([folder, count]) => count > 12 && folder !== 'src/layers');
    expect(full).to.deep.equal([]);
  });

  it('has every test in the folder that bears the name of what it tests', () => {
    const own = ['bench', 'browser', 'examples', 'goldens', 'package'];
    const exists = (folder: string) =>
      existsSync(`${root}src/${folder}`) ||
      (folder.startsWith('converters') && existsSync(root + folder));
    const strays = filesIn('test')
      .filter((file) => file.endsWith('.test.ts') && file !== 'test/structure.test.ts')
      .map((file) => dirname(file).slice('test/'.length))
      .filter((folder) => !own.includes(folder) && !exists(folder));
    expect([...new Set(strays)]).to.deep.equal([]);
  });

  it("keeps Node's modules in the folders meant for them", () => {
    const wrong = src.filter(
      (file) =>
        !withNode.includes(folderOf(file)) &&
        imports.get(file)!.some(({ name, atRunTime }) => atRunTime && name.startsWith('node:')),
    );
    expect(wrong).to.deep.equal([]);
  });

  it('has an entry for browsers that needs only tfjs, and loads what videos need with them', () => {
    const packages = { atOnce: new Set<string>(), whenNeeded: new Set<string>() };
    const seen = new Set<string>();
    const visit = (file: string, when: keyof typeof packages) => {
      if (seen.has(`${file} ${when}`)) return;
      seen.add(`${file} ${when}`);
      for (const { name, atRunTime, lazy } of imports.get(file)!) {
        if (!atRunTime) continue;
        const then = lazy ? 'whenNeeded' : when;
        if (name.startsWith('src/')) visit(name, then);
        else packages[then].add(name);
      }
    };
    visit('src/browser.ts', 'atOnce');
    expect([...seen]).to.include.members([
      'src/pipelines/stableVideoDiffusion.ts atOnce',
      'src/checkpoints/safetensors/header.ts atOnce',
    ]);
    expect([...packages.atOnce]).to.have.members([
      '@tensorflow/tfjs-core',
      '@tensorflow/tfjs-layers',
    ]);
    expect([...packages.whenNeeded]).to.have.members([
      ...['mediabunny', 'gifenc/dist/gifenc.esm.js', '@noble/hashes/sha2.js'],
    ]);
  });
});
