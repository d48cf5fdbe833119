/** Keeps report.csv and index.html of a folder up to date while a batch runs. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { UsageError } from '../terminal/errors.ts';
import { type Outcome, reportCsv, reportHeader } from './report.ts';
import { contactSheet, SHEET_MARK } from './sheet.ts';

/** Milliseconds between two writings. */
const BETWEEN = 10_000;

const files = {
  'report.csv': { text: reportCsv, mark: reportHeader.slice(0, 40) },
  'index.html': { text: contactSheet, mark: SHEET_MARK },
};

/** The two files on a list of outcomes. */
export class ReportFiles {
  private readonly folder: string;
  private readonly outcomes: Outcome[];
  private last = performance.now();

  constructor(folder: string, outcomes: Outcome[]) {
    this.folder = folder;
    this.outcomes = outcomes;
  }

  /** @throws UsageError if one would replace a file that this program has not written. */
  async check(): Promise<void> {
    for (const [name, { mark }] of Object.entries(files)) {
      const path = join(this.folder, name);
      const text = await readFile(path, 'utf8').catch(() => mark);
      if (!text.includes(mark))
        throw new UsageError(
          `"${path}" would be replaced, but this program has not written it. Use another folder.`,
        );
    }
  }

  /** Writes them if they have not been for some time. */
  async update(): Promise<void> {
    if (performance.now() - this.last >= BETWEEN) await this.write();
  }

  async write(): Promise<void> {
    for (const [name, { text }] of Object.entries(files)) {
      const content = text(this.outcomes, this.folder);
      await writeAtomically(join(this.folder, name), (path) => writeFile(path, content));
    }
    this.last = performance.now();
  }
}
