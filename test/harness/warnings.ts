/** What code under test says on the console. */

/** What `work` warns of by `console.warn`. */
export async function warningsOf(work: () => unknown): Promise<string[]> {
  const warnings: string[] = [];
  const { warn } = console;
  console.warn = (text: string) => warnings.push(text);
  try {
    await work();
  } finally {
    console.warn = warn;
  }
  return warnings;
}
