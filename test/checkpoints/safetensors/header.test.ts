import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { memoryBytes, readSafetensors } from '../../../src/checkpoints/safetensors/reader.ts';
import { Choices, fuzzCases } from '../../harness/fuzz.ts';
import { expectError, fixture } from '../files.ts';

/** A file of this header and this many zero bytes. */
function file(header: unknown, dataBytes: number): Uint8Array {
  return fileOfText(typeof header === 'string' ? header : JSON.stringify(header), dataBytes);
}

function fileOfText(text: string | Uint8Array, dataBytes: number): Uint8Array {
  const header = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  const bytes = new Uint8Array(8 + header.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  return bytes;
}

const read = (bytes: Uint8Array) => readSafetensors(memoryBytes(bytes, 'a.safetensors'));
const entry = (dtype: string, shape: unknown, start: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

describe('safetensors header', () => {
  it('gives names in file order, types, shapes and metadata', async () => {
    const opened = await read(
      file(
        { b: entry('F32', [1, 2], 4, 12), a: entry('I32', [], 0, 4), __metadata__: { k: 'v' } },
        12,
      ),
    );
    expect(opened.names()).to.deep.equal(['a', 'b']);
    expect(opened.info('b')).to.deep.equal({ dtype: 'F32', shape: [1, 2], bytes: 8 });
    expect(opened.info('a')).to.deep.equal({ dtype: 'I32', shape: [], bytes: 4 });
    expect(opened.metadata).to.deep.equal({ k: 'v' });
  });

  it('reads a file without tensors, with empty tensors, and with unaligned ones', async () => {
    expect((await read(file('{}', 0))).names()).to.deep.equal([]);
    const empty = await read(
      file(
        {
          a: entry('F32', [0, 9007199254740991, 9007199254740991], 0, 0),
          b: entry('F32', [], 0, 4),
        },
        4,
      ),
    );
    expect(await empty.read('a')).to.have.length(0);
    const bytes = file({ a: entry('U8', [3], 0, 3), b: entry('F32', [1], 3, 7) }, 7);
    bytes.set([0, 0, 0x80, 0x3f], bytes.length - 4);
    expect([...(await (await read(bytes)).read('b'))]).to.deep.equal([1]);
  });

  const cases: [string, Uint8Array, string][] = [
    ['an empty file', new Uint8Array(0), 'is empty: download it again'],
    ['a file of 7 bytes', new Uint8Array(7), 'only 7 bytes'],
    ['a header length of zero', new Uint8Array(8), "does not start with '{'"],
    [
      'a header over 100 MB',
      Uint8Array.of(1, 0xe1, 0xf5, 5, 0, 0, 0, 0),
      '100000001 bytes, more than the 100000000 allowed',
    ],
    ['a header length of 2^64 - 1', new Uint8Array(16).fill(255), '18446744073709551615'],
    [
      'a header that the file cuts off',
      file({}, 0).subarray(0, 9),
      '1 bytes of its header of 2 bytes are missing',
    ],
    [
      'a Git LFS pointer',
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'),
      'git lfs pull',
    ],
    ['broken JSON', file('{"a":', 0), 'not JSON'],
    ['bytes after the JSON', file('{} x', 0), 'not JSON'],
    [
      'invalid UTF-8',
      fileOfText(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 0),
      'not JSON',
    ],
    ['an array', file('[]', 0), "does not start with '{'"],
    ['deeply nested arrays', file(`{"a":${'['.repeat(1e5)}`, 0), 'not JSON'],
    [
      'deeply nested shapes',
      file(
        `{"a":{"dtype":"F32","shape":${'['.repeat(1e5)}${']'.repeat(1e5)},"data_offsets":[0,4]}}`,
        4,
      ),
      'shape [...]',
    ],
    [
      'a shape of many wrong sizes',
      file({ a: entry('F32', new Array(1e5).fill(-1), 0, 4) }, 4),
      'shape [-1,-1,-1,-1,-1,-1,-1,-1,...]',
    ],
    [
      'a tensor named twice',
      file('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"\\u0061" : {}}', 4),
      '"a" twice',
    ],
    [
      'a field named twice',
      file('{"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}}', 4),
      '"shape" twice',
    ],
    ['an entry that is no object', file({ a: 1 }, 0), '"a" is not an object'],
    ['an unknown type', file({ a: entry('F33', [], 0, 4) }, 4), 'type "F33"'],
    [
      'a type named like an inherited property',
      file({ a: entry('toString', [], 0, 4) }, 4),
      'type "toString"',
    ],
    ['a negative size', file({ a: entry('F32', [-1], 0, 4) }, 4), 'shape [-1]'],
    ['a fractional size', file({ a: entry('F32', [0.5], 0, 2) }, 2), 'shape [0.5]'],
    ['a missing shape', file({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), 'shape undefined'],
    [
      'a shape whose product overflows',
      file({ a: entry('F32', [4294967296, 4294967296, 4294967296], 0, 0) }, 0),
      'impossible',
    ],
    ['half a byte', file({ a: entry('F4', [3], 0, 1) }, 1), 'impossible'],
    ['a descending range', file({ a: entry('F32', [], 4, 0) }, 4), 'ascending'],
    ['a negative range', file({ a: entry('F32', [], -4, 0) }, 4), 'ascending'],
    [
      'a range of three numbers',
      file({ a: { dtype: 'F32', shape: [], data_offsets: [0, 4, 4] } }, 4),
      'ascending',
    ],
    [
      'a range that does not fit the shape',
      file({ a: entry('F32', [2], 0, 4) }, 4),
      'takes 4 bytes, but its type F32 and shape [2] need 8',
    ],
    [
      'overlapping tensors',
      file({ a: entry('F32', [2], 0, 8), b: entry('F32', [], 4, 8) }, 8),
      '"b" overlaps "a"',
    ],
    [
      'a hole',
      file({ a: entry('F32', [], 0, 4), b: entry('F32', [], 8, 12) }, 12),
      '4 bytes before "b" belong to no tensor',
    ],
    ['a hole at the start', file({ a: entry('F32', [], 4, 8) }, 8), '4 bytes before "a"'],
    ['a truncated file', file({ a: entry('F32', [100], 0, 400) }, 50), 'truncated: 350 of the'],
    [
      'a file that is too long',
      file({ a: entry('F32', [], 0, 4) }, 9),
      '5 bytes after its last tensor',
    ],
    [
      'metadata that is no object',
      file({ __metadata__: 'x' }, 0),
      '`__metadata__` is not an object',
    ],
    ['metadata that is no text', file({ __metadata__: { k: 1 } }, 0), '"k" in `__metadata__`'],
  ];
  for (const [what, bytes, message] of cases) {
    it(`refuses ${what}`, async () => {
      await expectError(() => read(bytes), 'a.safetensors', message);
    });
  }

  it('cuts long names in messages and keeps them on one line', async () => {
    const message = await expectError(() => read(file({ [`\n${'x'.repeat(1e5)}`]: 1 }, 0)));
    expect(message.length).to.be.below(500);
  });
});

describe('mutated safetensors files', () => {
  const valid = Uint8Array.from(readFileSync(fixture('dtypes.safetensors')));
  const headerEnd = 8 + Number(new DataView(valid.buffer).getBigUint64(0, true));
  const interesting = [...'{}[]",:\\0123456789-+.eEFnull \n\t', '\0', '\x7f', '\xff', '\x80'].map(
    (char) => char.charCodeAt(0),
  );

  /** Replaces, inserts, removes or cuts off bytes at `at`. */
  function mutateAt(bytes: Uint8Array, at: number, choices: Choices): Uint8Array {
    const byte = choices.below(2) === 0 ? choices.of(interesting) : choices.below(256);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const replaced = Uint8Array.of(...before, byte, ...after.subarray(1));
    return choices.of([
      ...[replaced, replaced, replaced],
      Uint8Array.of(...before, byte, ...after),
      Uint8Array.of(...before, ...after.subarray(1 + choices.below(30))),
      before.slice(),
    ]);
  }

  function mutate(choices: Choices): Uint8Array {
    let bytes: Uint8Array = valid;
    for (let edits = 1 + choices.below(3); edits > 0; edits--) {
      const end = choices.below(4) === 0 ? bytes.length : Math.min(bytes.length, headerEnd);
      const at = choices.below(end);
      bytes = mutateAt(bytes, at, choices);
      // Lengths changed within the header are adjusted half of the time, so that the mutations
      // reach the checks behind it.
      const length = headerEnd - 8 + bytes.length - valid.length;
      if (bytes.length > at && at >= 8 && length > 0 && choices.below(2) === 0)
        new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
    }
    return bytes;
  }

  it('are read in full or refused with one sentence that names the file', async () => {
    let readable = 0;
    let refused = 0;
    for (let seed = 0; seed < fuzzCases(8000); seed++) {
      const bytes = mutate(new Choices(seed));
      let opened: Awaited<ReturnType<typeof read>>;
      try {
        opened = await read(bytes);
      } catch (error) {
        refused++;
        await expectError(() => {
          throw error;
        }, 'a.safetensors');
        continue;
      }
      readable++;
      const header = JSON.parse(
        new TextDecoder().decode(
          bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true))),
        ),
      );
      const names = Object.keys(header).filter((name) => name !== '__metadata__');
      expect(opened.names()).to.have.members(names);
      let total = 0;
      for (const name of names) {
        const raw = await opened.readRaw(name);
        const end = bytes.length - sumOf(header, names) + header[name].data_offsets[1];
        expect([...raw]).to.deep.equal([...bytes.subarray(end - raw.length, end)]);
        total += raw.length;
      }
      expect(total).to.equal(sumOf(header, names));
    }
    expect(readable).to.be.above(fuzzCases(200));
    expect(refused).to.be.above(fuzzCases(2000));
  });

  function sumOf(header: Record<string, { data_offsets: number[] }>, names: string[]): number {
    return names.reduce(
      (sum, name) => sum + header[name].data_offsets[1] - header[name].data_offsets[0],
      0,
    );
  }
});
