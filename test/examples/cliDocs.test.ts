import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { cliPage } from '../../docs/cli.ts';

describe('docs/cli.md', () => {
  it('is what the tables of options say: npm run docs', async () => {
    const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
    expect(page).to.equal(await cliPage());
  });
});
