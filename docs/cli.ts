/** Writes docs/cli.md from the tables of options: `npx tsx docs/cli.ts`. A test compares them. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { subcommands } from '../src/cli/subcommands.ts';
import type { Subcommand } from '../src/cli/terminal/command.ts';
import { groupsOf } from '../src/cli/terminal/command.ts';
import { explanation, labelOf } from '../src/cli/terminal/help.ts';

const intro = `# The command line

<!-- docs/cli.ts writes this page from the tables of options; npm run docs. -->

\`svd COMMAND [options]\`, or \`npx svd\` in a project. \`svd help COMMAND\` shows the same in the
terminal, and \`svd completion\` prints a script that completes commands in a shell.

Results go to standard output; progress, notes (\`note:\`) and errors (\`error:\`) to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Every command takes \`--help\` and
\`--debug\`, which shows where an error comes from. Sizes are width x height.`;

/** A cell of a table. */
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll(/([<>[\]_*])/g, '\\$1');

function section({ name, usage, about, options, examples = [] }: Subcommand): string {
  const calls = usage.map((line) => `svd ${name} ${line}`);
  const tables = Object.entries(groupsOf(options)).map(([heading, entries]) => {
    const rows = Object.entries(entries).map(
      ([key, option]) =>
        `| \`${labelOf(key, option).replaceAll('|', '\\|')}\` | ${cell(explanation(option))} |`,
    );
    return [`| ${heading} | |`, '| --- | --- |', ...rows].join('\n');
  });
  return [
    `## svd ${name}`,
    calls.map((call) => `\`${call}\``).join('  \n'),
    ...about.map((paragraph) => paragraph.replaceAll(/([<>_*])/g, '\\$1')),
    ...(examples.length > 0 ? [['```sh', ...examples, '```'].join('\n')] : []),
    ...tables,
  ].join('\n\n');
}

/** The page. */
export async function cliPage(): Promise<string> {
  const commands = await Promise.all(Object.values(subcommands).map(({ load }) => load()));
  const list = Object.entries(subcommands).map(
    ([name, { about }]) => `* [\`svd ${name}\`](#svd-${name}): ${about}`,
  );
  return `${[intro, list.join('\n'), ...commands.map(section)].join('\n\n')}\n`;
}

const path = fileURLToPath(new URL('cli.md', import.meta.url));
if (process.argv[1] === fileURLToPath(import.meta.url))
  void cliPage().then((page) => writeFileSync(path, page));
