import { expect } from 'chai';
import {
  firstProblem,
  flag,
  listOf,
  number,
  oneOf,
  oneOrList,
  type Rule,
  text,
  whole,
} from '../../src/text/rules.ts';

describe('rules', () => {
  const cases: [rule: Rule, value: unknown, problem: string | undefined][] = [
    [number(), -1e300, undefined],
    [number(), '1', ' is "1", not a finite number'],
    [number(), Number.NaN, ' is NaN, not a finite number'],
    [number(), Number.NEGATIVE_INFINITY, ' is -Infinity, not a finite number'],
    [number({ min: 0, max: 1 }), 1, undefined],
    [number({ min: 0, max: 1 }), 1.5, ' is 1.5, more than 1'],
    [number({ min: 0, max: 1 }), -1, ' is -1, less than 0'],
    [number({ above: 0 }), 0, ' is 0, not above 0'],
    [whole(1, 64), 64, undefined],
    [whole(1, 64), 1e9, ' is 1000000000, more than 64'],
    [whole(1, 64), 0, ' is 0, less than 1'],
    [whole(1, 64), 2.5, ' is 2.5, not a whole number'],
    [whole(1, 64), Number.POSITIVE_INFINITY, ' is Infinity, not a whole number'],
    [whole(1, 64), [1], ' is [1], not a whole number'],
    [whole(32, 64, 32), 48, ' is 48, not divisible by 32'],
    [flag, false, undefined],
    [flag, 0, ' is 0, not true or false'],
    [text, '', undefined],
    [text, {}, ' is {...}, not a string'],
    [oneOf('a', 'b'), 'a', undefined],
    [oneOf('a', 'b'), 'constructor', ' is "constructor", not a or b'],
    [oneOf(3), 4, ' is 4, not 3'],
    [listOf(flag, 1, 2), [true], undefined],
    [listOf(flag, 1, 2), true, ' is true, not a list'],
    [listOf(flag, 1, 2), [], ' has 0 entries, fewer than 1'],
    [listOf(flag, 2, 2), [true], ' has 1 entry, fewer than 2'],
    [listOf(flag, 1, 2), Array(100_000).fill(0), ' has 100000 entries, more than 2'],
    [listOf(flag, 1, 2), [true, null], '[1] is null, not true or false'],
    [oneOrList(oneOrList(whole(1, 9), 2), 2), [1, [2, 10]], '[1][1] is 10, more than 9'],
  ];
  for (const [rule, value, problem] of cases)
    it(`${problem ?? `${JSON.stringify(value)} is right`}`, () => {
      expect(rule(value)).to.equal(problem);
    });

  it('find the first wrong value of a table, past defaults and unknown names', () => {
    const rules = { a: flag, b: flag, c: flag };
    expect(firstProblem(rules, { a: null, z: 'x' })).to.equal(undefined);
    expect(firstProblem(rules, { c: 1, b: 2 })).to.equal('b is 2, not true or false');
    expect(firstProblem(rules, Object.create(null))).to.equal(undefined);
  });
});
