/**
 * Every public symbol, and every public member of it, has its documentation comment, and the API's
 * pages are not made without.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));
const entries = [
  'src/index.ts',
  'src/browser.ts',
  ...['layers', 'models', 'schedulers', 'checkpoints', 'verification'].map(
    (folder) => `src/${folder}/index.ts`,
  ),
];

const modifiersOf = (node: ts.Node) =>
  ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
const isHidden = (node: ts.Node) =>
  modifiersOf(node).some(
    ({ kind }) => kind === ts.SyntaxKind.PrivateKeyword || kind === ts.SyntaxKind.ProtectedKeyword,
  );
const isOverride = (node: ts.Node) =>
  modifiersOf(node).some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword);
const hasComment = (node: ts.Node) => ts.getJSDocCommentsAndTags(node).length > 0;

/**
 * Members that need no comment of their own: what a base class explains, the class name for
 * serialisation, and constructors without one.
 */
const explainedElsewhere = (member: ts.Node, name: string) =>
  isOverride(member) || ['className', 'steps', '__constructor'].includes(name);

describe('documentation', () => {
  it('explains every public symbol and member @slow', () => {
    const program = ts.createProgram(
      entries.map((entry) => root + entry),
      {
        module: ts.ModuleKind.NodeNext,
        target: ts.ScriptTarget.ES2022,
        allowImportingTsExtensions: true,
        noEmit: true,
        skipLibCheck: true,
      },
    );
    const checker = program.getTypeChecker();
    const missing = new Set<string>();
    const check = (symbol: ts.Symbol, path: string) => {
      const declarations = (symbol.declarations ?? []).filter((node) => !isHidden(node));
      if (
        declarations.length === 0 ||
        !declarations.every((node) => node.getSourceFile().fileName.startsWith(`${root}src/`))
      )
        return;
      if (
        !declarations.some(hasComment) &&
        !declarations.some((node) => explainedElsewhere(node, symbol.name))
      ) {
        missing.add(`${relative(root, declarations[0].getSourceFile().fileName)}: ${path}`);
      }
      for (const declaration of declarations) {
        if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration))
          continue;
        for (const member of [
          ...(symbol.members?.values() ?? []),
          ...(symbol.exports?.values() ?? []),
        ]) {
          if (member.flags & ts.SymbolFlags.TypeParameter || member.name === 'prototype') continue;
          check(member, `${path}.${member.name}`);
        }
      }
    };
    for (const entry of entries) {
      const module = checker.getSymbolAtLocation(program.getSourceFile(root + entry)!)!;
      for (const symbol of checker.getExportsOfModule(module)) {
        check(
          symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
          symbol.name,
        );
      }
    }
    expect([...missing].sort()).to.deep.equal([]);
  });

  describe('pages of the API @slow', () => {
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
    });
    after(() => rm(folder, { recursive: true }));

    /**
     * Runs TypeDoc as `npm run docs` does, on another program, and gives its exit code and what it
     * says.
     */
    async function typedoc(program: string): Promise<{ code: number; said: string }> {
      const [entry, tsconfig, options] = ['entry.ts', 'tsconfig.json', 'typedoc.json'].map((name) =>
        join(folder, name),
      );
      await writeFile(entry, program);
      await writeFile(
        tsconfig,
        JSON.stringify({ compilerOptions: { target: 'ES2022', types: [] }, files: [entry] }),
      );
      await writeFile(
        options,
        JSON.stringify({ extends: [`${root}typedoc.json`], entryPoints: [entry], tsconfig }),
      );
      const command = fileURLToPath(
        new URL('bin/typedoc', import.meta.resolve('typedoc/package.json')),
      );
      const args = [command, '--options', options, '--emit', 'none'];
      return new Promise((resolve) => {
        execFile(
          process.execPath,
          args,
          { cwd: root, env: { ...process.env, NO_COLOR: '1' } },
          (error, stdout, stderr) =>
            resolve({ code: error ? Number(error.code) : 0, said: stdout + stderr }),
        );
      });
    }

    it('are made if everything has a comment', async () => {
      const { code, said } = await typedoc(`
        /** Explained. */
        export function documented() {}
        /** Explained. */
        export interface Options {
          /** Explained. */
          explained: number;
        }`);
      expect(code, said).to.equal(0);
    });

    it('fail for what has none, and name it', async () => {
      const { code, said } = await typedoc(`
        /** Explained. */
        export function documented() {}
        export function forgottenFunction() {}
        export const forgottenConstant = 1;
        export type ForgottenType = number;
        /** Explained. */
        export class Explained {
          forgottenMethod() {}
        }
        /** Explained. */
        export interface Options {
          forgottenProperty: number;
        }`);
      expect(code, said).to.be.above(0);
      const named = [
        ...said.matchAll(/^\[warning\] entry\.(\S+) .+ does not have any documentation$/gm),
      ].map(([, name]) => name);
      const forgotten = ['forgottenFunction', 'forgottenConstant', 'ForgottenType'];
      expect(named, said).to.have.members([
        ...forgotten,
        'Explained.forgottenMethod',
        'Options.forgottenProperty',
      ]);
    });
  });
});
