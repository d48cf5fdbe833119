import { expect } from 'chai';
import { parseJson } from '../../src/text/json.ts';

describe('parseJson', () => {
  it('reads what JSON.parse reads', () => {
    const texts = [
      ...[
        '0',
        '-1.5e-3',
        '"a\\"\\u00e9\\n\\\\"',
        'true',
        'null',
        '[]',
        '{}',
        ' [1 , [2], {"a":3}]\n',
      ],
      JSON.stringify({ a: [1, { b: 'x:{}[],"' }], 'a b': '', c: [[], {}] }, null, 2),
    ];
    for (const text of texts) expect(parseJson(text), text).to.deep.equal(JSON.parse(text));
  });

  it('reads the numbers that Python writes for what JSON has no word for', () => {
    const text = '{"a": [NaN, Infinity, -Infinity], "b": "NaN, Infinity"}';
    expect(parseJson(text)).to.deep.equal({
      a: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
      b: 'NaN, Infinity',
    });
  });

  it('makes tables that hold only the keys of the file, of equal ones the last', () => {
    const table = parseJson('{"__proto__": {"x": 1}, "constructor": 2, "a": 3, "a": 4}');
    expect(Object.getPrototypeOf(table)).to.equal(null);
    expect(Object.keys(table as object)).to.deep.equal(['__proto__', 'constructor', 'a']);
    expect((table as { a: number }).a).to.equal(4);
    expect((table as { x?: number }).x).to.equal(undefined);
    expect(({} as { x?: number }).x).to.equal(undefined);
  });

  it('says where it is wrong', () => {
    const wrong: [text: string, where: string][] = [
      ['x', 'line 1, column 1'],
      ['{"a": 1,\n "b": 2,\n}', 'line 3, column 1'],
      ['{\n  "a": tru\n}', 'line 2, column 8'],
      ['[1 2]', 'line 1, column 4'],
      ['[1,]', 'line 1, column 4'],
      ["{'a': 1}", 'line 1, column 2'],
      ['{"a" 1}', 'line 1, column 6'],
      ['{1: 2}', 'line 1, column 2'],
      ['["\\x"]', 'line 1, column 2'],
      ['["a\nb"]', 'line 1, column 2'],
      ['01', 'line 1, column 1'],
      ['1Infinity', 'line 1, column 1'],
      ['{} {}', 'line 1, column 4'],
      ['undefined', 'line 1, column 1'],
    ];
    for (const [text, where] of wrong)
      expect(() => parseJson(text), text).to.throw(
        SyntaxError,
        `is not valid JSON: ${where} is wrong`,
      );
  });

  it('says that a text ends too early, wherever it ends', () => {
    const text = '{"a": [1, "b\\"c", {"d": true}]}';
    for (let end = 0; end < text.length; end++)
      expect(() => parseJson(text.slice(0, end)), text.slice(0, end)).to.throw(
        SyntaxError,
        /ends too early$|line 1, column \d+ is wrong$/, // the latter in the middle of a word
      );
    expect(() => parseJson('["a\\')).to.throw('ends too early');
  });

  it('takes long texts and refuses deep ones', () => {
    const long = 'x'.repeat(5e6);
    expect(parseJson(`["${long}"]`)).to.deep.equal([long]);
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    expect(parseJson(nested(64))).to.be.an('array');
    for (const levels of [65, 1e6])
      expect(() => parseJson(nested(levels))).to.throw(
        SyntaxError,
        'is nested more deeply than 64 levels',
      );
    expect(() => parseJson('{"a":'.repeat(1e6))).to.throw(SyntaxError, 'nested more deeply');
  });
});
