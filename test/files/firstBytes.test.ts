/** What people save under the name of a weight file or a config. */
import { expect } from 'chai';
import { describeFirstBytes } from '../../src/files/firstBytes.ts';

/** Bytes given as the letters U+0000 to U+00FF. */
const bytes = (letters: string) => Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
/** What PowerShell's `>` writes. */
const utf16 = (text: string) => bytes(`\xff\xfe${[...text].map((c) => `${c}\0`).join('')}`);
const told = (letters: string) => describeFirstBytes(bytes(letters));

const AGAIN = 'not weights: download it again';

describe('describeFirstBytes', () => {
  const cases: [what: string, letters: string | Uint8Array, ...parts: string[]][] = [
    ['nothing', '', 'is empty: download it again'],
    ['a web page', '<!DOCTYPE html><html>', `is a web page, ${AGAIN}`],
    ['a web page behind blanks and a mark', '\xef\xbb\xbf\r\n  <html lang="en">', 'a web page'],
    ['a web page in XHTML', '<?xml version="1.0"?>\n<html>', 'a web page'],
    ['a web page in UTF-16', utf16('<!doctype HTML>'), 'a web page'],
    ['the answer of a bucket', '<?xml version="1.0"?><Error><Code>AccessDenied', 'an XML text'],
    ['an error text', 'Entry not found', `is a text that begins with "Entry not found", ${AGAIN}`],
    ['an error in JSON', '{"error":"Repository not found"}', 'Repository not found', AGAIN],
    ['an index', '{"metadata":{},"weight_map":{}}', 'the index of several weight files', 'folder'],
    ['a config', '{\n "_class_name": "UNet"', 'is a config', 'the folder of the whole model'],
    ['an old PyTorch file', '\x80\x02\x8a\nl\xfc\x9cF', 'is a pickle file of PyTorch', 'runs code'],
    ['a PyTorch file', 'PK\x03\x04\0\0archive/data.pkl', 'a pickle file', 'safe_serialization'],
    ['a zip archive', 'PK\x03\x04\0\0model.safetensors', 'is a zip archive', 'unpack it'],
    ['a gzip archive', '\x1f\x8b\x08\0\0\0\0\0\0', 'is a gzip archive'],
    ['a 7-Zip archive', '7z\xbc\xaf\x27\x1c', 'is a 7-Zip archive'],
    ['an xz archive', '\xfd7zXZ\0', 'is an xz archive'],
    ['a Zstandard archive', '\x28\xb5\x2f\xfd', 'is a Zstandard archive'],
    ['a bzip2 archive', 'BZh91AY&SY', 'is a bzip2 archive'],
    ['a RAR archive', 'Rar!\x1a\x07\x01', 'is a RAR archive'],
    ['a tar archive', `${'unet'.padEnd(257, '\0')}ustar`, 'is a tar archive'],
    ['a GGUF file', 'GGUF\x03\0\0\0', 'is a GGUF file', 'not safetensors', '.safetensors file'],
    ['a Keras file', '\x89HDF\r\n\x1a\n', 'is an HDF5 file'],
    ['an ONNX model', '\x08\x07\x12\x07pytorch', 'is an ONNX model'],
    ['a TensorFlow Lite model', '\x1c\0\0\0TFL3', 'is a TensorFlow Lite model'],
    ['a NumPy array', '\x93NUMPY\x01', 'is a NumPy array'],
    ['a PNG', '\x89PNG\r\n\x1a\n', `is a picture, ${AGAIN}`],
    ['a JPEG', '\xff\xd8\xff\xe0', 'is a picture'],
    ['an MP4', '\0\0\0\x20ftypisom', 'is a picture or video'],
    ['a PDF', '%PDF-1.7', 'is a PDF document'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\n', 'a Git LFS pointer'],
    ['a Xet pointer', '# xet version 0\nfilesize = 1', 'is a Xet pointer'],
    ['a git-annex pointer', '/annex/objects/SHA256E-s1--a\n', 'is a git-annex pointer'],
    ['a link as text', '../../blobs/0123abcd', 'is the text of a link'],
  ];
  for (const [what, letters, ...parts] of cases)
    it(`knows ${what}`, () => {
      const start = typeof letters === 'string' ? bytes(letters) : letters;
      for (const part of parts) expect(describeFirstBytes(start)).to.include(part);
    });

  it('says nothing of other bytes', () => {
    expect(told('\0\0\0\0\0\0\0\0')).to.equal(undefined);
    expect(told('\x10\x01\0\0\0\0\0\0{"a')).to.equal(undefined);
    expect(told('\xff\xff\xff\xff\xff\xff\xff\xff')).to.equal(undefined);
  });

  it('shows no control character, and little of a long text', () => {
    expect(told('\x1b[2J')).to.equal(undefined);
    expect(told('x'.repeat(1000))).to.have.length.below(150);
  });

  it('knows texts that are cut within a letter', () => {
    const text = new TextEncoder().encode(`${'a'.repeat(511)}é`);
    expect(describeFirstBytes(text)).to.include('a text');
  });

  it('leaves JSON with a fault to its reader, and knows what is none', () => {
    const json = (letters: string) => describeFirstBytes(bytes(letters), 'JSON');
    expect(json('{"a": ')).to.equal(undefined);
    expect(json('Entry not found')).to.equal(undefined);
    expect(json('<!doctype html>')).to.equal('is a web page, not JSON: download it again');
    expect(json('version https://git-lfs.github.com/spec/v1')).to.include('git lfs pull');
    expect(json('\x10\x01\0\0\0\0\0\0{"a')).to.include('a safetensors file, not JSON');
    expect(json('')).to.equal('is empty: download it again');
  });
});
