/** `svd download`: brings a model of the hub into the cache. */
import { hubModel } from '../checkpoints/hub/address.ts';
import { downloadModel } from '../checkpoints/hub/download.ts';
import { isFolder } from '../checkpoints/hub/locate.ts';
import { printable } from '../text/printable.ts';
import { modelOptions } from './hubModel.ts';
import { locateLoras } from './lora.ts';
import { jsonOption, quietOption, subcommand } from './terminal/command.ts';
import { UsageError } from './terminal/errors.ts';
import { group, pick } from './terminal/options.ts';
import { print } from './terminal/print.ts';
import { runSession } from './terminal/session.ts';

export const download = subcommand({
  name: 'download',
  usage: ['ORG/NAME [options]'],
  about: [
    'Brings a Stable Video Diffusion model from the hub into the cache and prints its folder. ' +
      'Only the files that are read are fetched.',
    "The cache is that of Python's huggingface_hub: what one has fetched is there for the " +
      'other. An interrupted download goes on where it ended. Every file is compared with its ' +
      'hash, also those that were there already.',
    'HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE, HTTP_PROXY, HTTPS_PROXY, ' +
      'ALL_PROXY, NO_PROXY, SSL_CERT_FILE and REQUESTS_CA_BUNDLE in the environment mean what ' +
      'they mean for huggingface_hub.',
  ],
  examples: [
    'svd download stabilityai/stable-video-diffusion-img2vid-xt --variant fp16',
    'svd download stabilityai/stable-video-diffusion-img2vid-xt --variant fp16 \\\n  --unet ' +
      'wangfuyun/AnimateLCM-SVD-xt/AnimateLCM-SVD-xt-1.1.safetensors',
  ],
  options: {
    unet: {
      ...modelOptions.unet,
      help:
        'Also bring this UNet, and leave out that of the model: org/name or org/name/FILE of the ' +
        'hub. Its path is printed, too.',
    },
    lora: {
      ...modelOptions.lora,
      value: 'NAME',
      help: 'Also bring this LoRA: org/name or org/name/FILE of the hub. Its path is printed, too.',
    },
    ...pick(modelOptions, 'variant', 'revision', 'cacheDir', 'token'),
    ...group('Reporting', 'report', {
      ...jsonOption(': model, folder, unet, loras, seconds'),
      ...quietOption,
    }),
  },
  operands: {
    takes: 'one model of the hub, such as org/name,',
    valid: (operands) => operands.length === 1 && hubModel(operands[0]) !== undefined,
  },
  async run(values, [model]) {
    const { json, quiet, unet, lora, ...asked } = values;
    if (await isFolder(model))
      throw new UsageError(
        `${model} is a folder that is here already: use it by --model ${model}. For the model of ` +
          `the hub, use https://huggingface.co/${model}.`,
      );
    const { besideUnet, findUnet } = await import('../checkpoints/unet/locate.ts');
    const report = await runSession(values, async ({ signal, progress }) => {
      const { revision, ...forBoth } = { ...asked, verify: true, signal };
      const options = { ...forBoth, onProgress: progress.update };
      const other = unet === undefined ? undefined : await findUnet(unet, options);
      const located = await locateLoras(
        { lora, ...asked },
        { signal, onProgress: progress.update },
      );
      const loras = located.length > 0 ? located.map(({ path }) => path) : undefined;
      const weightsOf = other === undefined ? undefined : besideUnet;
      const folder = await downloadModel(model, { ...options, revision, weightsOf });
      return { model, folder, unet: other, loras, seconds: progress.seconds().downloading ?? 0 };
    });
    const paths = [report.folder, report.unet ?? [], report.loras ?? []].flat();
    print(json ? JSON.stringify(report) : paths.map(printable).join('\n'));
    return 0;
  },
});
