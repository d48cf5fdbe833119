import { expect } from 'chai';
import { printable, printableLines, quoted } from '../../src/text/printable.ts';

/** A change of colour, a line, a C1 control sequence, text from right to left, a separator. */
const hostile = 'a\u001b[31mb\nc\u009b2Jd\u202ee\u2066f\u2028g\u007f\r';
const shown = 'a\\u001b[31mb\\u000ac\\u009b2Jd\\u202ee\\u2066f\\u2028g\\u007f\\u000d';

describe('printable', () => {
  it('shows control characters and marks of direction, and leaves other letters', () => {
    expect(printable(hostile)).to.equal(shown);
    const letters = 'Grüße \u{1f680} 日本語 עברית e\u0301\u00a0\u202f\\';
    expect(printable(letters)).to.equal(letters);
  });

  it('keeps lines where they are meant', () => {
    expect(printableLines('a\n\u001bb\n')).to.equal('a\n\\u001bb\n');
  });

  it('is what quotes values of files', () => {
    expect(quoted(hostile)).to.equal(
      '"a\\u001b[31mb\\nc\\u009b2Jd\\u202ee\\u2066f\\u2028g\\u007f\\r"',
    );
    expect(quoted(['\u009b', {}])).to.equal('["\\u009b",...]');
    expect(quoted('x'.repeat(300))).to.have.lengthOf(203);
    const others = [{ toString: 1 }, null, undefined, Number.NaN, -1e21, true];
    expect(others.map(quoted)).to.deep.equal([
      ...['{...}', 'null', 'undefined', 'NaN', '-1e+21', 'true'],
    ]);
  });
});
