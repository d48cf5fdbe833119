import { expect } from 'chai';
import {
  checkValue,
  firstProblem,
  flag,
  type Kind,
  kinds,
  listOf,
  number,
  oneOf,
  oneOrList,
  optional,
  text,
  whole,
  wrongValue,
} from '../../src/text/kinds.ts';

/** A kind, a value, and what is said of it in a call and of a file. */
const cases: [kind: Kind, value: unknown, inCall?: string, ofFile?: string][] = [
  [number(), -1e300],
  [number(), '1', ' has to be a finite number but is "1".', ' is "1", not a finite number'],
  [number(), Number.NaN, ' but is NaN.', ' is NaN, not a finite number'],
  [number(), Number.NEGATIVE_INFINITY, ' but is -Infinity.', ' is -Infinity, not a finite number'],
  [number({ min: 0, max: 1 }), 1],
  [
    number({ min: 0, max: 1 }),
    1.5,
    ' has to be a number from 0 to 1 but is 1.5.',
    ' is 1.5, more than 1',
  ],
  [number({ min: 0 }), -1, ' has to be a number of at least 0 but is -1.', ' is -1, less than 0'],
  [number({ above: 0 }), 0, ' has to be a number above 0 but is 0.', ' is 0, not above 0'],
  [
    number({ above: 0, max: 9 }),
    10,
    ' has to be a number above 0 up to 9 but is 10.',
    ' is 10, more than 9',
  ],
  [whole(1, 64), 64],
  [
    whole(1, 64),
    1e9,
    ' has to be a whole number from 1 to 64 but is 1000000000.',
    ' is 1000000000, more than 64',
  ],
  [whole(-9, 9), -10, ' a whole number from -9 to 9 but is -10.', ' is -10, less than -9'],
  [whole(1), 0, ' has to be a whole number of at least 1 but is 0.', ' is 0, less than 1'],
  [whole(1, 64), 2.5, ' but is 2.5.', ' is 2.5, not a whole number'],
  [whole(1, 64), Number.POSITIVE_INFINITY, ' but is Infinity.', ' is Infinity, not a whole number'],
  [whole(1, 64), [1], ' but is [1].', ' is [1], not a whole number'],
  [
    whole(32, 64, 32),
    48,
    ' has to be a multiple of 32 from 32 to 64 but is 48.',
    ' is 48, not divisible by 32',
  ],
  [flag, false],
  [flag, 0, ' has to be true or false but is 0.', ' is 0, not true or false'],
  [text, ''],
  [text, {}, ' has to be a string but is an Object.', ' is {...}, not a string'],
  [oneOf('a', 'b'), 'a'],
  [
    oneOf('a', 'b'),
    'constructor',
    ' has to be one of a, b but is constructor.',
    ' is "constructor", not a or b',
  ],
  [oneOf('a', 'b'), '', ' but is "".', ' is "", not a or b'],
  [oneOf(3), 4, ' has to be one of 3 but is 4.', ' is 4, not 3'],
  [listOf(flag, 1, 2), [true]],
  [
    listOf(flag, 1, 2),
    true,
    ' has to be a list of 1 to 2 entries but is true.',
    ' is true, not a list',
  ],
  [
    listOf(flag),
    [],
    ' a list of one or more entries but is an empty list.',
    ' has 0 entries, fewer than 1',
  ],
  [
    listOf(flag, 2, 2),
    [true],
    ' has to be a list of 2 entries but is [true].',
    ' has 1 entry, fewer than 2',
  ],
  [
    listOf(flag, 1, 2),
    Array(100_000).fill(0),
    ' but is a list.',
    ' has 100000 entries, more than 2',
  ],
  [
    listOf(flag, 1, 2),
    [true, null],
    '[1]` has to be true or false but is null.',
    '[1] is null, not true or false',
  ],
  [listOf(optional(flag)), [true, null]],
  [
    oneOrList(oneOrList(whole(1, 9), 2), 2),
    [1, [2, 10]],
    '[1][1]` has to be a whole number from 1 to 9 but is 10.',
    '[1][1] is 10, more than 9',
  ],
  [
    kinds.signal,
    new AbortController(),
    "but is an AbortController. Pass the controller's `signal`.",
  ],
];

describe('kinds of values', () => {
  for (const [kind, value, inCall, ofFile] of cases)
    it(inCall ?? `${JSON.stringify(value)} is right`, () => {
      const [call, file] = [wrongValue('a', value, kind), firstProblem({ a: kind }, { a: value })];
      expect(call === undefined).to.equal(inCall === undefined);
      expect(file === undefined).to.equal(inCall === undefined);
      expect(call ?? '').to.contain(inCall ?? '');
      expect(file ?? '').to.contain(ofFile ?? '');
    });

  it('find the first wrong value of a table, past defaults and unknown names', () => {
    const table = { a: flag, b: flag, c: flag };
    expect(firstProblem(table, { a: null, z: 'x' })).to.equal(undefined);
    expect(firstProblem(table, { c: 1, b: 2 })).to.equal('b is 2, not true or false');
    expect(firstProblem(table, Object.create(null))).to.equal(undefined);
  });

  it('throw, unless a value may be left out', () => {
    expect(() => checkValue('a', undefined, flag)).to.throw('`a` has to be true or false');
    checkValue('a', undefined, optional(flag));
    checkValue('a', null, optional(flag));
  });
});
