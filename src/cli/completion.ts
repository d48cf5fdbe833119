/**
 * `svd completion`: scripts by which shells complete commands, options, their values and files,
 * made from the tables of options.
 */
import { oneOperand, type Subcommand, type Subcommands, subcommand } from './terminal/command.ts';
import { wrap } from './terminal/help.ts';
import {
  commonOptions,
  flagOf,
  type Option,
  type Options,
  placeholderOf,
} from './terminal/options.ts';

/** A command, as scripts know it. */
export interface CompletedCommand {
  name: string;
  about: string;
  options: Options;
  /** The arguments that are not options. */
  operands?: Pick<Option, 'choices' | 'files'>;
}

const shells: Record<string, (commands: CompletedCommand[]) => string> = { bash, zsh, fish };
const shellNames = Object.keys(shells);

/** The subcommand that completes `subcommands`. */
export const completionOf = (subcommands: Subcommands): Subcommand =>
  subcommand({
    name: 'completion',
    usage: [shellNames.join('|')],
    about: [
      'Prints a script that completes commands, options, their values and files in a shell.',
      'For bash and zsh, add the first line of the examples to ~/.bashrc or, after compinit, ' +
        'to ~/.zshrc.',
    ],
    examples: [
      'source <(svd completion bash)',
      'svd completion fish > ~/.config/fish/completions/svd.fish',
    ],
    options: {},
    operands: oneOperand(shellNames),
    async run(_, [shell]) {
      console.log(completionScript(shell, await completedCommands(subcommands)));
      return 0;
    },
  });

/** All commands with their tables of options. */
export async function completedCommands(subcommands: Subcommands): Promise<CompletedCommand[]> {
  const loaded = Object.entries(subcommands).map(
    async ([name, { about, load }]): Promise<CompletedCommand> => {
      const { options, operands } = await load();
      return { name, about, options: { ...options, ...commonOptions }, operands };
    },
  );
  const commands = await Promise.all(loaded);
  const help = { name: 'help', about: 'Show the help of a command.', options: {} };
  return [...commands, { ...help, operands: { choices: firstWords(commands) } }];
}

/** The script for a shell. */
export const completionScript = (shell: string, commands: CompletedCommand[]): string =>
  shells[shell](commands);

const general: Options = {
  ...commonOptions,
  version: { short: 'V', help: 'Show the version.' },
};

/** The second words of commands such as `queue add`, by the first. */
function groupsOf(commands: CompletedCommand[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { name } of commands) {
    const [first, second] = name.split(' ');
    if (second !== undefined) groups.set(first, [...(groups.get(first) ?? []), second]);
  }
  return groups;
}

/** The first words of commands. */
const firstWords = (commands: CompletedCommand[]) => [
  ...new Set(commands.map(({ name }) => name.split(' ')[0])),
];

/** `--output` and `-o`. */
const flagsOf = ([key, option]: [string, Option]): string[] => [
  `--${flagOf(key, option)}`,
  ...(option.short === undefined ? [] : [`-${option.short}`]),
];

const flagsOfAll = (options: Options) => Object.entries(options).flatMap(flagsOf).join(' ');

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The beginning of a help text, in one line. */
function shortHelp({ help }: Option): string {
  const [first, ...more] = wrap(help.split(/[.;] |\.$/)[0], 60);
  return more.length > 0 ? `${first} ...` : first;
}

function bash(commands: CompletedCommand[]): string {
  const oneWord = (name: string) => name.replace(' ', '-');
  const complete = ({ choices, files }: Pick<Option, 'choices' | 'files'>) => {
    if (choices) return `_svd_words ${choices.join(' ')}`;
    return files ? `_svd_files ${files.join(' ')}` : ':';
  };
  const values = commands.flatMap(({ name, options }) =>
    Object.entries(options)
      .filter(([, option]) => placeholderOf(option) !== undefined)
      .map((entry) => {
        const words = flagsOf(entry).map((flag) => `${oneWord(name)}:${flag}`);
        return `    ${words.join('|')}) ${complete(entry[1])}; return ;;`;
      }),
  );
  const others = commands.flatMap(({ name, options, operands = {} }) => [
    `    ${oneWord(name)}:-*) _svd_words ${flagsOfAll(options)} ;;`,
    `    ${oneWord(name)}:*) ${complete(operands)} ;;`,
  ]);
  const groups = [...groupsOf(commands)].map(
    ([first, seconds]) => `    ${first})
      if ((COMP_CWORD == at + 1)); then _svd_words ${seconds.join(' ')}; return; fi
      name+=-\${COMP_WORDS[at + 1]} ;;`,
  );
  return `# Completion of svd for bash: source <(svd completion bash)
_svd_words() {
  COMPREPLY=($(compgen -W "$*" -- "$current"))
}
_svd_files() {
  local IFS=$'\\n' ending
  COMPREPLY=($(compgen -d -- "$current"))
  for ending; do COMPREPLY+=($(compgen -f -X "!*$ending" -- "$current")); done
  compopt -o filenames 2> /dev/null
}
_svd() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  # Bash makes three words of --name=value.
  [[ $current == = ]] && current=
  [[ $before == = ]] && before=\${COMP_WORDS[COMP_CWORD - 2]}
  COMPREPLY=()
  local at=1
  while [[ $at -lt $COMP_CWORD && \${COMP_WORDS[at]} == -* ]]; do ((++at)); done
  if ((COMP_CWORD == at)); then
    _svd_words ${firstWords(commands).join(' ')} ${flagsOfAll(general)}
    return
  fi
  local name=\${COMP_WORDS[at]}
  case $name in
${groups.join('\n')}
  esac
  case $name:$before in
${values.join('\n')}
  esac
  case $name:$current in
${others.join('\n')}
  esac
}
complete -F _svd svd`;
}

function zsh(commands: CompletedCommand[]): string {
  const action = ({ choices, files }: Pick<Option, 'choices' | 'files'>) => {
    if (choices) return `(${choices.join(' ')})`;
    if (files === undefined) return ' ';
    const patterns = files.filter((ending) => ending !== '/').map((ending) => `*${ending}`);
    return patterns.length === 0 ? '_files -/' : `_files -g "${patterns.join(' ')}"`;
  };
  const specification = (entry: [string, Option]) => {
    const [, option] = entry;
    const { many } = option;
    const value = placeholderOf(option);
    const text = `[${shortHelp(option).replace(/[[\]\\]/g, '\\$&')}]`;
    const argument = value === undefined ? '' : `:${value}:${action(option)}`;
    const flags = flagsOf(entry);
    return flags.map((flag) => {
      const exclusive = many ? '*' : `(${flags.join(' ')})`;
      const ending = value === undefined ? '' : flag.startsWith('--') ? '=' : '+';
      return quoted(`${exclusive}${flag}${ending}${text}${argument}`);
    });
  };
  const specifications = (options: Options) => Object.entries(options).flatMap(specification);
  const arguments_ = ({ options, operands }: CompletedCommand) => {
    const rest = operands === undefined ? [] : [quoted(`*:argument:${action(operands)}`)];
    const lines = [...specifications(options), ...rest].map((line) => ` \\\n        ${line}`);
    return `_arguments${lines.join('')}`;
  };
  const groups = groupsOf(commands);
  const single = commands.filter(({ name }) => !name.includes(' '));
  const cases = [
    ...single.map((command) => `      ${command.name}) ${arguments_(command)} ;;`),
    ...[...groups].map(([first, seconds]) => {
      const inner = commands
        .filter(({ name }) => name.startsWith(`${first} `))
        .map((command) => `        ${command.name.split(' ')[1]}) ${arguments_(command)} ;;`);
      return `      ${first})
        _arguments -C '1: :(${seconds.join(' ')})' '*:: :->second'
        [[ $state == second ]] && case $line[1] in
${inner.join('\n')}
        esac ;;`;
    }),
  ];
  const names = [
    ...single.map(({ name, about }) => `      ${quoted(`${name}:${about}`)}`),
    ...[...groups].map(([first, seconds]) => `      ${quoted(`${first}:${seconds.join(', ')}`)}`),
  ];
  return `#compdef svd
# Completion of svd for zsh: source <(svd completion zsh), or this file as _svd in $fpath
_svd() {
  local state line
  local -A opt_args
  _arguments -C ${specifications(general).join(' ')} '1: :->command' '*:: :->arguments'
  case $state in
  command)
    local -a commands=(
${names.join('\n')}
    )
    _describe command commands
    ;;
  arguments)
    case $line[1] in
${cases.join('\n')}
    esac
    ;;
  esac
}
if [[ $funcstack[1] == _svd ]]; then _svd "$@"; else compdef _svd svd; fi`;
}

function fish(commands: CompletedCommand[]): string {
  const completed = ({ choices, files }: Pick<Option, 'choices' | 'files'>) => {
    if (choices) return ` -x -a ${quoted(choices.join(' '))}`;
    return files ? ' -r -F' : ' -x';
  };
  const line = (condition: string, rest: string) => `complete -c svd -n '${condition}'${rest}`;
  const lines = (condition: string, options: Options) =>
    Object.entries(options).map(([key, option]) => {
      const short = option.short === undefined ? '' : ` -s ${option.short}`;
      const argument = placeholderOf(option) === undefined ? '' : completed(option);
      const text = quoted(shortHelp(option));
      return line(condition, `${short} -l ${flagOf(key, option)}${argument} -d ${text}`);
    });
  return [
    '# Completion of svd for fish: svd completion fish > ~/.config/fish/completions/svd.fish',
    'complete -c svd -f',
    ...lines('__fish_use_subcommand', general),
    ...[...groupsOf(commands)].map(([first, seconds]) =>
      line('__fish_use_subcommand', ` -a ${first} -d ${quoted(seconds.join(', '))}`),
    ),
    ...commands.flatMap(({ name, about, options, operands }) => {
      const words = name.split(' ');
      const within = words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
      const { choices, files } = operands ?? {};
      const seconds = groupsOf(commands).get(words[0])?.join(' ');
      const before =
        seconds === undefined
          ? '__fish_use_subcommand'
          : `__fish_seen_subcommand_from ${words[0]}; and not __fish_seen_subcommand_from ${seconds}`;
      return [
        line(before, ` -a ${words.at(-1)} -d ${quoted(about)}`),
        ...lines(within, options),
        ...(choices ? [line(within, ` -a ${quoted(choices.join(' '))}`)] : []),
        ...(files ? [line(within, ' -F')] : []),
      ];
    }),
  ].join('\n');
}
