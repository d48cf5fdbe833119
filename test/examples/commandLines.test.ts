/**
 * Every command line in the documentation, the help and package.json is one that its program takes:
 * `svd` and `npm run bench` by their own parsers, the others by the files and options that they
 * name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { benchOptions } from '../../bench/options.ts';
import { generateCommand } from '../../src/cli/generate/checkCommand.ts';
import { joinName, secondWords, subcommands } from '../../src/cli/subcommands.ts';
import { joinValues, readArguments } from '../../src/cli/terminal/arguments.ts';
import { commandOf } from '../../src/cli/terminal/command.ts';
import { commonOptions, flagOf, type Options } from '../../src/cli/terminal/options.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const text = (path: string) => readFileSync(root + path, 'utf8');
const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };

/** The files below a folder with an ending, by their paths below the root. */
const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file}`)
    .filter(
      (file) => file.endsWith(ending) && !/node_modules|\/dist\/|^bench\/checkpoints\//.test(file),
    );

const documents = [
  ...readdirSync(root).filter((file) => file.endsWith('.md')),
  ...['docs', 'examples', 'bench', 'converters', 'test'].flatMap((name) => filesIn(name, '.md')),
  ...['weights/README.md', 'weights/tiny/README.md'],
].filter((file) => !file.startsWith('docs/api/'));

const tests = filesIn('test', '.test.ts');
/** Whether some test has this path, which may be a pattern. */
function isTest(pattern: string): boolean {
  const parts: Record<string, string> = { '**/': '(.+/)?', '*': '[^/]*', '.': '\\.', ',': '|' };
  const expression = pattern
    .replaceAll(/\*\*\/|[*.,]/g, (part) => parts[part])
    .replaceAll('{', '(')
    .replaceAll('}', ')');
  return tests.some((path) => new RegExp(`^${expression}$`).test(path));
}

/** The words of a command line as a shell sees them, for each command of it. */
function commandsIn(line: string): string[][] {
  const commands: string[][] = [[]];
  for (const [word] of line.matchAll(/'[^']*'|"[^"]*"|[^\s'"]+/g)) {
    if (word.startsWith('#') || /^[<>]/.test(word)) break;
    if (['&&', '|', ';'].includes(word)) commands.push([]);
    else commands.at(-1)!.push(word.replace(/^(['"])(.*)\1$/, '$2'));
  }
  // Without the prompt and what it sets in the environment.
  return commands.map((words) =>
    words.slice(words.findIndex((word) => !/^(\$|export|[A-Z_]+=.*)$/.test(word))),
  );
}

/** The command lines of blocks of shell code, whose lines may go on after a backslash. */
const blocksIn = (markdown: string): string[] =>
  [...markdown.matchAll(/^```(?:sh|bash|console)?\n(.*?)^```$/gms)].flatMap(([, block]) => {
    const lines = block.replaceAll(/\\\n\s*/g, ' ').split('\n');
    const prompted = lines.filter((line) => line.startsWith('$ '));
    return prompted.length > 0 ? prompted : lines;
  });

/** What stands between backquotes, outside of blocks. */
const quotedIn = (markdown: string): string[] =>
  [...markdown.replaceAll(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, code]) =>
    code.replaceAll(/\s+/g, ' ').trim(),
  );

const flagsOf = (options: Options) =>
  Object.entries({ ...options, ...commonOptions }).flatMap(([name, option]) => [
    `--${flagOf(name, option)}`,
    ...(option.short ? [`-${option.short}`] : []),
  ]);

async function loadCommand(name: string) {
  expect(Object.keys(subcommands), 'commands of svd').to.include(name);
  return subcommands[name].load();
}

/** Reads the arguments of `svd` as the command does, without running it. */
async function parseSvd(line: string[]): Promise<void> {
  const [name, ...words] = joinName(line);
  if (name === undefined || name.startsWith('-')) {
    expect(['--help', '-h', '--version', '-V']).to.include(name);
    return;
  }
  if (name === 'help') {
    await loadCommand(words[0]);
    return;
  }
  const definition = await loadCommand(name);
  const run = async (values: object, operands: string[]) => {
    if (name === 'generate')
      generateCommand(values as Parameters<typeof generateCommand>[0], operands);
    return 0;
  };
  const command = commandOf({ ...definition, run }, () => {});
  await command.parseAsync(joinValues(words, definition.options), { from: 'user' });
}

/** A text that stands for a command line, such as `svd info --model DIR [options]`. */
async function checkShape(line: string[]): Promise<void> {
  const [name, ...words] = joinName(line);
  if (words.length === 0 && secondWords(name).length > 0) return;
  if (name === undefined || name.startsWith('-') || name === 'help' || /^[A-Z.]+$/.test(name))
    return;
  const definition = await loadCommand(name);
  const named = words.flatMap((word) => word.match(/(?<=^\W?)--?[a-z][\w-]*/) ?? []);
  expect(flagsOf(definition.options), `options of svd ${name}`).to.include.members(named);
}

const programs: Record<string, (words: string[], isQuoted: boolean) => unknown> = {
  svd: (words, isQuoted) => (isQuoted ? checkShape(words) : parseSvd(words)),
  'stable-video-diffusion-tfjs': (words, isQuoted) => programs.svd(words, isQuoted),
  npx([name, ...words], isQuoted) {
    expect(['svd', 'stable-video-diffusion-tfjs', 'mocha', 'tsx', 'tsc', 'biome']).to.include(name);
    return programs[name]?.(words, isQuoted);
  },
  mocha: (words) => {
    const patterns = words.filter((word, i) => !/^-/.test(word) && words[i - 1] !== '--ignore');
    for (const pattern of patterns)
      expect(isTest(pattern) || existsSync(root + pattern), pattern).to.equal(true);
  },
  tsx: ([file]) => expect(existsSync(root + file), file).to.equal(true),
  npm([name, script, ...words]) {
    const own = ['ci', 'install', 'pack', 'i', 'uninstall', 'pkg'];
    if (name !== 'run') return expect([...own, ...Object.keys(scripts)]).to.include(name);
    expect(Object.keys(scripts), 'scripts of package.json').to.include(script);
    const passed = words[0] === '--' ? words.slice(1) : words;
    if (script === 'bench') return readArguments(passed, benchOptions);
    if (script === 'browser') return expect(['--serve']).to.include.members(passed);
    return expect(passed).to.deep.equal([]);
  },
  python([file, ...words]) {
    if (file === '-m') return;
    // Where users have the script, and where help names it.
    const path = file
      .replace(/^node_modules\/stable-video-diffusion-tfjs\/dist\//, '')
      .replace(/^(?=dump_reference\.py$)/, 'src/verification/');
    expect(existsSync(root + path), path).to.equal(true);
    for (const flag of words.filter((word) => word.startsWith('--'))) {
      const argument = flag.slice(2).replaceAll('-', '_');
      expect(text(path), `${path} ${flag}`).to.match(new RegExp(`'${flag}'|\\b${argument}=`));
    }
  },
};

/** The options of all programs here. Scripts in Python have them as words or as keys. */
async function allFlags(): Promise<string[]> {
  const commands = await Promise.all(Object.values(subcommands).map(({ load }) => load()));
  const scripts = ['src', 'test', 'weights/tiny'].flatMap((name) => filesIn(name, '.py')).map(text);
  const inPython = scripts.flatMap((code) => [...code.matchAll(/'(--[\w-]+)'|\b([a-z_]+)=/g)]);
  return [
    ...[...commands.map(({ options }) => options), benchOptions].flatMap(flagsOf),
    ...inPython.map(([, flag, key]) => flag ?? `--${key.replaceAll('_', '-')}`),
    ...['--version', '--serve'],
  ];
}

/** Checks a command line, and that the files of the checkout which it names exist. */
async function check(line: string, isQuoted: boolean): Promise<void> {
  for (const [program, ...words] of commandsIn(line)) {
    const name = program?.replace(/^\.venv\/bin\//, '');
    if (name === undefined || !Object.hasOwn(programs, name)) continue;
    if (isQuoted && words.length === 0) continue; // only its name
    await programs[name](words, isQuoted);
    for (const word of words.filter((word) =>
      /^(examples|test|weights\/tiny)\/[\w./-]+$/.test(word),
    ))
      expect(existsSync(root + word), word).to.equal(true);
  }
}

/** The lines that fail, with the reason. */
async function failures(lines: string[], isQuoted = false): Promise<string[]> {
  const failed: string[] = [];
  for (const line of lines)
    await check(line, isQuoted).catch((error: Error) => failed.push(`${line}: ${error.message}`));
  return failed;
}

describe('command lines', () => {
  it('are found, and wrong ones are told', async () => {
    const lines = documents.flatMap((path) => blocksIn(text(path)));
    const ofSvd = lines.filter((line) => /\bsvd (verify|generate|convert)\b/.test(line));
    expect(ofSvd.length).to.be.above(15);
    const wrong = [
      'npx svd verify --model a --variants fp16 --reference b.safetensors',
      'svd verify --model a',
      'X=1 svd generate a.png --output a.mp4 --num-frames none # as before',
      'npm ci && npm run nothing',
      'npm run bench -- --cases unet',
      '$ python src/verification/dump_reference.py a.png --frames 2',
      'npx mocha test/nothing.test.ts',
      'svd generate examples/pictures/none.jpg --output a.mp4',
    ];
    expect(await failures(wrong)).to.have.length(wrong.length);
  });

  for (const path of documents) {
    it(`of ${path}`, async () => {
      expect(await failures(blocksIn(text(path)))).to.deep.equal([]);
      const quoted = quotedIn(text(path));
      expect(await failures(quoted, true)).to.deep.equal([]);
      const flags = quoted.flatMap((code) => code.match(/^--[a-z][\w-]*/) ?? []);
      expect(await allFlags()).to.include.members(flags);
    });
  }

  it('of the help', async () => {
    for (const { load } of Object.values(subcommands)) {
      const { name, usage, examples = [], about } = await load();
      const whole = examples.map((example) => example.replaceAll(/\\\n\s*/g, ' '));
      expect(await failures(whole)).to.deep.equal([]);
      expect(
        await failures(
          usage.map((line) => `svd ${name} ${line}`),
          true,
        ),
      ).to.deep.equal([]);
      expect(await failures(about.flatMap(quotedIn), true)).to.deep.equal([]);
    }
  });

  it('of messages', async () => {
    const sources = ['src', 'converters'].flatMap((name) => filesIn(name, '.ts'));
    const quoted = sources.flatMap((path) => [...text(path).matchAll(/`(svd [^`$]+)`/g)]);
    const lines = quoted.map(([, line]) =>
      line.replaceAll(/' \+\s*'|\\/g, '').replaceAll(/\n \* /g, ' '),
    );
    expect(await failures(lines, true)).to.deep.equal([]);
  });

  it('of package.json', async () => {
    const lines = Object.values(scripts).map((line) =>
      line.replaceAll('node dist/src/cli/main.js', 'svd'),
    );
    expect(await failures(lines)).to.deep.equal([]);
  });
});
