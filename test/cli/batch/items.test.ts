/** What the arguments of `svd batch` mean, and what is refused of them. */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { expect } from 'chai';
import { readItems } from '../../../src/cli/batch/items.ts';
import { manyOptions } from '../../../src/cli/batch/options.ts';
import { readArguments, readValues } from '../../../src/cli/terminal/arguments.ts';
import { UsageError } from '../../../src/cli/terminal/errors.ts';

describe('inputs of svd batch', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'svd-test-')));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const at = (name: string) => join(folder, name);

  async function files(...names: string[]): Promise<void> {
    for (const name of names) {
      await mkdir(dirname(at(name)), { recursive: true });
      await writeFile(at(name), '');
    }
  }

  async function read(args: string[]) {
    const given = readArguments([...args, '--output-dir', at('out')], manyOptions);
    const values = readValues(given, manyOptions, 'batch');
    return readItems(given.positionals, values, given.has, values.outputDir);
  }

  /** Pictures and outputs, below the folder. */
  async function pairs(...args: string[]): Promise<string[]> {
    const items = await read(args);
    return items.map(({ picture, output }) =>
      [picture, output].map((path) => path.replace(`${folder}/`, '')).join(' > '),
    );
  }

  async function refusal(...args: string[]): Promise<string> {
    const error = await read(args).then(
      () => expect.fail('nothing is refused'),
      (reason) => reason,
    );
    expect(error).to.be.instanceOf(UsageError);
    return error.message.replaceAll(`${folder}/`, '');
  }

  async function manifest(name: string, text: string | Uint8Array): Promise<string> {
    await writeFile(at(name), text);
    return at(name);
  }

  it('are pictures, folders and patterns, in the order of numbers', async () => {
    await files('b.jpg', 'set/10.png', 'set/9.PNG', 'set/notes.txt', 'set/deep/11.png');
    expect(await pairs(at('b.jpg'), at('set'))).to.deep.equal([
      'b.jpg > out/b.mp4',
      'set/9.PNG > out/9.mp4',
      'set/10.png > out/10.mp4',
    ]);
    expect(await pairs(at('set/**/1*.png'), '--format', 'png')).to.deep.equal([
      'set/10.png > out/10/',
      'set/deep/11.png > out/deep/11/',
    ]);
  });

  it('store a picture as one would pass it to svd generate', async () => {
    await files('set/a.png');
    const set = relative(process.cwd(), at('set'));
    for (const input of [set, `${set}/`, `${set}/*.png`]) {
      const [{ command }] = await read([input]);
      expect(command.images).to.deep.equal([`${set}/a.png`]);
    }
  });

  it('are files whose letters are written in other characters', async () => {
    await files('\u0041\u0308.png');
    expect(await pairs(at('\u00c4.png'))).to.deep.equal(['\u0041\u0308.png > out/\u00c4.mp4']);
    const list = await manifest('l.csv', 'picture\n\u00c4.png\n');
    expect(await pairs(list)).to.deep.equal(['\u0041\u0308.png > out/\u00c4.mp4']);
  });

  it('are addresses, and files whose names look like patterns', async () => {
    await files('a[1].png');
    expect(await pairs('https://example.org/b.png?x=1', at('a[1].png'))).to.deep.equal([
      'https://example.org/b.png?x=1 > out/b.mp4',
      'a[1].png > out/a[1].mp4',
    ]);
  });

  it('pass over outputs, and take a picture once', async () => {
    await files('set/a.png', 'set/old.webp', 'set/old.webp.svd.json', 'set/.hidden.png');
    const once = ['set/a.png > out/a.mp4'];
    expect(await pairs(at('set'), at('set/a.png'))).to.deep.equal(once);
    expect(await pairs(at('set/*'))).to.deep.equal(once);
  });

  it('pass over several outputs of one picture, folders of frames, and other folders', async () => {
    await files('set/a.png', 'set/a-0.gif', 'set/a-1.gif', 'set/frames/0000.png', 'set/b.png/c');
    await files('set/frames.svd.json', 'set/out/deep/d-0/0000.png', 'set/old.gif.svd.json');
    const stored = (...names: string[]) =>
      JSON.stringify({ videos: names.map((file) => ({ file })) });
    await writeFile(at('set/a.gif.svd.json'), stored('a-0.gif', 'a-1.gif'));
    await writeFile(at('set/out/deep/d.svd.json'), stored('d-0', 'd-1'));
    await writeFile(at('set/null.gif.svd.json'), 'null');
    const once = ['set/a.png > out/a.mp4'];
    expect(await pairs(at('set'))).to.deep.equal(once);
    expect(await pairs(at('set/**/*.{png,gif}'))).to.deep.equal(once);
    // A folder of frames that is named is wanted.
    expect(await pairs(at('set/frames'))).to.deep.equal(['set/frames/0000.png > out/0000.mp4']);
  });

  it('are refused if there is no picture', async () => {
    await files('set/notes.txt');
    expect(await refusal()).to.match(/^an INPUT is required/);
    expect(await refusal(at('none.png'))).to.equal('there is no file or folder none.png.');
    expect(await refusal(at('set'))).to.match(/^there is no picture in the folder set\. Pictures/);
    expect(await refusal(at('set/*.txt'))).to.match(/^no picture matches set\/\*\.txt\. Pictures/);
    expect(await refusal('-')).to.match(/one picture: use svd generate/);
  });

  it('are refused if two have one output, or an output is a picture', async () => {
    await files('a.png', 'a.jpg', 'out/b.webp');
    expect(await refusal(at('a.png'), at('a.jpg'))).to.equal(
      'a.png and a.jpg have one output, "out/a.mp4". Rename one, or name both outputs in a manifest.',
    );
    expect(await refusal(at('out/b.webp'), '--format', 'webp')).to.match(
      /would replace the picture out\/b\.webp/,
    );
    const list = await manifest('l.csv', 'picture,output\na.png,x.mp4\na.jpg,./y/../x.mp4\n');
    expect(await refusal(list)).to.match(/^l\.csv:2 and l\.csv:3 have one output, "out\/x\.mp4"/);
  });

  describe('in a manifest', () => {
    it('have options of their own, which go before those of all', async () => {
      const list = await manifest(
        'l.csv',
        '\ufeffpicture;output;seed;num-frames;fast;sigmas\r\n' +
          'a.png;;1 2;;yes;\r\n\r\n"b, c.png";clips/b.gif;;4;no;"700,1,0"\r\n',
      );
      const [a, b] = await read([
        list,
        '--frames',
        '8',
        '--seed',
        '7',
        '--num-videos-per-prompt=2',
      ]);
      expect([a.picture, a.output, a.from]).to.deep.equal([
        at('a.png'),
        at('out/a.mp4'),
        `${list}:2`,
      ]);
      expect(a.command).to.deep.include({ seeds: [1, 2], numFrames: 8, numInferenceSteps: 12 });
      expect([b.picture, b.output, b.from]).to.deep.equal([
        at('b, c.png'),
        at('out/clips/b.gif'),
        `${list}:4`,
      ]);
      expect(b.command).to.deep.include({ seeds: [7], numFrames: 4, sigmas: [700, 1, 0] });
      expect(b.command).to.include({ format: 'gif', numInferenceSteps: 25 });
    });

    it('are read from lines of JSON, in any spelling of the options', async () => {
      const rows = [
        { picture: 'a.png', output: 'a/', seeds: [1, '18446744073709551615'] },
        {
          ...{ picture: 'b.png', num_frames: 2, guidanceTogether: true, tf32: false },
          deepCache: { interval: 2, branch: 0 },
          guidance_interval: [0, 50],
        },
      ];
      const list = await manifest('l.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
      const [a, b] = await read([list, '--num-videos-per-prompt', '2']);
      expect(a.output).to.equal(`${at('out/a')}/`);
      expect(a.command).to.deep.include({ format: 'png', seeds: [1, '18446744073709551615'] });
      expect(b.command).to.deep.include({
        ...{ numFrames: 2, guidanceTogether: true, tf32: false, guidanceInterval: [0, 50] },
        deepCache: { interval: 2, branch: 0 },
      });
    });

    it('have columns as people and spreadsheets spell them', async () => {
      const list = await manifest(
        'l.csv',
        'Picture,OUTPUT,NUM_FRAMES,Motion Bucket ID,--fps,minguidancescale,,\na.png,x.gif,3,50,8,1.5,,\n',
      );
      const [item] = await read([list]);
      expect(item.output).to.equal(at('out/x.gif'));
      expect(item.command).to.include({
        ...{ numFrames: 3, motionBucketId: 50, fps: 8, minGuidanceScale: 1.5 },
      });
    });

    it('have LoRA, whose files are below its folder and may have spaces', async () => {
      await files('lora/a b.safetensors', 'c.safetensors');
      const cell = 'lora/a b.safetensors=-0.5; c.safetensors;org/name';
      const [fromCsv] = await read([
        await manifest('l.csv', `picture,lora\na.png,${cell}\n`),
        ...['--lora', 'other.safetensors'],
      ]);
      const list = ['c.safetensors=2'];
      const row = JSON.stringify({ picture: 'a.png', lora: list });
      const [fromJson] = await read([await manifest('l.jsonl', row)]);
      expect(fromCsv.command.lora).to.deep.equal([
        ...[`${at('lora/a b.safetensors')}=-0.5`, at('c.safetensors'), 'org/name'],
      ]);
      expect(fromJson.command.lora).to.deep.equal([`${at('c.safetensors')}=2`]);
      expect(
        await refusal(await manifest('l.csv', 'picture,lora\na.png,c.safetensors=x\n')),
      ).to.match(/^l\.csv:2, column lora: --lora takes FILE=SCALE, where SCALE is a finite number/);
    });

    it('are refused with the line and the column', async () => {
      const csv = async (text: string) => refusal(await manifest('l.csv', text));
      const json = async (text: string) => refusal(await manifest('l.jsonl', text));
      expect(await csv('picture,heigth\na.png,8\n')).to.match(
        /^l\.csv:1, column heigth: there is no such column\. Did you mean height\? Columns/,
      );
      expect(await csv('picture,heigth\na.png,\n')).to.match(/^l\.csv:1, column heigth: /);
      expect(await csv('picture,steps,num-inference-steps\na.png,1,2\n')).to.match(
        /^l\.csv:1, column num-inference-steps: it is the same as the column steps/,
      );
      expect(await csv('image\na.png\n')).to.match(/column image: .* Use picture\./);
      for (const name of ['quiet', 'preview', 'json', 'output-dir'])
        expect(await csv(`picture,${name}\na.png,\n`)).to.contain(` It is for all: --${name}. `);
      expect(await csv('picture,height\na.png,16\nb.png,570\n')).to.equal(
        'l.csv:3, column height: --height has to be a whole number from 8 to 8192 and divisible ' +
          'by 8 but is "570". Try 568.',
      );
      expect(await csv('picture,fast\na.png,perhaps\n')).to.match(/:2, column fast: it has to be/);
      expect(await csv('picture,seed\na.png,1 x\n')).to.match(/:2, column seed: --seed has to be/);
      expect(await csv('output\na.mp4\n')).to.match(/^l\.csv:2 has no picture/);
      expect(await csv('picture,height,height\n')).to.match(/^l\.csv:1: the column "height"/);
      expect(await csv('picture\na.png,b.png\n')).to.match(/^l\.csv:2 has 2 cells/);
      expect(await csv('picture\n"a.png\n')).to.match(/^l\.csv:\d is not CSV: /);
      expect(await csv('')).to.match(/^l\.csv lists no picture/);
      expect(await csv('picture,output\na.png,a.xyz\n')).to.match(
        /^l\.csv:2: .*a\.xyz" ends in none of the known ways/,
      );
      expect(await json('{"picture": "a.png"}\n{"picture": }')).to.match(
        /^l\.jsonl:2 is not valid JSON: column 13 is wrong/,
      );
      expect(await csv('a.png\nb.png\n')).to.match(/^l\.csv:1, column a\.png: there is no such/);
      expect(await csv('picture,\na.png,8\n')).to.match(/^l\.csv:1, column "": there is no such/);
      for (const seed of ['12345678901234567890', '[1, 9007199254740993]'])
        expect(await json(`{"picture": "a.png", "seed": ${seed}}`)).to.equal(
          'l.jsonl:1, column seed: it has more digits than JSON keeps of a number. Put it into quotes.',
        );
      expect(await json('["a.png"]')).to.match(/^l\.jsonl:1 has to be an object/);
      expect(await json('{"picture": 4}')).to.match(/^l\.jsonl:1, column picture: it has to be/);
      expect(await json('{"picture": "a.png", "height": true}')).to.match(/:1, column height: /);
      expect(await json('{"picture": "a.png", "fps": {"a": 1}}')).to.match(/:1, column fps: /);
      expect(await refusal(await manifest('l.csv', Uint8Array.of(0xff, 0xfe, 0x61, 0)))).to.match(
        /^l\.csv is not a text in UTF-8/,
      );
    });
  });
});
