/**
 * A script that list.ts runs: tries the backend named by its argument and prints the report as one
 * line of JSON.
 */
import { firstLineOf } from '../text/messages.ts';
import { useBackend } from './select.ts';
import { type BackendName, type BackendReport, providers } from './types.ts';

const name = process.argv[2] as BackendName;
let report: BackendReport;
try {
  report = await useBackend(name);
} catch (error) {
  report = { name, package: providers[name], available: false, reason: firstLineOf(error) };
}
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
