/** The built package, which starts in a third of the time that its source takes. */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type ts from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));
let isUpToDate = false;

/** The path of a built file, after what has changed since `npm run build` is built, too. */
export function built(file: string): string {
  if (!isUpToDate) buildWhatChanged();
  isUpToDate = true;
  return `${root}dist/${file}`;
}

function buildWhatChanged(): void {
  const sources = ['src', 'converters'].flatMap((folder) =>
    readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => /(?<!\.d)\.ts$|\.(py|txt)$/.test(file))
      .map((file) => `${folder}/${file}`),
  );
  const changed = sources.filter((file) => changeOf(file) > changeOf(outputOf(file)));
  if (changed.length === 0) return;
  const compiler: typeof ts = createRequire(import.meta.url)('typescript'); // slow to load
  const { compilerOptions } = JSON.parse(readFileSync(`${root}tsconfig.json`, 'utf8'));
  const { options } = compiler.convertCompilerOptionsFromJson(compilerOptions, root);
  for (const file of changed)
    build(file, compiler, {
      ...options,
      ...{ module: compiler.ModuleKind.ESNext, sourceMap: false },
    });
}

const outputOf = (file: string) => `dist/${file.replace(/\.ts$/, '.js')}`;
const changeOf = (file: string) => statSync(root + file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Other processes may build or read the same file meanwhile, so it is moved into its place. */
function build(file: string, compiler: typeof ts, compilerOptions: ts.CompilerOptions): void {
  const path = root + outputOf(file);
  const source = readFileSync(root + file, 'utf8');
  const output = file.endsWith('.ts')
    ? compiler.transpileModule(source, { compilerOptions, fileName: file }).outputText
    : source;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, output, {
    mode: statSync(path, { throwIfNoEntry: false })?.mode,
  });
  renameSync(`${path}.${process.pid}`, path);
}
